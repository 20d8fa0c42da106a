//! BITOP <AND | OR | XOR | NOT> destkey key [key ...]

use alloc::vec::Vec;

use crate::commands::bitmap::bits::combine;
use crate::commands::ctx::Ctx;
use crate::commands::growth::reserve;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::Expiry;
use crate::resp::error::Error;

pub(super) const BITOP: Command = Command {
    spec: Spec {
        name: "bitop",
        group: Group::Bitmap,
        since: "2.6.0",
        summary: "Combines strings bit by bit and stores the result.",
        complexity: "O(N)",
        syntax: "<AND | OR | XOR | NOT> destkey key [key ...]",
        arity: Arity::AtLeast(4),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::nth(2, &["OW", "UPDATE"]), KeySpec::from(3, 1, &["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: bitop,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

fn bitop(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let operations = [
        (b"AND".as_slice(), Operation::And),
        (b"OR", Operation::Or),
        (b"XOR", Operation::Xor),
        (b"NOT", Operation::Not),
    ];
    let (_, operation) = operations
        .into_iter()
        .find(|(name, _)| ctx.args[1].eq_ignore_ascii_case(name))
        .ok_or(Error::Syntax)?;
    if operation == Operation::Not && ctx.args.len() != 4 {
        return Err(Error::Text("ERR BITOP NOT must be called with a single source key."));
    }

    let mut result = Vec::new();
    for at in 3..ctx.args.len() {
        let key = ctx.key(at);
        let mut scratch = [0; 20];
        let source = match ctx.db.read(key) {
            Some(entry) => entry.bytes(&mut scratch).ok_or(Error::WrongType)?,
            None => b"",
        };
        if at == 3 {
            reserve(&mut result, source.len())?;
            result.extend_from_slice(source);
        } else {
            fold(&mut result, source, operation)?;
        }
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    store(ctx, result);
    Ok(())
}

/// Combines one more source into `result`; the shorter of the two counts as padded with zeros.
fn fold(result: &mut Vec<u8>, source: &[u8], operation: Operation) -> Result<(), Error> {
    if let Some(more) = source.len().checked_sub(result.len()) {
        reserve(result, more)?;
        result.resize(source.len(), 0);
    }
    match operation {
        Operation::And => {
            combine(result, source, |a, b| a & b);
            result[source.len()..].fill(0);
        }
        Operation::Or => combine(result, source, |a, b| a | b),
        Operation::Xor => combine(result, source, |a, b| a ^ b),
        Operation::Not => unreachable!("NOT has one source"),
    }
    Ok(())
}

fn store(ctx: &mut Ctx<'_>, result: Vec<u8>) {
    let key = ctx.key(2);
    let len = result.len();
    if !result.is_empty() {
        ctx.db.set_string(key, b"", Expiry::Clear);
        let entry = ctx.db.write(key).expect("the key was just set");
        // Moved rather than copied: it may be long.
        *entry.bytes_mut().expect("the key was just set to a string") = result;
        ctx.db.changed(key, Class::String, "set");
    } else if ctx.db.discard(key, Removal::Replaced) {
        ctx.db.changed(key, Class::Generic, "del");
    }
    ctx.replies.integer(len as i64);
}
