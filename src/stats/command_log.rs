//! The command logs: who writes entries, how they get their client's name, where they are kept.
//!
//! A shard that runs a slow or large command makes an entry. The entry goes by the client's home,
//! where it gets the client's name, to control, which keeps it.

use crate::reactor::ring::Token;
use crate::routing::slots::Peer;
use std::collections::VecDeque;

use shards::commands::spec::Spec;

use crate::config::live::is_secret;
use crate::config::table::Config;

/// A command for the command logs.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Which log.
    pub kind: LogKind,
    /// When, in seconds since the epoch.
    pub time: u64,
    /// Microseconds it took, or bytes it had.
    pub amount: u64,
    /// Its arguments, shortened as Valkey does.
    pub args: Vec<Vec<u8>>,
    /// The home of the client, and the client.
    pub client: (Peer, Token),
    /// The other end of the client's connection, as CLIENT LIST shows it.
    pub addr: String,
    /// The name of the client, filled in at its home.
    pub name: Vec<u8>,
}

/// The logs of COMMANDLOG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Commands that took long.
    Slow,
    /// Large requests.
    LargeRequest,
    /// Large replies.
    LargeReply,
}

/// Arguments, and bytes of one, that are kept.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

/// What a command that ended was like.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Microseconds it took.
    pub micros: u64,
    /// Bytes of the request, as the protocol writes it.
    pub request_bytes: usize,
    /// Bytes of its reply.
    pub reply_bytes: usize,
}

impl Ended {
    /// The logs that want it, and the figure that each shows.
    pub fn logs(self, config: &Config) -> impl Iterator<Item = (LogKind, u64)> + use<> {
        let Self { micros, request_bytes, reply_bytes } = self;
        let logs = [
            (LogKind::Slow, micros, config.commandlog_execution_slower_than),
            (LogKind::LargeRequest, request_bytes as u64, config.commandlog_request_larger_than),
            (LogKind::LargeReply, reply_bytes as u64, config.commandlog_reply_larger_than),
        ];
        // A limit below zero is none.
        let wants = |(kind, figure, limit): (LogKind, u64, i64)| {
            u64::try_from(limit).is_ok_and(|limit| limit <= figure).then_some((kind, figure))
        };
        logs.into_iter().filter_map(wants)
    }
}

/// The three logs, kept by control.
#[derive(Debug, Default)]
pub struct CommandLogs {
    logs: [Log; 3],
}

/// Entries with their numbers, the newest first.
#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<(u64, SlowEntry)>,
    next: u64,
}

impl CommandLogs {
    /// Takes an entry in; the oldest go if there are too many.
    pub fn add(&mut self, entry: SlowEntry, config: &Config) {
        let kind = entry.kind;
        let log = self.log(kind);
        log.entries.push_front((log.next, entry));
        log.next += 1;
        let length = match kind {
            LogKind::Slow => config.commandlog_slow_execution_max_len,
            LogKind::LargeRequest => config.commandlog_large_request_max_len,
            LogKind::LargeReply => config.commandlog_large_reply_max_len,
        };
        log.entries.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    }

    /// The newest entries of a log with their numbers, at most so many.
    pub fn newest(&self, kind: LogKind, count: usize) -> Vec<&(u64, SlowEntry)> {
        self.logs[kind as usize].entries.iter().take(count).collect()
    }

    /// How many entries a log has.
    pub fn len(&self, kind: LogKind) -> usize {
        self.logs[kind as usize].entries.len()
    }

    /// Whether no log has an entry.
    pub fn is_empty(&self) -> bool {
        self.logs.iter().all(|log| log.entries.is_empty())
    }

    /// Empties a log; its numbers go on.
    pub fn reset(&mut self, kind: LogKind) {
        self.log(kind).entries.clear();
    }

    fn log(&mut self, kind: LogKind) -> &mut Log {
        &mut self.logs[kind as usize]
    }
}

/// Bytes of a request as the protocol writes it.
pub fn request_bytes(args: &[&[u8]]) -> usize {
    // A type byte, the digits and a line end.
    let number = |number: usize| 1 + number.checked_ilog10().map_or(1, |log| log as usize + 1) + 2;
    let arg = |arg: &&[u8]| number(arg.len()) + arg.len() + 2;
    number(args.len()) + args.iter().map(arg).sum::<usize>()
}

/// Arguments as the logs keep them: at most 32, of at most 128 bytes each; what is left out is
/// told in words, as Valkey does. Passwords are left out altogether.
pub fn shown(spec: &Spec, args: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if args.len() <= ARGS_MAX { args.len() } else { ARGS_MAX - 1 };
    let show = |(place, arg): (usize, &&[u8])| {
        if is_password(spec, args, place) {
            return b"(redacted)".to_vec();
        }
        if arg.len() <= ARG_BYTES_MAX {
            return arg.to_vec();
        }
        let mut short = arg[..ARG_BYTES_MAX].to_vec();
        let left = arg.len() - ARG_BYTES_MAX;
        short.extend_from_slice(format!("... ({left} more bytes)").as_bytes());
        short
    };
    let mut list: Vec<Vec<u8>> = args[..kept].iter().enumerate().map(show).collect();
    if kept < args.len() {
        list.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    list
}

/// Whether the argument at `place` tells which user a client is or proves it.
pub fn is_password(spec: &Spec, args: &[&[u8]], place: usize) -> bool {
    let follows_auth = |place: usize| {
        let before = place.checked_sub(1).map(|before| args[before]);
        before.is_some_and(|before| before.eq_ignore_ascii_case(b"AUTH"))
    };
    match spec.name {
        "auth" => 1 <= place,
        "hello" => follows_auth(place) || place.checked_sub(1).is_some_and(follows_auth),
        "config|set" => 3 <= place && place % 2 == 1 && is_secret(args[place - 1]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: Spec = Spec { name: "set", ..Spec::EMPTY };

    fn check(name: &'static str, request: &str, expected: &str) {
        let spec = Spec { name, ..Spec::EMPTY };
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let shown = shown(&spec, &args).join(&b' ');
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
    }

    #[test]
    fn long_requests_are_logged_in_short() {
        let long = [b'x'; 130];
        let short = shown(&SET, &[b"set", &long]);
        assert_eq!(short[0], b"set");
        assert!(short[1].ends_with(b"x... (2 more bytes)"));
        let many = [&b"a"[..]; 40];
        let short = shown(&SET, &many);
        assert_eq!(short.len(), 32);
        assert_eq!(short[31], b"... (9 more arguments)");
    }

    #[test]
    fn a_request_is_as_long_as_the_protocol_makes_it() {
        assert_eq!(request_bytes(&[b"PING"]), b"*1\r\n$4\r\nPING\r\n".len());
        assert_eq!(request_bytes(&[b"", &[b'x'; 10]]), b"*2\r\n$0\r\n\r\n$10\r\n\r\n".len() + 10);
    }

    #[test]
    fn passwords_are_not_logged() {
        check("auth", "AUTH me pass", "AUTH (redacted) (redacted)");
        check(
            "hello",
            "hello 3 auth me pass setname x",
            "hello 3 auth (redacted) (redacted) setname x",
        );
        check(
            "config|set",
            "config set hz 1 RequirePass x",
            "config set hz 1 RequirePass (redacted)",
        );
        check("set", "set auth x", "set auth x");
    }

    #[test]
    fn a_log_keeps_the_newest_and_counts_on() {
        let mut logs = CommandLogs::default();
        let config = Config { commandlog_slow_execution_max_len: 2, ..Config::default() };
        let entry = |kind| SlowEntry {
            kind,
            time: 0,
            amount: 0,
            args: Vec::new(),
            client: Default::default(),
            addr: String::new(),
            name: Vec::new(),
        };
        (0..3).for_each(|_| logs.add(entry(LogKind::Slow), &config));
        logs.add(entry(LogKind::LargeReply), &config);
        let numbers = |logs: &CommandLogs, kind, count| -> Vec<u64> {
            logs.newest(kind, count).iter().map(|entry| entry.0).collect()
        };
        assert_eq!(numbers(&logs, LogKind::Slow, 10), [2, 1]);
        assert_eq!(numbers(&logs, LogKind::Slow, 1), [2]);
        assert_eq!(numbers(&logs, LogKind::LargeReply, 10), [0]);
        logs.reset(LogKind::Slow);
        logs.add(entry(LogKind::Slow), &config);
        assert_eq!(numbers(&logs, LogKind::Slow, 10), [3]);
        assert_eq!((logs.len(LogKind::LargeReply), logs.is_empty()), (1, false));
    }
}
