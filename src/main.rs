//! Declared first: the body follows.
fn main() {}
