//! PUBSUB CHANNELS | NUMSUB | NUMPAT | SHARDCHANNELS | SHARDNUMSUB | HELP: who listens to what.
//! Every shard knows of all subscriptions, so each of these is answered where it is asked.

use shards::base::glob::matches;
use shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::help;
use crate::commands::own::{Own, OwnRun};
use crate::pubsub::kind::Kind;

/// The container.
pub const PUBSUB: Own = Own {
    spec: Spec {
        name: "pubsub",
        group: Group::PubSub,
        since: "2.8.0",
        summary: "Commands about who listens to what.",
        complexity: "Depends on the subcommand.",
        arity: Arity::AtLeast(2),
        subcommands: &[&HELP.spec],
        ..Spec::EMPTY
    },
    run: OwnRun::Container,
};

/// Its subcommands.
pub const SUBCOMMANDS: &[Own] = &[CHANNELS, HELP, NUMPAT, NUMSUB, SHARDCHANNELS, SHARDNUMSUB];

const EACH: Spec = Spec {
    group: Group::PubSub,
    since: "2.8.0",
    flags: Flags::of(&[Flag::PubSub, Flag::Loading, Flag::Stale]),
    ..Spec::EMPTY
};

const CHANNELS: Own = Own {
    spec: Spec {
        name: "pubsub|channels",
        summary: "Returns the channels that somebody listens to.",
        complexity: "O(N), N being the number of such channels.",
        syntax: "[pattern]",
        arity: Arity::AtLeast(2),
        ..EACH
    },
    run: OwnRun::Client(|ctx| channels(ctx, Kind::Channel)),
};

const SHARDCHANNELS: Own = Own {
    spec: Spec {
        name: "pubsub|shardchannels",
        since: "7.0.0",
        summary: "Returns the shard channels that somebody listens to.",
        complexity: "O(N), N being the number of such channels.",
        syntax: "[pattern]",
        arity: Arity::AtLeast(2),
        ..EACH
    },
    run: OwnRun::Client(|ctx| channels(ctx, Kind::ShardChannel)),
};

const NUMSUB: Own = Own {
    spec: Spec {
        name: "pubsub|numsub",
        summary: "Returns how many listen to channels, patterns not counted.",
        complexity: "O(N), N being the number of channels that are asked for.",
        syntax: "[channel [channel ...]]",
        arity: Arity::AtLeast(2),
        ..EACH
    },
    run: OwnRun::Client(|ctx| numsub(ctx, Kind::Channel)),
};

const SHARDNUMSUB: Own = Own {
    spec: Spec {
        name: "pubsub|shardnumsub",
        since: "7.0.0",
        summary: "Returns how many listen to shard channels.",
        complexity: "O(N), N being the number of channels that are asked for.",
        syntax: "[shardchannel [shardchannel ...]]",
        arity: Arity::AtLeast(2),
        ..EACH
    },
    run: OwnRun::Client(|ctx| numsub(ctx, Kind::ShardChannel)),
};

const NUMPAT: Own = Own {
    spec: Spec {
        name: "pubsub|numpat",
        summary: "Returns how many different patterns somebody listens to.",
        arity: Arity::Exactly(2),
        ..EACH
    },
    run: OwnRun::Client(numpat),
};

const HELP: Own = Own {
    spec: Spec { name: "pubsub|help", group: Group::PubSub, since: "6.2.0", ..help::HELP },
    run: OwnRun::Client(|ctx| {
        help::write(&mut ctx.replies, LINES);
        Ok(())
    }),
};

const LINES: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Channels that somebody listens to: all, or those that match.",
    "NUMPAT",
    "    How many different patterns somebody listens to.",
    "NUMSUB [<channel> ...]",
    "    How many listen to these channels, patterns not counted.",
    "SHARDCHANNELS [<pattern>]",
    "    Shard channels that somebody listens to: all, or those that match.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    How many listen to these shard channels.",
    "HELP",
    "    These lines.",
];

fn channels(ctx: &mut ClientCtx<'_>, kind: Kind) -> Result<(), Error> {
    let pattern = match ctx.args {
        [_, _] => None,
        [_, _, pattern] => Some(*pattern),
        _ => {
            let name = String::from_utf8_lossy(ctx.args[1]);
            return Err(Error::Owned(format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. \
                 Try PUBSUB HELP."
            )));
        }
    };
    let is_meant = |name: &&[u8]| pattern.is_none_or(|pattern| matches(pattern, name));
    let names: Vec<&[u8]> = ctx.interest.names(kind).filter(is_meant).collect();
    ctx.replies.array(names.len());
    names.into_iter().for_each(|name| ctx.replies.bulk(name));
    Ok(())
}

fn numsub(ctx: &mut ClientCtx<'_>, kind: Kind) -> Result<(), Error> {
    let names = &ctx.args[2..];
    ctx.replies.array(2 * names.len());
    for name in names {
        ctx.replies.bulk(name);
        let count = ctx.interest.count(kind, name);
        ctx.replies.integer(i64::try_from(count).expect("clients are few"));
    }
    Ok(())
}

fn numpat(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let count = ctx.interest.len(Kind::Pattern);
    ctx.replies.integer(i64::try_from(count).expect("a memory holds fewer patterns"));
    Ok(())
}
