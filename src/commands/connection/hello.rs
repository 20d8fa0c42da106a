//! HELLO [protover [AUTH username password] [SETNAME clientname]]

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;
use shards::resp::reply::Protocol;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::name;
use crate::commands::connection::{BEFORE_AUTH, credentials};
use crate::commands::own::{Own, OwnRun};
use crate::config::table::Config;
use crate::routing::node::Role;
use crate::version::StandsFor;

pub(super) const HELLO: Own = Own {
    spec: Spec {
        name: "hello",
        since: "6.0.0",
        summary: "Picks the protocol, says who the client is, and tells about the server.",
        syntax: "[protover [AUTH username password] [SETNAME clientname]]",
        arity: Arity::AtLeast(1),
        ..BEFORE_AUTH
    },
    run: OwnRun::Client(hello),
};

const PROTOVER: Error = Error::Text("ERR Protocol version is not an integer or out of range");
const NO_AUTH: Error = Error::Text(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
     HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select \
     the RESP protocol version at the same time",
);

/// What a client asks for.
#[derive(Default)]
struct Wishes<'a> {
    protocol: Option<Protocol>,
    auth: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn hello(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let Wishes { protocol, auth, name } = parse(&ctx.args[1..])?;
    let session = &mut ctx.client.session;
    if let Some((user, password)) = auth {
        credentials::check(&ctx.node.config, user, password)?;
        session.authenticated = true;
    }
    if !session.authenticated {
        return Err(NO_AUTH);
    }
    if let Some(name) = name {
        session.name = name.to_vec();
    }
    if let Some(protocol) = protocol {
        session.protocol = protocol;
        ctx.replies.protocol = protocol;
    }
    introduce(ctx);
    Ok(())
}

/// Tells about the server, and what the client is to it.
fn introduce(ctx: &mut ClientCtx<'_>) {
    let ClientCtx { client, replies, node, .. } = ctx;
    let Config { availability_zone, extended_redis_compatibility, .. } = &*node.config;
    let stands_for = StandsFor::of(*extended_redis_compatibility);
    replies.map(7 + usize::from(!availability_zone.is_empty()));
    replies.bulk(b"server");
    replies.bulk(stands_for.server.as_bytes());
    replies.bulk(b"version");
    replies.bulk(stands_for.version.as_bytes());
    replies.bulk(b"proto");
    replies.integer(match client.session.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    });
    replies.bulk(b"id");
    replies.integer(i64::try_from(client.id).expect("ids count connections"));
    replies.bulk(b"mode");
    replies.bulk(if node.cluster.is_some() { b"cluster" } else { b"standalone" });
    replies.bulk(b"role");
    // A node that has left a topology from outside follows none, and is as read-only as a replica.
    let has_left = node.config.is_topology_external()
        && node.cluster.as_ref().is_some_and(|ownership| ownership.is_primary);
    replies.bulk(match node.condition.role {
        Role::Replica if !has_left => b"slave",
        Role::Primary | Role::Replica => b"master",
    });
    replies.bulk(b"modules");
    replies.array(0);
    if !availability_zone.is_empty() {
        replies.bulk(b"availability_zone");
        replies.bulk(availability_zone.as_bytes());
    }
}

fn parse<'a>(args: &[&'a [u8]]) -> Result<Wishes<'a>, Error> {
    let mut wishes = Wishes::default();
    let [version, options @ ..] = args else { return Ok(wishes) };
    wishes.protocol = Some(match parse_i64(version).ok_or(PROTOVER)? {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(Error::NoProto),
    });
    let mut options = options;
    loop {
        options = match options {
            [] => return Ok(wishes),
            [option, user, password, rest @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                wishes.auth = Some((user, password));
                rest
            }
            [option, name, rest @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                wishes.name = Some(name::checked(name)?);
                rest
            }
            [option, ..] => {
                return Err(Error::naming("ERR Syntax error in HELLO option '", option, "'"));
            }
        }
    }
}
