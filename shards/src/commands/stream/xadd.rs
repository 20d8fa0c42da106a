//! XADD key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value
//! [field value ...]

use alloc::string::String;
use alloc::vec::Vec;

use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::commands::stream::ids::NewId;
use crate::commands::stream::trim_options::{Exactly, For, TrimOptions};
use crate::effects::{Class, Effects};
use crate::resp::error::Error;
use crate::types::stream::id::{ID_BYTES_MAX, StreamId};
use crate::types::stream::node::NODE_BYTES_MAX;
use crate::types::stream::trim::{Keep, Precision, Trim};

pub(super) const XADD: Command = Command {
    spec: Spec {
        name: "xadd",
        group: Group::Stream,
        since: "5.0.0",
        summary: "Adds an entry to a stream, making it if needed, and may remove old ones.",
        complexity: "O(1) to add an entry, O(N) to remove N.",
        syntax: "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> \
                 field value [field value ...]",
        arity: Arity::AtLeast(5),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        tips: &["nondeterministic_output"],
        keys: &[KeySpec::first(&["RW", "UPDATE"])],
        ..Spec::EMPTY
    },
    run: xadd,
};

const ZERO: Error = Error::Text("ERR The ID specified in XADD must be greater than 0-0");
const EXHAUSTED: Error =
    Error::Text("ERR The stream has exhausted the last possible ID, unable to add more items");
const NOT_ABOVE: Error =
    Error::Text("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const TOO_LARGE: Error = Error::Text("ERR Elements are too large to be stored");

fn xadd(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (args, key, now) = (ctx.args, ctx.key(1), ctx.db.now());
    let limits = ctx.db.keyspace.settings.limits.stream;
    let options = TrimOptions::parse(args, For::Xadd, &ctx.db.keyspace.settings)?;
    let (new_id, id_at) = options.id.ok_or_else(wrong_arity)?;
    let pairs = &args[id_at + 1..];
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(wrong_arity());
    }
    if new_id == NewId::Given(StreamId::MIN) {
        return Err(ZERO);
    }
    let is_too_large = NODE_BYTES_MAX < pairs.iter().map(|it| it.len()).sum();
    let stream = if options.nomkstream || is_too_large {
        match ctx.db.write_stream(key)? {
            Some(stream) => stream,
            None if options.nomkstream => {
                ctx.replies.null();
                return Ok(());
            }
            None => return Err(TOO_LARGE),
        }
    } else {
        ctx.db.stream_or_new(key)?
    };
    let log = stream.log_mut();
    let id = place(new_id, log.last_id(), now)?;
    if is_too_large {
        return Err(TOO_LARGE);
    }
    log.append(id, pairs, limits);
    let removed = options.trim.map_or(0, |trim| log.trim(trim));
    let settled = options.trim.map(|trim| settled(trim, || log.settled(trim.keep)));

    let mut text = [0; ID_BYTES_MAX];
    let text = id.format(&mut text);
    ctx.replies.bulk(text);
    ctx.db.changed(key, Class::Stream, "xadd");
    if 0 < removed {
        ctx.db.event(key, Class::Stream, "xtrim");
    }
    let is_plain = matches!(new_id, NewId::Given(_)) && settled.flatten().is_none();
    if ctx.db.effects.keeps_log && !is_plain {
        let keep = settled.flatten().or(options.trim.map(|trim| trim.keep));
        log_instead(ctx.db.effects, args, keep, (text, id_at));
    }
    Ok(())
}

/// The ID that the new entry gets.
fn place(new_id: NewId, last: StreamId, now: UnixMs) -> Result<StreamId, Error> {
    if last == StreamId::MAX {
        return Err(EXHAUSTED);
    }
    let id = match new_id {
        NewId::Auto => last.following(now),
        NewId::AutoSeq(ms) if ms == last.ms => last.next().filter(|next| next.ms == ms),
        NewId::AutoSeq(ms) => Some(StreamId { ms, seq: 0 }),
        NewId::Given(id) => Some(id),
    };
    id.filter(|id| last < *id).ok_or(NOT_ABOVE)
}

/// What to tell in place of a trimming that depends on nodes, if it is one.
fn settled(trim: Trim, keep: impl FnOnce() -> Keep) -> Option<Keep> {
    match trim.precision {
        Precision::Exact => None,
        Precision::Nodes(_) => Some(keep()),
    }
}

/// Logs the command as it came, but with this ID and an exact trimming.
#[cold]
fn log_instead(effects: &mut Effects, args: &[&[u8]], keep: Option<Keep>, id: (&[u8], usize)) {
    let exactly = keep.map(Exactly::new);
    let mut log: Vec<&[u8]> = args[..2].to_vec();
    log.extend(exactly.iter().flat_map(Exactly::args));
    log.push(id.0);
    log.extend(&args[id.1 + 1..]);
    effects.log_instead(&log);
}

#[cold]
fn wrong_arity() -> Error {
    Error::WrongArity(String::from("xadd"))
}
