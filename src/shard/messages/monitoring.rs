//! MONITOR: clients that are shown every command that runs, on whatever shard.
//!
//! The shard that runs a command writes the line. At the end of what the shard is at, its lines go
//! to its own monitors and, as one letter, to every other shard that has some. So lines of one
//! shard, and with it of one key and of one EXEC, are in the order in which the commands ran. While
//! no client monitors, no shard knows of any of this.

use std::fmt::Write as _;

use shards::commands::spec::Flag;
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::clients::client::{Client, ReplyMode};
use crate::clients::line;
use crate::config::table::Config;
use crate::log;
use crate::mail::messages::Word;
use crate::mail::to_shard::ToShard;
use crate::pubsub::interest::Changes;
use crate::pubsub::kind::Kind;
use crate::pubsub::registry::Subscriber;
use crate::reactor::clock;
use crate::reactor::ring::Token;
use crate::routing::call::Call;
use crate::shard::core::Core;
use crate::shard::messages::subscribing::Announcement;
use crate::shard::requests::home::{AtHome, Needs};
use crate::shard::spare;
use crate::stats::command_log::is_password;
use crate::stats::notable::Serving;

/// What a client is told that asks for MONITOR in an EXEC.
pub(crate) const NOT_IN_EXEC: Error =
    Error::Text("ERR MONITOR isn't allowed for DENY BLOCKING client");
/// There is only one thing of its kind to listen to.
const NAME: &[u8] = b"";
/// Bytes of lines that wait while other shards cannot take them. What comes then is lost, and all
/// monitors are closed, so that none of them misses it without knowing.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What a shard knows of monitors.
#[derive(Debug, Default)]
pub struct Monitors {
    /// A client monitors, on some shard.
    pub(crate) wanted: bool,
    /// Lines that no monitor has been shown yet.
    lines: Vec<u8>,
}

impl Core {
    /// MONITOR for a client that is at home, outside of EXEC.
    pub(crate) fn begin_monitoring(&mut self, client: &mut Client, call: &Call) -> AtHome {
        self.count(call, false);
        if client.monitors {
            return AtHome::Done; // Without a reply, as in Valkey.
        }
        let mut announcement = Announcement::default();
        if client.session.reply == ReplyMode::On {
            let reply = &mut announcement.reply;
            Replies::new(reply, client.session.protocol).ok();
        }
        client.monitors = true;
        // What it is shown follows the reply.
        client.pushes.wait = true;
        let subscriber = Subscriber(client.token.bits());
        self.pubsub.registry.add(Kind::Monitor, NAME.into(), subscriber);
        announcement.changes.push((Kind::Monitor, NAME.into()));
        self.note_own_interest(Kind::Monitor, NAME);
        AtHome::Needs(Needs::Known(announcement))
    }

    /// Shows a client no commands any longer.
    pub(crate) fn end_monitoring(&mut self, client: &mut Client, changes: &mut Changes) {
        if std::mem::take(&mut client.monitors) {
            let subscriber = Subscriber(client.token.bits());
            self.pubsub.registry.remove(Kind::Monitor, NAME, subscriber);
            changes.push((Kind::Monitor, NAME.into()));
            self.note_own_interest(Kind::Monitor, NAME);
        }
    }

    /// Shows a command to those who monitor, unless it is none of their business.
    pub(crate) fn show(&mut self, call: &Call, args: &[&[u8]]) {
        let hidden = [Flag::Admin, Flag::SkipMonitor];
        if !self.monitors.wanted || hidden.iter().any(|&flag| call.spec.flags.has(flag)) {
            return;
        }
        let lines = &mut self.monitors.lines;
        write_head(lines, clock::wall_micros(), &self.serving, &self.node.config);
        for (place, arg) in args.iter().enumerate() {
            lines.push(b' ');
            let arg = if is_password(call.spec, args, place) { b"(redacted)" } else { *arg };
            write_quoted(lines, arg);
        }
        lines.extend_from_slice(b"\r\n");
    }

    /// Sends off the lines of what has just been done.
    #[inline]
    pub(crate) fn send_lines(&mut self) {
        if !self.monitors.lines.is_empty() {
            self.send_waiting_lines();
        }
    }

    #[cold]
    fn send_waiting_lines(&mut self) {
        let is_lost = WAITING_BYTES_MAX < self.monitors.lines.len();
        if self.mailbox.crowded() && !is_lost {
            return; // It is tried again in the next turn.
        }
        let mut lines = std::mem::take(&mut self.monitors.lines);
        let mut shards = Vec::new();
        self.pubsub.interest.shards(Kind::Monitor, NAME, |shard, _| shards.push(shard));
        for shard in shards {
            if shard == self.me() && is_lost {
                self.close_monitors();
            } else if shard == self.me() {
                self.receive_lines(&lines);
            } else {
                let word = if is_lost { Word::LinesLost } else { Word::Lines(lines.clone()) };
                self.mailbox.send(shard, ToShard::PubSub(word));
            }
        }
        lines.clear();
        if lines.capacity() <= spare::BYTES_MAX {
            self.monitors.lines = lines;
        }
    }

    /// Gives lines to all who monitor here.
    pub(crate) fn receive_lines(&mut self, lines: &[u8]) {
        let Self { pubsub, clients, .. } = self;
        pubsub.registry.receivers(Kind::Monitor, NAME, |_, subscribers| {
            for &Subscriber(bits) in subscribers {
                let token = Token::from_bits(bits);
                let client = clients.get(token).expect("no client is being served now");
                // A client that has said QUIT gets its reply, and nothing behind it.
                if client.session.reply != ReplyMode::On || client.is_ending() {
                    continue;
                }
                let pushes = &mut client.pushes;
                let to = if pushes.wait { &mut pushes.held } else { &mut client.out };
                to.extend_from_slice(lines);
                clients.mark_dirty_at(token);
            }
        });
    }

    /// Closes all who monitor here: there is something that they were not shown.
    pub(crate) fn close_monitors(&mut self) {
        let tokens = self.clients.tokens(|client| client.monitors);
        for token in tokens {
            log::warning("A monitor is closed: commands come faster than they can be shown.");
            self.remove_client(token);
        }
    }
}

/// `+` time ` [` database and client `]`.
fn write_head(lines: &mut Vec<u8>, micros: u64, serving: &Serving, config: &Config) {
    let client = match serving.peer {
        Some(_) => line::address(serving.peer, config),
        None => format!("unix:{}", config.unixsocket.display()),
    };
    let (seconds, micros, db) = (micros / 1_000_000, micros % 1_000_000, serving.db);
    lines.extend_from_slice(format!("+{seconds}.{micros:06} [{db} {client}]").as_bytes());
}

/// An argument between quotes, with escapes for what is not printed as it is.
fn write_quoted(lines: &mut Vec<u8>, arg: &[u8]) {
    lines.push(b'"');
    for &byte in arg {
        let letter = match byte {
            b'\\' | b'"' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x07 => b'a',
            0x08 => b'b',
            b' '..=b'~' => {
                lines.push(byte);
                continue;
            }
            _ => {
                let mut hex = String::with_capacity(4);
                write!(hex, "\\x{byte:02x}").expect("a string takes everything");
                lines.extend_from_slice(hex.as_bytes());
                continue;
            }
        };
        lines.extend_from_slice(&[b'\\', letter]);
    }
    lines.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_as_valkey_does() {
        let check = |arg: &[u8], expected: &str| {
            let mut lines = Vec::new();
            write_quoted(&mut lines, arg);
            assert_eq!(String::from_utf8(lines).unwrap(), expected);
        };
        check(b"k y~", "\"k y~\"");
        check(b"\x00\xffa\"b\\\n\r\t\x07\x08\x7f", r#""\x00\xffa\"b\\\n\r\t\a\b\x7f""#);
        check(b"", "\"\"");
    }

    #[test]
    fn a_line_begins_with_time_database_and_client() {
        let config = Config { unixsocket: "/tmp/sock".into(), ..Config::default() };
        let head = |serving: Serving| {
            let mut lines = Vec::new();
            write_head(&mut lines, 1_795_278_253_000_464, &serving, &config);
            String::from_utf8(lines).unwrap()
        };
        let peer = Some("127.0.0.1:52976".parse().unwrap());
        let client = Serving { peer, db: 3, ..Serving::default() };
        assert_eq!(head(client), "+1795278253.000464 [3 127.0.0.1:52976]");
        assert_eq!(head(Serving::default()), "+1795278253.000464 [0 unix:/tmp/sock]");
    }
}
