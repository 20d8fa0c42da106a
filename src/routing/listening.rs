//! What a client may call that listens in RESP2, where messages and replies look alike.

use shards::resp::error::Error;
use shards::resp::reply::{Protocol, Replies};

use crate::routing::call::{Call, PubSubStep, Run, Step};

/// Whether a client may call this that listens in RESP2.
pub(crate) fn serves_listeners(call: &Call) -> bool {
    match call.run {
        Run::PubSub(PubSubStep::Subscribe(_) | PubSubStep::Unsubscribe(_))
        | Run::Transaction(Step::Quit | Step::Reset) => true,
        Run::Engine(_) => call.spec.name == "ping",
        Run::PubSub(PubSubStep::Publish(_) | PubSubStep::Track | PubSubStep::Monitor)
        | Run::Transaction(_)
        | Run::Client
        | Run::Control
        | Run::Container => false,
    }
}

/// What a client is told that listens in RESP2 and asks for more.
pub(crate) fn only_listens(call: &Call) -> Error {
    Error::Owned(format!(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
         are allowed in this context",
        call.spec.name
    ))
}

/// What PING answers to a client that listens in RESP2: something like a message.
pub(crate) fn pong(args: &[&[u8]], out: &mut Vec<u8>) {
    let mut replies = Replies::new(out, Protocol::Resp2);
    replies.array(2);
    replies.bulk(b"pong");
    replies.bulk(args.get(1).copied().unwrap_or_default());
}
