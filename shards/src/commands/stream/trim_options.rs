//! How XADD and XTRIM say what to remove: `<MAXLEN | MINID> [= | ~] threshold [LIMIT count]`.

use crate::base::number::{DIGITS_MAX, format_u64, parse_i64};
use crate::commands::stream::ids::{NewId, parse_id, parse_new_id};
use crate::keyspace::settings::Settings;
use crate::resp::error::Error;
use crate::types::limits::StreamLimits;
use crate::types::stream::id::ID_BYTES_MAX;
use crate::types::stream::trim::{Keep, Precision, Trim};

/// What stands between the key and the fields of XADD, or behind the key of XTRIM.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrimOptions {
    /// What to remove.
    pub trim: Option<Trim>,
    /// Whether a stream that is not there is not made.
    pub nomkstream: bool,
    /// XADD's ID and where it stands; `None` if there is none.
    pub id: Option<(NewId, usize)>,
}

/// Which command the options are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Xadd,
    Xtrim,
}

const TWICE: Error =
    Error::Text("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
const MAXLEN_NEGATIVE: Error = Error::Text("ERR The MAXLEN argument must be >= 0.");
const LIMIT_NEGATIVE: Error = Error::Text("ERR The LIMIT argument must be >= 0.");
const LIMIT_ALONE: Error =
    Error::Text("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const LIMIT_EXACT: Error =
    Error::Text("ERR syntax error, LIMIT cannot be used without the special ~ option");
const NO_STRATEGY: Error =
    Error::Text("ERR syntax error, XTRIM must be called with a trimming strategy");

/// Nodes that a trimming by whole nodes removes at most, if nothing else is said.
const NODES_MAX: usize = 100;
/// What that comes to if nodes have no limit, and what it may come to.
const ENTRIES_DEFAULT: u64 = 10_000;
const ENTRIES_MAX: u64 = 1_000_000;

impl TrimOptions {
    /// Reads the options, which begin behind the key.
    pub fn parse(args: &[&[u8]], command: For, settings: &Settings) -> Result<Self, Error> {
        let mut options = Self { trim: None, nomkstream: false, id: None };
        let (mut keep, mut is_exact, mut limit) = (None, true, None);
        let mut at = 2;
        while let Some(arg) = args.get(at) {
            if command == For::Xadd && *arg == b"*" {
                options.id = Some((NewId::Auto, at));
                break;
            }
            let is = |name: &[u8]| arg.eq_ignore_ascii_case(name);
            let more = args.len() - at - 1;
            let (maxlen, minid) = (is(b"MAXLEN"), is(b"MINID"));
            if (maxlen || minid) && 0 < more {
                if keep.is_some() {
                    return Err(TWICE);
                }
                let mark = if 2 <= more { args[at + 1] } else { b"" };
                is_exact = mark != b"~";
                at += if matches!(mark, b"~" | b"=") { 2 } else { 1 };
                keep = Some(if maxlen { parse_len(args[at])? } else { parse_from(args[at])? });
            } else if is(b"LIMIT") && 0 < more {
                at += 1;
                let count = parse_i64(args[at]).ok_or(Error::NotInteger)?;
                limit = Some(u64::try_from(count).map_err(|_| LIMIT_NEGATIVE)?);
            } else if command == For::Xadd && is(b"NOMKSTREAM") {
                options.nomkstream = true;
            } else if command == For::Xadd {
                options.id = Some((parse_new_id(arg)?, at));
                break;
            } else {
                return Err(Error::Syntax);
            }
            at += 1;
        }
        if limit.is_some_and(|limit| limit != 0) && keep.is_none() {
            return Err(LIMIT_ALONE);
        }
        if command == For::Xtrim && keep.is_none() {
            return Err(NO_STRATEGY);
        }
        // A primary says with `=` what it has removed, and leaves the limit of its client behind.
        if limit.is_some() && is_exact && !settings.obeys {
            return Err(LIMIT_EXACT);
        }
        let precision = if is_exact {
            Precision::Exact
        } else {
            Precision::Nodes(limit.unwrap_or_else(|| default_limit(settings.limits.stream)))
        };
        options.trim = keep.map(|keep| Trim { keep, precision });
        Ok(options)
    }
}

fn parse_len(arg: &[u8]) -> Result<Keep, Error> {
    let count = parse_i64(arg).ok_or(Error::NotInteger)?;
    u64::try_from(count).map(Keep::Last).map_err(|_| MAXLEN_NEGATIVE)
}

fn parse_from(arg: &[u8]) -> Result<Keep, Error> {
    parse_id(arg).map(Keep::From)
}

fn default_limit(limits: StreamLimits) -> u64 {
    match u64::try_from(limits.node_entries.saturating_mul(NODES_MAX)) {
        Ok(0) => ENTRIES_DEFAULT,
        Ok(entries) if entries <= ENTRIES_MAX => entries,
        Ok(_) | Err(_) => ENTRIES_MAX,
    }
}

/// A trimming to say what happened to a replica: exact, so that nodes play no part.
pub(super) struct Exactly {
    name: &'static [u8],
    text: [u8; ID_BYTES_MAX],
    start: usize,
}

impl Exactly {
    /// The words for it.
    pub fn new(keep: Keep) -> Self {
        let mut text = [0; ID_BYTES_MAX];
        let mut digits = [0; DIGITS_MAX];
        let (name, printed): (&[u8], _) = match keep {
            Keep::Last(count) => (b"MAXLEN", format_u64(&mut digits, count).len()),
            Keep::From(id) => (b"MINID", id.format(&mut text).len()),
        };
        let start = ID_BYTES_MAX - printed;
        if let Keep::Last(_) = keep {
            text[start..].copy_from_slice(&digits[DIGITS_MAX - printed..]);
        }
        Self { name, text, start }
    }

    /// Three arguments.
    pub fn args(&self) -> [&[u8]; 3] {
        [self.name, b"=", &self.text[self.start..]]
    }
}
