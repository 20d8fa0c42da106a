//! HSCAN key cursor \[MATCH pattern] \[COUNT count] \[NOVALUES]

use crate::base::number::DIGITS_MAX;
use crate::commands::ctx::Ctx;
use crate::commands::scanning::{self, Options, parse_cursor};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Element;
use crate::encodings::table::Position;
use crate::resp::error::Error;
use crate::types::hash::Hash;

pub(super) const HSCAN: Command = Command {
    spec: Spec {
        name: "hscan",
        group: Group::Hash,
        since: "2.8.0",
        summary: "Returns some fields of a hash, and a cursor with which to ask for more.",
        complexity: "O(1) for a call; O(N) for all of them, N being the number of fields.",
        syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: hscan,
};

fn hscan(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, cursor, due_by) = (ctx.key(1), parse_cursor(ctx.args[2])?, ctx.db.due_by());
    let Some(hash) = ctx.db.read_hash(key)? else {
        // What options say does not matter then, not even whether there are such.
        scanning::reply(&mut ctx.replies, |_| (Position::default(), 0));
        return Ok(());
    };
    let (options, with_values) = parse(&ctx.args[3..])?;
    scanning::reply(&mut ctx.replies, |replies| {
        let (mut count, mut scratch) = (0, [0; DIGITS_MAX]);
        let mut show = |field: Element<'_>, value: Element<'_>| {
            let is_wanted = options.matches(field.bytes(&mut scratch));
            if is_wanted {
                replies.bulk(field.bytes(&mut scratch));
                count += 1;
                if with_values {
                    replies.bulk(value.bytes(&mut scratch));
                    count += 1;
                }
            }
            is_wanted
        };
        let next = match hash {
            // All at once: that takes no longer than a bucket or two.
            Hash::Listpack(_) => {
                hash.iter(due_by).for_each(|(field, value)| {
                    show(field, value);
                });
                Position::default()
            }
            Hash::Table(fields) => options.walk(fields.table(), cursor, |field| {
                !field.is_due(due_by)
                    && show(Element::Bytes(field.name()), Element::Bytes(field.value()))
            }),
        };
        (next, count)
    });
    Ok(())
}

/// The options, and whether values are wanted.
fn parse<'a>(mut given: &[&'a [u8]]) -> Result<(Options<'a>, bool), Error> {
    let (mut options, mut with_values) = (Options::default(), true);
    while let [first, rest @ ..] = given {
        given = match options.take(given)? {
            0 if first.eq_ignore_ascii_case(b"NOVALUES") => {
                with_values = false;
                rest
            }
            0 => return Err(Error::Syntax),
            taken => &given[taken..],
        };
    }
    Ok((options, with_values))
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use crate::commands::testing::Harness;

    #[test]
    fn a_walk_names_every_field_that_stays() {
        let mut harness = Harness::new();
        let mut set = |prefix: &str, count: u32| {
            for number in 0..count {
                harness.run(&format!("HSET h {prefix}{number} v"));
            }
        };
        set("stays", 3000);
        let (mut seen, mut cursor, mut step) = (BTreeSet::new(), "0".to_string(), 0);
        loop {
            let reply = harness.run(&format!("HSCAN h {cursor} COUNT 5 NOVALUES MATCH stays*"));
            let lines: Vec<&str> = reply.split("\\r\\n").collect();
            let named = lines[4..].iter().filter(|it| it.starts_with("stays"));
            seen.extend(named.map(ToString::to_string));
            cursor = lines[2].to_string();
            if cursor == "0" {
                break;
            }
            // Others come and go meanwhile, more than there were.
            for number in 0..20 {
                let number = step * 20 + number;
                let verb = if step / 200 % 2 == 0 { "HSET h {} v" } else { "HDEL h {}" };
                harness.run(&verb.replace("{}", &format!("goes{}", number % 4000)));
            }
            step += 1;
        }
        assert_eq!(seen.len(), 3000, "after {step} steps");
    }
}
