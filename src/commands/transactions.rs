//! MULTI, EXEC, DISCARD, WATCH key [key ...], UNWATCH: what they do is coordination.

use shards::commands::spec::{Arity, Flag, Flags, Group, KeySpec, Spec};

use crate::commands::own::{Own, OwnRun};
use crate::routing::call::Step;

/// Every command about transactions.
pub const COMMANDS: &[Own] = &[MULTI, EXEC, DISCARD, WATCH, UNWATCH];

const MULTI: Own = Own {
    spec: Spec {
        name: "multi",
        since: "1.2.0",
        summary: "Starts a transaction: commands are queued until EXEC.",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoMulti,
            Flag::AllowBusy,
        ]),
        ..EACH
    },
    run: OwnRun::Transaction(Step::Multi),
};

const EXEC: Own = Own {
    spec: Spec {
        name: "exec",
        since: "1.2.0",
        summary: "Runs all commands that were queued after MULTI.",
        complexity: "That of the queued commands.",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::SkipCommandLog]),
        ..EACH
    },
    run: OwnRun::Transaction(Step::Exec),
};

const DISCARD: Own = Own {
    spec: Spec {
        name: "discard",
        since: "2.0.0",
        summary: "Forgets all commands that were queued after MULTI.",
        complexity: "O(N), N being the number of queued commands.",
        arity: Arity::Exactly(1),
        flags: ENDS,
        ..EACH
    },
    run: OwnRun::Transaction(Step::Discard),
};

const WATCH: Own = Own {
    spec: Spec {
        name: "watch",
        since: "2.2.0",
        summary: "Lets the next EXEC run only if these keys have not changed until then.",
        complexity: "O(N), N being the number of keys.",
        syntax: "key [key ...]",
        arity: Arity::AtLeast(2),
        flags: Flags::of(&[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoMulti,
            Flag::AllowBusy,
        ]),
        keys: &[KeySpec::from(1, 1, &["RO"])],
        ..EACH
    },
    run: OwnRun::Transaction(Step::Watch),
};

const UNWATCH: Own = Own {
    spec: Spec {
        name: "unwatch",
        since: "2.2.0",
        summary: "Forgets all watched keys.",
        complexity: "O(N), N being the number of watched keys.",
        arity: Arity::Exactly(1),
        flags: ENDS,
        ..EACH
    },
    run: OwnRun::Transaction(Step::Unwatch),
};

const EACH: Spec = Spec { group: Group::Transactions, ..Spec::EMPTY };

const ENDS: Flags =
    Flags::of(&[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy]);
