//! PUBLISH channel message, SPUBLISH shardchannel message

use shards::commands::spec::{Arity, Flag, Flags, KeySpec, Spec};

use crate::commands::own::{Own, OwnRun};
use crate::commands::pubsub::EACH;
use crate::pubsub::kind::Kind;
use crate::routing::call::PubSubStep;

pub(super) const PUBLISH: Own = Own {
    spec: Spec {
        name: "publish",
        summary: "Sends a message to all who listen to a channel.",
        complexity: "O(N+M), N being the subscribers of the channel and M all patterns.",
        syntax: "channel message",
        ..PUBLISHES
    },
    run: OwnRun::PubSub(PubSubStep::Publish(Kind::Channel)),
};

pub(super) const SPUBLISH: Own = Own {
    spec: Spec {
        name: "spublish",
        since: "7.0.0",
        summary: "Sends a message to all who listen to a shard channel.",
        complexity: "O(N), N being the subscribers of the channel.",
        syntax: "shardchannel message",
        keys: &[KeySpec::first(&["not_key"])],
        ..PUBLISHES
    },
    run: OwnRun::PubSub(PubSubStep::Publish(Kind::ShardChannel)),
};

const PUBLISHES: Spec = Spec {
    arity: Arity::Exactly(3),
    flags: Flags::of(&[Flag::PubSub, Flag::Loading, Flag::Stale, Flag::Fast, Flag::MayReplicate]),
    ..EACH
};
