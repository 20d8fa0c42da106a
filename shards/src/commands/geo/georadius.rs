//! GEORADIUS key longitude latitude radius unit and options,
//! GEORADIUSBYMEMBER key member radius unit and options, and both without storing

use super::request::Form;
use super::search::run;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};

pub(super) const GEORADIUS: Command = Command {
    spec: Spec {
        name: "georadius",
        since: "3.2.0",
        summary: "Returns or stores the places within a distance of one.",
        syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] \
                 [WITHHASH] [COUNT count [ANY]] [ASC | DESC] \
                 [STORE storekey | STOREDIST storedistkey]",
        arity: Arity::AtLeast(6),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        keys: &[
            KeySpec::first(&["RO", "ACCESS"]),
            stored("STORE", 6, |args| store_place(args, 6, "STORE")),
            stored("STOREDIST", 6, |args| store_place(args, 6, "STOREDIST")),
        ],
        ..SPEC
    },
    run: |ctx| run(ctx, Form::Radius),
};

pub(super) const GEORADIUSBYMEMBER: Command = Command {
    spec: Spec {
        name: "georadiusbymember",
        since: "3.2.0",
        summary: "Returns or stores the places within a distance of a member.",
        syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count [ANY]] [ASC | DESC] [STORE storekey | STOREDIST storedistkey]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        keys: &[
            KeySpec::first(&["RO", "ACCESS"]),
            stored("STORE", 5, |args| store_place(args, 5, "STORE")),
            stored("STOREDIST", 5, |args| store_place(args, 5, "STOREDIST")),
        ],
        ..SPEC
    },
    run: |ctx| run(ctx, Form::RadiusByMember),
};

pub(super) const GEORADIUS_RO: Command = Command {
    spec: Spec {
        name: "georadius_ro",
        summary: "Returns the places within a distance of one.",
        syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] \
                 [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
        arity: Arity::AtLeast(6),
        ..SPEC
    },
    run: |ctx| run(ctx, Form::RadiusReadOnly),
};

pub(super) const GEORADIUSBYMEMBER_RO: Command = Command {
    spec: Spec {
        name: "georadiusbymember_ro",
        summary: "Returns the places within a distance of a member.",
        syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count [ANY]] [ASC | DESC]",
        arity: Arity::AtLeast(5),
        ..SPEC
    },
    run: |ctx| run(ctx, Form::RadiusByMemberReadOnly),
};

const SPEC: Spec = Spec {
    group: Group::Geo,
    since: "3.2.10",
    complexity: "O(N+log(M)), N being the number of members in the cells around the circle and M \
                 that of those within it.",
    flags: Flags::of(&[Flag::ReadOnly]),
    keys: &[KeySpec::first(&["RO", "ACCESS"])],
    ..Spec::EMPTY
};

/// A key behind an option, which is looked for from argument `at` on.
const fn stored(option: &'static str, at: i64, place: fn(&[&[u8]]) -> Option<usize>) -> KeySpec {
    KeySpec {
        begin: Begin::Option(option, at, place),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        flags: &["OW", "UPDATE", "VARIABLE_FLAGS"],
    }
}

/// Where the key stands in which the result is stored, if it is `option` that says so: of several
/// STORE and STOREDIST the last one counts. Options begin at argument `at`.
fn store_place(args: &[&[u8]], mut at: usize, option: &str) -> Option<usize> {
    let mut place = None;
    while let Some(name) = args.get(at) {
        let is = |option: &str| name.eq_ignore_ascii_case(option.as_bytes());
        at += 1;
        if (is("STORE") || is("STOREDIST")) && at < args.len() {
            place = is(option).then_some(at);
            at += 1;
        } else if is("COUNT") {
            at += 1;
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_key_to_store_in_is_the_last_one_named() {
        for (options, store, distances) in [
            ("STORE", None, None),
            ("STORE a", Some(7), None),
            ("STORE a STORE b", Some(9), None),
            ("store a StoreDist b", None, Some(9)),
            ("STOREDIST a ASC STORE b", Some(10), None),
            ("STORE STORE", Some(7), None),
            ("STORE STORE STORE c", Some(9), None),
            ("STORE STOREDIST COUNT 1", Some(7), None),
            ("COUNT STORE STORE a", Some(9), None),
        ] {
            let line = alloc::format!("GEORADIUS k 1 2 3 m {options}");
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert_eq!(store_place(&args, 6, "STORE"), store, "{line}");
            assert_eq!(store_place(&args, 6, "STOREDIST"), distances, "{line}");
        }
    }
}
