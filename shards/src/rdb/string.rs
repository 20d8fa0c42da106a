//! Strings in files and dumps.

use crate::encodings::entry::Value;
use crate::rdb::writer::{Sink, Writer};

/// Writes a string's value.
pub(super) fn write<S: Sink, O>(writer: &mut Writer<'_, S>, value: &Value<'_, O>) {
    match value {
        Value::Int(number) => writer.number(*number),
        Value::Bytes(bytes) => writer.text(bytes),
        Value::Object(_) => unreachable!("the kind of a collection is that of a collection"),
    }
}
