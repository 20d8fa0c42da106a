//! Declared first: the body follows.
