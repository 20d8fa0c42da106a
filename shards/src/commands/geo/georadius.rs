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
        keys: &[KeySpec::first(&["RO", "ACCESS"]), stored("STORE", 6), stored("STOREDIST", 6)],
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
        keys: &[KeySpec::first(&["RO", "ACCESS"]), stored("STORE", 5), stored("STOREDIST", 5)],
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

/// A key behind a word, which is looked for from argument `at` on.
const fn stored(word: &'static str, at: i64) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword(word, at),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        flags: &["OW", "UPDATE", "VARIABLE_FLAGS"],
    }
}
