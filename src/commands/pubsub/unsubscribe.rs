//! UNSUBSCRIBE [channel ...], PUNSUBSCRIBE [pattern ...], SUNSUBSCRIBE [shardchannel ...]

use shards::commands::spec::{Arity, KeySpec, Spec};

use crate::commands::own::{Own, OwnRun};
use crate::commands::pubsub::EACH;
use crate::pubsub::kind::Kind;
use crate::routing::call::PubSubStep;

pub(super) const UNSUBSCRIBE: Own = Own {
    spec: Spec {
        name: "unsubscribe",
        summary: "Stops listening to channels, or to all.",
        complexity: "O(N), N being the number of channels.",
        syntax: "[channel [channel ...]]",
        arity: Arity::AtLeast(1),
        ..EACH
    },
    run: OwnRun::PubSub(PubSubStep::Unsubscribe(Kind::Channel)),
};

pub(super) const PUNSUBSCRIBE: Own = Own {
    spec: Spec {
        name: "punsubscribe",
        summary: "Stops listening to channels that match patterns, or to all.",
        complexity: "O(N), N being the number of patterns.",
        syntax: "[pattern [pattern ...]]",
        arity: Arity::AtLeast(1),
        ..EACH
    },
    run: OwnRun::PubSub(PubSubStep::Unsubscribe(Kind::Pattern)),
};

pub(super) const SUNSUBSCRIBE: Own = Own {
    spec: Spec {
        name: "sunsubscribe",
        since: "7.0.0",
        summary: "Stops listening to shard channels, or to all.",
        complexity: "O(N), N being the number of shard channels.",
        syntax: "[shardchannel [shardchannel ...]]",
        arity: Arity::AtLeast(1),
        keys: &[KeySpec::from(1, 1, &["not_key"])],
        ..EACH
    },
    run: OwnRun::PubSub(PubSubStep::Unsubscribe(Kind::ShardChannel)),
};
