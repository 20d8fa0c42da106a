//! SSCAN key cursor [MATCH pattern] [COUNT count]

use crate::base::number::DIGITS_MAX;
use crate::commands::ctx::Ctx;
use crate::commands::scanning::{self, Options, parse_cursor};
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::encodings::listpack::Element;
use crate::encodings::member::Member;
use crate::encodings::table::Position;
use crate::resp::error::Error;
use crate::types::set::Set;

pub(super) const SSCAN: Command = Command {
    spec: Spec {
        name: "sscan",
        group: Group::Set,
        since: "2.8.0",
        summary: "Returns some members of a set, and a cursor with which to ask for more.",
        complexity: "O(1) for a call; O(N) for all of them, N being the number of members.",
        syntax: "key cursor [MATCH pattern] [COUNT count]",
        arity: Arity::AtLeast(3),
        flags: Flags::of(&[Flag::ReadOnly]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..Spec::EMPTY
    },
    run: sscan,
};

fn sscan(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (key, cursor) = (ctx.key(1), parse_cursor(ctx.args[2])?);
    let Some(set) = ctx.db.read_set(key)? else {
        // What options say does not matter then, not even whether there are such.
        scanning::reply(&mut ctx.replies, |_| (Position::default(), 0));
        return Ok(());
    };
    let options = parse(&ctx.args[3..])?;
    scanning::reply(&mut ctx.replies, |replies| {
        let (mut count, mut scratch) = (0, [0; DIGITS_MAX]);
        let mut show = |member: Element<'_>| {
            let member = member.bytes(&mut scratch);
            let is_wanted = options.matches(member);
            if is_wanted {
                replies.bulk(member);
                count += 1;
            }
            is_wanted
        };
        let next = match set {
            // All at once: such sets are small.
            Set::Intset(_) | Set::Listpack(_) => {
                set.for_each(|member| {
                    show(member);
                });
                Position::default()
            }
            Set::Table(members) => {
                let show = |member: &Member| show(Element::Bytes(member.bytes()));
                options.walk(members.table(), cursor, show)
            }
        };
        (next, count)
    });
    Ok(())
}

fn parse<'a>(mut given: &[&'a [u8]]) -> Result<Options<'a>, Error> {
    let mut options = Options::default();
    while let [first, ..] = given {
        given = match options.take(given)? {
            0 if first.eq_ignore_ascii_case(b"NOVALUES") => return Err(scanning::NO_VALUES),
            0 => return Err(Error::Syntax),
            taken => &given[taken..],
        };
    }
    Ok(options)
}
