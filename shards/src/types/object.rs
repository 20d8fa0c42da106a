//! The values that are not strings.

/// A collection held by an entry. No collection type exists in this version: strings and integers
/// live in the entry itself, so this type has no value.
#[derive(Debug)]
pub enum Object {}
