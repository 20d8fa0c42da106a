//! SUBSCRIBE channel [channel ...], PSUBSCRIBE pattern [pattern ...],
//! SSUBSCRIBE shardchannel [shardchannel ...]

use shards::commands::spec::{Arity, KeySpec, Spec};

use crate::commands::own::{Own, OwnRun};
use crate::commands::pubsub::EACH;
use crate::pubsub::kind::Kind;
use crate::routing::call::PubSubStep;

pub(super) const SUBSCRIBE: Own = Own {
    spec: Spec {
        name: "subscribe",
        summary: "Listens to channels.",
        complexity: "O(N), N being the number of channels.",
        syntax: "channel [channel ...]",
        arity: Arity::AtLeast(2),
        ..EACH
    },
    run: OwnRun::PubSub(PubSubStep::Subscribe(Kind::Channel)),
};

pub(super) const PSUBSCRIBE: Own = Own {
    spec: Spec {
        name: "psubscribe",
        summary: "Listens to all channels that match patterns.",
        complexity: "O(N), N being the number of patterns.",
        syntax: "pattern [pattern ...]",
        arity: Arity::AtLeast(2),
        ..EACH
    },
    run: OwnRun::PubSub(PubSubStep::Subscribe(Kind::Pattern)),
};

pub(super) const SSUBSCRIBE: Own = Own {
    spec: Spec {
        name: "ssubscribe",
        since: "7.0.0",
        summary: "Listens to shard channels.",
        complexity: "O(N), N being the number of shard channels.",
        syntax: "shardchannel [shardchannel ...]",
        arity: Arity::AtLeast(2),
        keys: &[KeySpec::from(1, 1, &["not_key"])],
        ..EACH
    },
    run: OwnRun::PubSub(PubSubStep::Subscribe(Kind::ShardChannel)),
};
