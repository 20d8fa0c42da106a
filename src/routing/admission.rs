//! May this client run this command now? The part of the answer that costs one comparison.
//!
//! [`Guards`] are reasons to look closer at a request. A client has one value of them: its own
//! (it is in MULTI, it has not authenticated) and the node's (a snapshot loads, writes are
//! paused), renewed when its session or the node's state changes. A command has another: the
//! reasons that concern it. A request whose client and command have none in common runs. All
//! others are looked at by `clients::admission`, at their client's home.
//!
//! A request is tested wherever it goes on: when it is routed, when its batch arrives at a shard,
//! and when it was held, queued or blocked.

use shards::commands::spec::{Flag, Spec};

/// A set of reasons to look closer at a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards(u32);

impl Guards {
    /// No reason.
    pub const NONE: Self = Self(0);

    // The node's.
    /// The keys of the last run are still being read.
    pub const LOADING: Self = Self(1);
    /// The last snapshot failed, and `stop-writes-on-bgsave-error` refuses writes.
    pub const MISCONF: Self = Self(1 << 1);
    /// What may write is held back.
    pub const WRITES_PAUSED: Self = Self(1 << 2);
    /// Everything is held back.
    pub const ALL_PAUSED: Self = Self(1 << 3);

    /// The node follows a primary: its clients do not write.
    pub const READONLY: Self = Self(1 << 4);
    /// The node's keys may be old, and `replica-serve-stale-data no` refuses to show them.
    pub const STALE: Self = Self(1 << 5);

    /// Fewer replicas keep up than `min-replicas-to-write` demands.
    pub const FEW_REPLICAS: Self = Self(1 << 6);

    /// The node follows a primary whose keys are on their way, and has given up its own for them.
    pub const EMPTIED: Self = Self(1 << 7);

    /// All of the node's.
    pub const OF_NODE: Self = Self((1 << 8) - 1);
    /// Something is held back.
    pub const PAUSED: Self = Self::WRITES_PAUSED.and(Self::ALL_PAUSED);

    // The client's.
    /// The client has not authenticated.
    pub const UNAUTHENTICATED: Self = Self(1 << 8);
    /// The client is between MULTI and EXEC.
    pub const MULTI: Self = Self(1 << 9);
    /// The client has subscriptions and speaks RESP2.
    pub const LISTENS: Self = Self(1 << 10);
    /// The client is shown what others do (MONITOR).
    pub const MONITORS: Self = Self(1 << 11);
    /// The client connected while the process was about to end.
    pub const LATE: Self = Self(1 << 12);
    /// The client does not want all replies (CLIENT REPLY).
    pub const MUTED: Self = Self(1 << 13);
    /// The client has said CLIENT CACHING for its next command.
    pub const CACHING: Self = Self(1 << 14);
    /// Every client: some commands are looked at in any case.
    pub const ALWAYS: Self = Self(1 << 15);
    /// The client has said ASKING for its next command.
    pub const ASKING: Self = Self(1 << 16);

    /// Those of both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that are not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// This set if it applies, no reason otherwise.
    pub const fn when(self, applies: bool) -> Self {
        if applies { self } else { Self::NONE }
    }

    /// Those of this set that are in the other.
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether both sets have a reason in common.
    #[inline]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The reasons that concern a command.
    pub fn of_command(spec: &Spec) -> Self {
        let has = |flag| spec.flags.has(flag);
        let writes = has(Flag::Write);
        let touches_keys = writes || has(Flag::ReadOnly) || has(Flag::MayReplicate);
        // Valkey answers PING with the same error as writes.
        let tells_of_saves = writes || spec.name == "ping";
        [
            Self::LOADING.and(Self::LATE).when(!has(Flag::Loading)),
            // Who is followed can be changed, whatever is missing.
            Self::EMPTIED.when(!has(Flag::Loading) && !has(Flag::Stale)),
            Self::MISCONF.when(tells_of_saves),
            Self::READONLY.and(Self::FEW_REPLICAS).when(writes),
            Self::STALE.when(!has(Flag::Stale)),
            Self::WRITES_PAUSED.when(writes || has(Flag::MayReplicate)),
            Self::ALL_PAUSED,
            Self::UNAUTHENTICATED,
            Self::MULTI,
            Self::LISTENS,
            Self::MONITORS.when(touches_keys),
            Self::MUTED,
            Self::CACHING,
            Self::ASKING,
            Self::ALWAYS.when(has(Flag::Protected)),
        ]
        .into_iter()
        .fold(Self::NONE, Self::and)
    }
}

#[cfg(test)]
mod tests {
    use shards::commands::spec::Flags;

    use super::*;

    fn check(name: &'static str, flags: &[Flag], of_node: &[Guards]) {
        let spec = Spec { name, flags: Flags::of(flags), ..Spec::EMPTY };
        let guards = Guards::of_command(&spec);
        let refuse = [Guards::LOADING, Guards::MISCONF, Guards::READONLY, Guards::FEW_REPLICAS];
        let all = [&refuse[..], &[Guards::WRITES_PAUSED, Guards::ALL_PAUSED]].concat();
        for guard in all {
            assert_eq!(guards.meets(guard), of_node.contains(&guard), "{name}: {guard:?}");
        }
        assert!(guards.meets(Guards::UNAUTHENTICATED) && guards.meets(Guards::MULTI));
    }

    #[test]
    fn commands_are_looked_at_for_reasons_that_concern_them() {
        use Guards as G;
        check("get", &[Flag::ReadOnly], &[G::LOADING, G::ALL_PAUSED]);
        let refuse = [G::LOADING, G::MISCONF, G::READONLY, G::FEW_REPLICAS];
        let write = [&refuse[..], &[G::WRITES_PAUSED, G::ALL_PAUSED]].concat();
        check("set", &[Flag::Write], &write);
        check("publish", &[Flag::MayReplicate, Flag::Loading], &[G::WRITES_PAUSED, G::ALL_PAUSED]);
        check("ping", &[Flag::Loading], &[G::MISCONF, G::ALL_PAUSED]);
        check("info", &[Flag::Loading], &[G::ALL_PAUSED]);
    }

    #[test]
    fn sets_of_reasons_are_joined_and_taken_apart() {
        let both = Guards::MULTI.and(Guards::LOADING);
        assert!(both.meets(Guards::MULTI) && !both.without(Guards::MULTI).meets(Guards::MULTI));
        assert_eq!(Guards::MULTI.when(false), Guards::NONE);
        assert!(!Guards::NONE.meets(both));
    }
}
