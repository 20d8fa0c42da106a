//! BITFIELD key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value |
//! INCRBY encoding offset increment> ...], BITFIELD_RO key [GET encoding offset ...]

use alloc::vec::Vec;

use crate::base::number::parse_i64;
use crate::commands::bitmap::field::{FieldType, Overflow};
use crate::commands::bitmap::offset::field_offset;
use crate::commands::ctx::Ctx;
use crate::commands::growth::edit_padded;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::resp::error::Error;
use crate::resp::reply::Replies;

pub(super) const BITFIELD: Command = Command {
    spec: Spec {
        name: "bitfield",
        since: "3.2.0",
        summary: "Reads and changes integers of any width at any bit of a string.",
        syntax: "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
                 <SET encoding offset value | INCRBY encoding offset increment> ...]",
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::first(&["RW", "ACCESS", "UPDATE", "variable_flags"])],
        ..SPEC
    },
    run: bitfield,
};

pub(super) const BITFIELD_RO: Command = Command {
    spec: Spec {
        name: "bitfield_ro",
        since: "6.0.0",
        summary: "Reads integers of any width at any bit of a string.",
        syntax: "key [GET encoding offset [GET encoding offset ...]]",
        flags: Flags::of(&[Flag::ReadOnly, Flag::Fast]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..SPEC
    },
    run: bitfield_ro,
};

const SPEC: Spec = Spec {
    group: Group::Bitmap,
    complexity: "O(1) for each operation.",
    arity: Arity::AtLeast(2),
    ..Spec::EMPTY
};

/// One operation on one field.
#[derive(Clone, Copy, Debug)]
struct Operation {
    field: FieldType,
    offset: u64,
    deed: Deed,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Get,
    Set(i64, Overflow),
    IncrBy(i64, Overflow),
}

fn bitfield(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let operations = parse(ctx)?;
    let writes = operations.iter().filter(|operation| !matches!(operation.deed, Deed::Get));
    let Some(end) = writes.map(|operation| operation.end()).max() else {
        return read(ctx, &operations);
    };
    let len_min = usize::try_from(end.div_ceil(8)).expect("offsets were compared with a usize");
    let key = ctx.key(1);
    let Ctx { db, replies, .. } = ctx;
    let (changes, grew) = edit_padded(db, key, len_min, |bytes, grew| {
        replies.array(operations.len());
        let changes = operations.iter().filter(|operation| operation.run(bytes, grew, replies));
        (changes.count() as u64, grew)
    })?;
    if 0 < changes {
        db.changed(key, Class::String, "setbit");
        db.effects.dirty += changes - 1; // Each field counts; the first one did.
    } else if grew {
        // OVERFLOW FAIL left every field as it was, but the string is longer than before, maybe
        // new. Valkey keeps that from its replicas; here they stay the same. As there, the
        // key's watchers hear nothing.
        db.effects.dirty += 1;
    }
    Ok(())
}

fn bitfield_ro(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let operations = parse(ctx)?;
    if operations.iter().any(|operation| !matches!(operation.deed, Deed::Get)) {
        return Err(Error::Text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, &operations)
}

fn read(ctx: &mut Ctx<'_>, operations: &[Operation]) -> Result<(), Error> {
    let key = ctx.key(1);
    let mut scratch = [0; 20];
    let bytes = match ctx.db.read(key) {
        Some(entry) => entry.bytes(&mut scratch).ok_or(Error::WrongType)?,
        None => b"",
    };
    ctx.replies.array(operations.len());
    for operation in operations {
        ctx.replies.integer(operation.field.get(bytes, operation.offset));
    }
    Ok(())
}

impl Operation {
    /// The bit behind the field.
    fn end(&self) -> u64 {
        self.offset + u64::from(self.field.width())
    }

    /// Runs it and answers; returns whether it counts as a change, for which it is enough that
    /// the string `grew` to hold it.
    fn run(&self, bytes: &mut [u8], grew: bool, replies: &mut Replies<'_>) -> bool {
        let before = self.field.get(bytes, self.offset);
        let (after, answer) = match self.deed {
            Deed::Get => {
                replies.integer(before);
                return false;
            }
            Deed::Set(number, overflow) => {
                let after = self.field.fit(self.field.set_operand(number), overflow);
                (after, before)
            }
            Deed::IncrBy(number, overflow) => {
                let sum = i128::from(before) + i128::from(number);
                let after = self.field.fit(sum, overflow);
                (after, after.unwrap_or_default())
            }
        };
        let Some(after) = after else {
            replies.null();
            return false;
        };
        self.field.set(bytes, self.offset, after);
        replies.integer(answer);
        grew || before != after
    }
}

fn parse(ctx: &Ctx<'_>) -> Result<Vec<Operation>, Error> {
    let bytes_max = ctx.db.keyspace.settings.string_bytes_max;
    let mut operations = Vec::new();
    let mut overflow = Overflow::default();
    let mut rest = &ctx.args[2..];
    while let [name, after @ ..] = rest {
        let is = |expected: &[u8]| name.eq_ignore_ascii_case(expected);
        if is(b"OVERFLOW")
            && let [kind, after @ ..] = after
        {
            overflow = parse_overflow(kind)?;
            rest = after;
            continue;
        }
        let operands = if is(b"GET") { 2 } else { 3 };
        let known = is(b"GET") || is(b"SET") || is(b"INCRBY");
        if !known || after.len() < operands {
            return Err(Error::Syntax);
        }
        let field = FieldType::parse(after[0]).ok_or(Error::BitfieldType)?;
        let offset = field_offset(after[1], field.width(), bytes_max)?;
        let number = || parse_i64(after[2]).ok_or(Error::NotInteger);
        let deed = if is(b"GET") {
            Deed::Get
        } else if is(b"SET") {
            Deed::Set(number()?, overflow)
        } else {
            Deed::IncrBy(number()?, overflow)
        };
        operations.push(Operation { field, offset, deed });
        rest = &after[operands..];
    }
    Ok(operations)
}

fn parse_overflow(kind: &[u8]) -> Result<Overflow, Error> {
    let kinds = [
        (b"WRAP".as_slice(), Overflow::Wrap),
        (b"SAT", Overflow::Saturate),
        (b"FAIL", Overflow::Fail),
    ];
    kinds
        .into_iter()
        .find(|(name, _)| kind.eq_ignore_ascii_case(name))
        .map(|(_, overflow)| overflow)
        .ok_or(Error::Text("ERR Invalid OVERFLOW type specified"))
}
