//! MIGRATE host port key|"" destination-db timeout [COPY] [REPLACE] [AUTH password]
//! [AUTH2 username password] [KEYS key [key ...]]
//!
//! It runs twice. The first time it leaves a consignment: a request for each key. When the target
//! has replied, it runs again with a receipt, and removes the keys that the target has. The keys
//! are claimed all the time, so nothing happens to them in between.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_u64, parse_i64, parse_u64};
use crate::commands::ctx::Ctx;
use crate::commands::spec::{
    Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec, Spread,
};
use crate::effects::Class;
use crate::effects::handover::{Consignment, Failure, Receipt, Target};
use crate::journal::units::Commands;
use crate::keyspace::garbage::Removal;
use crate::rdb::dump;
use crate::rdb::writer::Compression;
use crate::resp::error::Error;
use crate::resp::request;

pub(super) const MIGRATE: Command = Command {
    spec: Spec {
        name: "migrate",
        group: Group::Generic,
        since: "2.6.0",
        summary: "Moves keys to another server, which takes them before they are removed here.",
        complexity: "O(N), N being the number of bytes of all values.",
        syntax: "host port key destination-db timeout [COPY] [REPLACE] \
                 [AUTH auth | AUTH2 username password] [KEYS key [key ...]]",
        arity: Arity::AtLeast(6),
        flags: Flags::of(&[Flag::Write, Flag::MovableKeys]),
        categories: &["keyspace", "dangerous"],
        tips: &["nondeterministic_output"],
        keys: &[
            KeySpec {
                begin: Begin::IndexIf(KEY, has_one_key),
                find: Find::Range { last: 0, step: 1, limit: 0 },
                flags: &["RW", "ACCESS", "DELETE"],
            },
            KeySpec {
                begin: Begin::Option("KEYS", -2, first_of_several),
                find: Find::Range { last: -1, step: 1, limit: 0 },
                flags: &["RW", "ACCESS", "DELETE", "INCOMPLETE"],
            },
        ],
        spread: Spread::HandOver,
        ..Spec::EMPTY
    },
    run: migrate,
};

/// The place of the key, if there is one.
const KEY: usize = 3;
/// The place of the first option.
const OPTIONS: usize = 6;
/// What a timeout becomes that is none, in milliseconds.
const TIMEOUT_MILLIS: u64 = 1000;

const BOTH: Error = Error::Text(
    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
);
/// What a primary has written goes no further than to this server.
const OBEYS: Error = Error::Text("ERR MIGRATE is not for the stream of a primary");
const CONNECTING: Error = Error::Text("IOERR error or timeout connecting to the client");
const WRITING: Error = Error::Text("IOERR error or timeout writing to target instance");
const READING: Error = Error::Text("IOERR error or timeout reading to target instance");

#[derive(Default)]
struct Options<'a> {
    copy: bool,
    replace: bool,
    auth: &'a [&'a [u8]],
    /// Where the keys begin; `None` if there is one, at its usual place.
    keys: Option<usize>,
}

fn migrate(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let options = options(ctx.args)?;
    match ctx.db.effects.receipt.take() {
        None => send(ctx, &options),
        Some(receipt) => settle(ctx, &options, *receipt),
    }
}

/// Leaves the keys that are here as a consignment.
fn send(ctx: &mut Ctx<'_>, options: &Options<'_>) -> Result<(), Error> {
    if ctx.db.keyspace.settings.obeys {
        return Err(OBEYS);
    }
    let timeout = parse_i64(ctx.args[5]).ok_or(Error::NotInteger)?;
    let db = parse_i64(ctx.args[4]).ok_or(Error::NotInteger)?;
    let (mut keys, mut requests) = (Vec::new(), Vec::new());
    let places = match options.keys {
        None => KEY..KEY + 1,
        Some(first) => first..ctx.args.len(),
    };
    let now = ctx.db.now();
    let in_cluster = ctx.db.keyspace.settings.in_cluster;
    let name: &[u8] = if in_cluster { b"RESTORE-ASKING" } else { b"RESTORE" };
    for place in places {
        let key = ctx.key(place);
        let Some(entry) = ctx.db.read(key) else { continue };
        let payload = dump::dump(&entry.value(), Compression::Lzf);
        // 0 is for ever.
        let left = entry.expire().map_or(0, |at| at.0.saturating_sub(now.0).max(1));
        let mut text = [0; DIGITS_MAX];
        let args = [name, key.bytes, format_u64(&mut text, left), &payload, b"REPLACE"];
        let count = if options.replace { args.len() } else { args.len() - 1 };
        request::write(&mut requests, &args[..count]);
        keys.push(key.bytes.to_vec());
    }
    if keys.is_empty() {
        ctx.replies.simple("NOKEY");
        return Ok(());
    }
    let port = parse_u64(ctx.args[2]).and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    let auth = options.auth.iter().map(|arg| arg.to_vec()).collect();
    let target = Target { host: ctx.args[1].to_vec(), port, auth };
    let timeout_millis = u64::try_from(timeout).ok().filter(|millis| 0 < *millis);
    let timeout_millis = timeout_millis.unwrap_or(TIMEOUT_MILLIS);
    let consignment = Consignment { target, db, timeout_millis, keys, requests };
    ctx.db.effects.consignment = Some(Box::new(consignment));
    Ok(())
}

/// Removes the keys that the target has, and answers.
fn settle(ctx: &mut Ctx<'_>, options: &Options<'_>, receipt: Receipt) -> Result<(), Error> {
    let Receipt { taken, failure } = receipt;
    if !options.copy {
        let mut deleted = Commands::default();
        for key in &taken {
            let key = ctx.db.key(key);
            if ctx.db.discard(key, Removal::Deleted) {
                ctx.db.changed(key, Class::Generic, "del");
                deleted.push(&[b"DEL", key.bytes]);
            }
        }
        ctx.db.effects.log_all_instead(&mut deleted);
    }
    match failure {
        None => {
            ctx.replies.ok();
            Ok(())
        }
        Some(Failure::Connecting) => Err(CONNECTING),
        Some(Failure::Writing) => Err(WRITING),
        Some(Failure::Reading) => Err(READING),
        Some(Failure::Refused(text)) => {
            let text = String::from_utf8_lossy(&text);
            Err(Error::Owned(alloc::format!("ERR Target instance replied with error: {text}")))
        }
    }
}

fn options<'a>(args: &'a [&'a [u8]]) -> Result<Options<'a>, Error> {
    let mut options = Options::default();
    let mut at = OPTIONS;
    while let Some(name) = args.get(at) {
        let is = |token: &str| name.eq_ignore_ascii_case(token.as_bytes());
        at += 1;
        if is("COPY") {
            options.copy = true;
        } else if is("REPLACE") {
            options.replace = true;
        } else if is("AUTH") || is("AUTH2") {
            let count = if is("AUTH") { 1 } else { 2 };
            options.auth = args.get(at..at + count).ok_or(Error::Syntax)?;
            at += count;
        } else if is("KEYS") {
            if !args[KEY].is_empty() {
                return Err(BOTH);
            }
            options.keys = Some(at);
            break;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok(options)
}

/// The place of the word KEYS, if it is an option of a request, be that valid or not.
fn keys_place(args: &[&[u8]]) -> Option<usize> {
    let mut at = OPTIONS;
    while let Some(name) = args.get(at) {
        let is = |token: &str| name.eq_ignore_ascii_case(token.as_bytes());
        if is("KEYS") {
            return Some(at);
        }
        at += if is("AUTH2") {
            3
        } else if is("AUTH") {
            2
        } else {
            1
        };
    }
    None
}

/// Whether the key stands at its usual place, if only as an empty word: no keys are behind KEYS.
fn has_one_key(args: &[&[u8]]) -> bool {
    keys_place(args).is_none_or(|at| at + 1 == args.len())
}

/// The place behind the word KEYS. `None`: it is no option, or there is a key besides.
fn first_of_several(args: &[&[u8]]) -> Option<usize> {
    let is_empty = args.get(KEY).is_some_and(|key| key.is_empty());
    keys_place(args).filter(|_| is_empty).map(|at| at + 1)
}
