//! What INFO and ROLE show of a node's replication: words, names and order are Valkey 9.1.2's.

use std::fmt::{Display, Write};

use shards::resp::reply::Replies;

use crate::replication::address::Address;
use crate::replication::history::Scalar;
use crate::replication::link::report::{Observed, Status};
use crate::replication::moment::Moment;
use crate::replication::payload::Form;
use crate::replication::psync::Backlog;
use crate::replication::session::sync::Shortage;

/// A node without a former stream says this of it.
const NO_REPLID: &str = "0000000000000000000000000000000000000000";

/// A node's replication at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationView {
    /// The primary that it follows; `None` on a primary.
    pub following: Option<Following>,
    /// The sessions of its replicas, in order.
    pub replicas: Vec<Replica>,
    /// Replicas that get no full sync for want of memory, and what their last one needed.
    pub refused: Vec<(Address, Shortage)>,
    /// How many of them count for `min-replicas-to-write`, unless writes need none.
    pub good_replicas: Option<usize>,
    /// `Failover::state_name`.
    pub failover: &'static str,
    /// The name of the stream.
    pub replid: String,
    /// The former name, and the place up to which it is good, too.
    pub former: Option<(String, Scalar)>,
    /// Where the stream is.
    pub offset: Scalar,
    /// What is kept of it.
    pub backlog: Backlog,
    /// `repl-backlog-size`.
    pub backlog_bytes: u64,
}

/// A replica of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// `Session::info_line`.
    pub line: String,
    /// `Session::role_entry`.
    pub role: Option<[String; 3]>,
}

/// The link to a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// Where the primary is.
    pub primary: Address,
    /// What the link is about.
    pub status: Status,
    /// Seconds since the primary last sent something, if it has.
    pub silent_seconds: Option<u64>,
    /// Why the last attempt failed, if one did since this primary is to be followed.
    pub last_error: Option<String>,
    /// Seconds for which the stream has not run, if it ran before.
    pub down_seconds: Option<u64>,
    /// Bytes of the snapshot that have come.
    pub snapshot_bytes: u64,
    /// The offset behind all that has come of the stream.
    pub read: u64,
    /// The offset behind all that is applied.
    pub applied: u64,
    /// Logs that come each by a connection of its own; 0 while the stream of all logs comes.
    pub logs: usize,
    /// Bytes of them that are stored, since their snapshot is not the data or was not until now.
    pub stored_bytes: u64,
    /// `replica-priority`.
    pub priority: u32,
    /// `replica-read-only`.
    pub is_read_only: bool,
    /// `replica-announced`.
    pub is_announced: bool,
}

impl ReplicationView {
    /// A primary that no replica has ever followed.
    pub fn of_primary(replid: String, backlog_bytes: u64) -> Self {
        Self {
            following: None,
            replicas: Vec::new(),
            refused: Vec::new(),
            good_replicas: None,
            failover: "no-failover",
            replid,
            former: None,
            offset: Scalar(0),
            backlog: Backlog::None,
            backlog_bytes,
        }
    }

    /// Its role as INFO, ROLE and HELLO call it.
    pub fn role(&self) -> &'static str {
        if self.following.is_some() { "slave" } else { "master" }
    }

    /// Writes the section of INFO, without its title.
    pub fn write_info(&self, text: &mut String) {
        put(text, "role", self.role());
        if let Some(following) = &self.following {
            following.write_info(text);
        }
        put(text, "connected_slaves", self.replicas.len());
        if let Some(good) = self.good_replicas {
            put(text, "min_slaves_good_slaves", good);
        }
        for Replica { line, .. } in &self.replicas {
            text.push_str(line);
            text.push_str("\r\n");
        }
        for (number, (address, shortage)) in self.refused.iter().enumerate() {
            let Address { host, port } = address;
            let Shortage { took_ms, rate, needs } = shortage;
            let name = format!("sync_refused{number}");
            let figures = format!("took_ms={took_ms},bytes_per_second={rate},needs_bytes={needs}");
            put(text, &name, format_args!("ip={host},port={port},{figures}"));
        }
        // Of syncs that use two connections, which no replica is offered.
        put(text, "replicas_waiting_psync", 0);
        put(text, "master_failover_state", self.failover);
        put(text, "master_replid", &self.replid);
        let former = self.former.as_ref();
        put(text, "master_replid2", former.map_or(NO_REPLID, |(replid, _)| replid));
        put(text, "master_repl_offset", self.offset);
        match former {
            Some((_, until)) => put(text, "second_repl_offset", until.after(1)),
            None => put(text, "second_repl_offset", -1),
        }
        self.write_backlog(text);
    }

    /// Bytes count from 1 there.
    fn write_backlog(&self, text: &mut String) {
        let (is_active, first, len) = match self.backlog {
            Backlog::None => (0, Scalar(0), 0),
            Backlog::Beginning => (1, self.offset.after(1), 0),
            Backlog::Kept { first, end } => (1, first.after(1), end.0.saturating_sub(first.0)),
        };
        put(text, "repl_backlog_active", is_active);
        put(text, "repl_backlog_size", self.backlog_bytes);
        put(text, "repl_backlog_first_byte_offset", first);
        put(text, "repl_backlog_histlen", len);
    }

    /// Writes what ROLE answers.
    pub fn write_role(&self, replies: &mut Replies<'_>) {
        if let Some(Following { primary, status, applied, .. }) = &self.following {
            replies.array(5);
            replies.bulk(self.role().as_bytes());
            replies.bulk(primary.host.as_bytes());
            replies.integer(primary.port.into());
            replies.bulk(role_word(*status).as_bytes());
            return replies.integer(if status.is_up() { signed(*applied) } else { -1 });
        }
        let online: Vec<&[String; 3]> =
            self.replicas.iter().filter_map(|replica| replica.role.as_ref()).collect();
        replies.array(3);
        replies.bulk(self.role().as_bytes());
        replies.integer(signed(self.offset.0));
        replies.array(online.len());
        for entry in online {
            replies.array(entry.len());
            entry.iter().for_each(|word| replies.bulk(word.as_bytes()));
        }
    }
}

impl Following {
    /// The link as it is now, unless it is to follow none. Settings are Valkey's defaults.
    pub fn of(observed: &Observed<'_>, now: Moment) -> Option<Self> {
        let seconds = |since: Moment| now.since(since) / 1000;
        Some(Self {
            primary: observed.desired.primary.clone()?,
            status: observed.status,
            silent_seconds: observed.last_io.map(seconds),
            last_error: observed.last_failure.map(ToString::to_string),
            down_seconds: observed.down_since.map(seconds),
            snapshot_bytes: observed.snapshot_bytes,
            read: observed.read.0,
            applied: observed.applied.0,
            logs: 0,
            stored_bytes: 0,
            priority: 100,
            is_read_only: true,
            is_announced: true,
        })
    }

    fn write_info(&self, text: &mut String) {
        let Self { primary, status, .. } = self;
        let is_up = status.is_up();
        put(text, "master_host", &primary.host);
        put(text, "master_port", primary.port);
        put(text, "master_link_status", if is_up { "up" } else { "down" });
        let silent = self.silent_seconds.filter(|_| is_up);
        put(text, "master_last_io_seconds_ago", or_never(silent));
        put(text, "master_sync_in_progress", u8::from(status.is_sync()));
        if self.logs != 0 {
            put(text, "master_link_logs", self.logs);
        }
        if self.stored_bytes != 0 {
            put(text, "master_link_stored_bytes", self.stored_bytes);
        }
        put(text, "slave_read_repl_offset", self.read);
        put(text, "slave_repl_offset", self.applied);
        // Of syncs that use two connections, for which this node does not ask.
        put(text, "replicas_repl_buffer_size", 0);
        put(text, "replicas_repl_buffer_peak", 0);
        if status.is_sync() {
            self.write_sync(text);
        }
        if !is_up {
            if let Some(error) = &self.last_error {
                put(text, "master_link_last_error", error);
            }
            put(text, "master_link_down_since_seconds", or_never(self.down_seconds));
        }
        put(text, "slave_priority", self.priority);
        put(text, "slave_read_only", u8::from(self.is_read_only));
        put(text, "replica_announced", u8::from(self.is_announced));
    }

    /// As in Valkey, a snapshot that does not tell its length has 0 bytes, and less than none are
    /// left of it.
    fn write_sync(&self, text: &mut String) {
        let read = self.snapshot_bytes;
        let total = match self.status {
            Status::Receiving(Some(Form::Length(length))) => length,
            // All of it is here.
            Status::Committing => read,
            _ => 0,
        };
        let percent = if total == 0 { 0.0 } else { read as f64 / total as f64 * 100.0 };
        put(text, "master_sync_total_bytes", total);
        put(text, "master_sync_read_bytes", read);
        put(text, "master_sync_left_bytes", signed(total).saturating_sub(signed(read)));
        put(text, "master_sync_perc", format_args!("{percent:.2}"));
        put(text, "master_sync_last_io_seconds_ago", or_never(self.silent_seconds));
    }
}

/// What ROLE calls the state of a link.
const fn role_word(status: Status) -> &'static str {
    match status {
        Status::Idle => "none",
        Status::Waiting(_) => "connect",
        Status::Connecting => "connecting",
        Status::Greeting(_) | Status::Asking => "handshake",
        Status::Receiving(_) | Status::Committing => "sync",
        Status::Following => "connected",
    }
}

/// Seconds; -1 stands for never.
fn or_never(seconds: Option<u64>) -> i64 {
    seconds.map_or(-1, signed)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Adds `name:value`.
fn put(text: &mut String, name: &str, value: impl Display) {
    write!(text, "{name}:{value}\r\n").expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use shards::resp::reply::Protocol;

    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_string(), port }
    }

    fn primary() -> ReplicationView {
        ReplicationView::of_primary("a".repeat(40), 10 << 20)
    }

    fn replica(status: Status) -> ReplicationView {
        let following = Following {
            primary: address("10.0.0.1", 6379),
            status,
            silent_seconds: Some(3),
            last_error: None,
            down_seconds: None,
            snapshot_bytes: 250,
            read: 90,
            applied: 80,
            logs: 0,
            stored_bytes: 0,
            priority: 100,
            is_read_only: true,
            is_announced: true,
        };
        ReplicationView { following: Some(following), offset: Scalar(80), ..primary() }
    }

    /// The lines of INFO, those that are in `known` left out.
    fn lines(view: &ReplicationView, known: &str) -> String {
        let mut text = String::new();
        view.write_info(&mut text);
        assert!(text.ends_with("\r\n"));
        let is_new = |line: &&str| !known.lines().any(|it| it == *line);
        text.lines().filter(is_new).collect::<Vec<_>>().join("\n")
    }

    fn role(view: &ReplicationView) -> String {
        let mut out = Vec::new();
        view.write_role(&mut Replies::new(&mut out, Protocol::Resp2));
        String::from_utf8(out).expect("it is text").replace("\r\n", " ")
    }

    const PRIMARY: &str = "\
role:master
connected_slaves:0
replicas_waiting_psync:0
master_failover_state:no-failover
master_replid:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
master_replid2:0000000000000000000000000000000000000000
master_repl_offset:0
second_repl_offset:-1
repl_backlog_active:0
repl_backlog_size:10485760
repl_backlog_first_byte_offset:0
repl_backlog_histlen:0";

    #[test]
    fn a_primary_without_replicas_shows_what_valkey_shows() {
        assert_eq!(lines(&primary(), ""), PRIMARY);
        assert_eq!(role(&primary()), "*3 $6 master :0 *0 ");
    }

    #[test]
    fn a_primary_shows_its_replicas_and_what_it_keeps_of_its_stream() {
        let online = Replica {
            line: "slave0:ip=10.0.0.2,port=1,state=online".to_string(),
            role: Some(["10.0.0.2", "1", "14"].map(str::to_string)),
        };
        let waits = Replica { line: "slave1:ip=10.0.0.3".to_string(), role: None };
        let view = ReplicationView {
            replicas: vec![online, waits],
            refused: vec![(
                address("10.0.0.4", 2),
                Shortage { took_ms: 2000, rate: 750, needs: 6000 },
            )],
            good_replicas: Some(1),
            former: Some(("b".repeat(40), Scalar(100))),
            offset: Scalar(150),
            backlog: Backlog::Kept { first: Scalar(40), end: Scalar(150) },
            ..primary()
        };
        let expected = "\
connected_slaves:2
min_slaves_good_slaves:1
slave0:ip=10.0.0.2,port=1,state=online
slave1:ip=10.0.0.3
sync_refused0:ip=10.0.0.4,port=2,took_ms=2000,bytes_per_second=750,needs_bytes=6000
master_replid2:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
master_repl_offset:150
second_repl_offset:101
repl_backlog_active:1
repl_backlog_first_byte_offset:41
repl_backlog_histlen:110";
        assert_eq!(lines(&view, PRIMARY), expected);
        let expected = "*3 $6 master :150 *1 *3 $8 10.0.0.2 $1 1 $2 14 ";
        assert_eq!(role(&view), expected);
        let begins =
            ReplicationView { backlog: Backlog::Beginning, offset: Scalar(7), ..primary() };
        let expected =
            "master_repl_offset:7\nrepl_backlog_active:1\nrepl_backlog_first_byte_offset:8";
        assert_eq!(lines(&begins, PRIMARY), expected);
    }

    #[test]
    fn a_replica_shows_its_link() {
        let expected = "\
role:slave
master_host:10.0.0.1
master_port:6379
master_link_status:up
master_last_io_seconds_ago:3
master_sync_in_progress:0
slave_read_repl_offset:90
slave_repl_offset:80
replicas_repl_buffer_size:0
replicas_repl_buffer_peak:0
slave_priority:100
slave_read_only:1
replica_announced:1
master_repl_offset:80";
        assert_eq!(lines(&replica(Status::Following), PRIMARY), expected);
    }

    /// Status, what INFO shows of it and a link that runs does not, and ROLE's word.
    const LINKS: &[(Status, &str, &str)] = &[
        (Status::Following, "", "connected :80"),
        (Status::Connecting, "down -1", "connecting :-1"),
        (Status::Asking, "down -1", "handshake :-1"),
        (Status::Receiving(None), "sync 0 250 -250 0.00 3", "sync :-1"),
        (Status::Receiving(Some(Form::Mark)), "sync 0 250 -250 0.00 3", "sync :-1"),
        (Status::Receiving(Some(Form::Length(1000))), "sync 1000 250 750 25.00 3", "sync :-1"),
        (Status::Committing, "sync 250 250 0 100.00 3", "sync :-1"),
    ];

    #[test]
    fn a_link_that_does_not_run_says_what_it_is_about() {
        let known = lines(&replica(Status::Following), "");
        for (status, shown, word) in LINKS {
            let view = replica(*status);
            let values: Vec<&str> = shown.split(' ').collect();
            let expected = match values[..] {
                ["sync", total, read, left, percent, silent] => format!(
                    "master_link_status:down\nmaster_last_io_seconds_ago:-1\n\
                     master_sync_in_progress:1\nmaster_sync_total_bytes:{total}\n\
                     master_sync_read_bytes:{read}\nmaster_sync_left_bytes:{left}\n\
                     master_sync_perc:{percent}\nmaster_sync_last_io_seconds_ago:{silent}\n\
                     master_link_down_since_seconds:-1"
                ),
                ["down", since] => format!(
                    "master_link_status:down\nmaster_last_io_seconds_ago:-1\n\
                     master_link_down_since_seconds:{since}"
                ),
                _ => String::new(),
            };
            assert_eq!(lines(&view, &known), expected, "{status:?}");
            let word = word.split_once(' ').map(|(word, offset)| {
                format!("*5 $5 slave $8 10.0.0.1 :6379 ${} {word} {offset} ", word.len())
            });
            assert_eq!(Some(role(&view)), word, "{status:?}");
        }
    }
}
