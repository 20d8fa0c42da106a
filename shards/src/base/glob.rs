//! Patterns of KEYS, SCAN, PSUBSCRIBE.
/// Whether `text` matches `pattern`.
pub fn matches(_pattern: &[u8], _text: &[u8]) -> bool { todo!() }
