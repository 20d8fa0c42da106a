//! A shard's log, and who reads it: the relay by segments, replicas by frames. This stands for
//! `journal::log`, `flows::outgoing` and `shard::streams`, whose windows are never as small as
//! those that a seed chooses here.

use std::collections::VecDeque;

use keylane::flows::frames::Frame;
use keylane::replication::history::Offset;
use keylane::replication::merge::{Segment, Stamp};
use keylane::replication::session::SessionId;
use shards::journal::entry::{HEADER, len_of};

use crate::agenda::{Env, Event};
use crate::checks::EntryNote;
use crate::faults::Fault;
use crate::network::{ConnId, Tried, parts};
use crate::node::Node;
use crate::node::letters::Letter;

/// The last bytes of a log.
#[derive(Debug)]
pub struct ShardLog {
    bytes: VecDeque<u8>,
    start: u64,
}

/// Turns of which it is remembered when they logged: a stream begins at a fence that was written
/// a little earlier.
const RECENT_MAX: usize = 4096;

/// What the relay is shown.
#[derive(Debug)]
pub struct Shown {
    /// For which stream.
    reading: u64,
    next: u64,
    credit: u64,
    /// Up to where each turn has logged that was not shown yet, and when it would have been.
    turns: VecDeque<(u64, Stamp)>,
    is_marked: bool,
}

/// A log on its way to one replica.
#[derive(Debug)]
pub struct Outgoing {
    pub session: SessionId,
    next: u64,
    pub conn: Option<ConnId>,
    /// Of a frame that was begun.
    out: Vec<u8>,
}

impl ShardLog {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn has(&self, offset: u64) -> bool {
        self.start <= offset && offset <= self.end()
    }

    fn read(&self, from: u64, count: u64) -> Vec<u8> {
        let at = usize::try_from(from - self.start).expect("it is short");
        let count = usize::try_from(count).expect("it is short");
        let mut read = Vec::with_capacity(count);
        let count = count.min(self.bytes.len().saturating_sub(at));
        parts(&self.bytes, at, count).for_each(|part| read.extend_from_slice(part));
        read
    }

    /// How long the entry is that begins there.
    fn entry_len(&self, from: u64) -> u64 {
        let at = usize::try_from(from - self.start).expect("it is short");
        let len = len_of(std::array::from_fn(|byte: usize| self.bytes[at + byte]));
        assert!(HEADER as u64 <= len, "an entry has a header");
        len
    }

    /// Whole entries, at least so many bytes of them unless they end.
    fn entries(&self, from: u64, least: u64) -> Vec<u8> {
        let mut to = from;
        while to < self.end() && to - from < least {
            to += self.entry_len(to);
        }
        self.read(from, to - from)
    }

    /// Forgets what need not be kept.
    fn trim(&mut self, window: u64, held_from: u64, held: u64) {
        let end = self.end();
        let wanted = held_from.max(end.saturating_sub(held)).min(end.saturating_sub(window));
        if self.start < wanted {
            let count = usize::try_from(wanted - self.start).expect("it is short");
            self.bytes.drain(..count);
            self.start = wanted;
        }
    }
}

impl Node {
    /// What a log has got ends with this entry.
    pub fn note_entry(&mut self, env: &mut Env, at: usize, is_unit: bool, begun: u64) {
        let Stamp(logged) = env.stamp();
        let end = self.shards[at].units.offset();
        let logs = self.logs.expect("a node that logs has logs");
        let log = u16::try_from(at).expect("shards are few");
        env.checks.note_entry(logs, log, EntryNote { end, is_unit, begun, logged });
    }

    /// Takes into the log what was logged, and shows it.
    pub fn show_log(&mut self, env: &mut Env, at: usize) {
        let shard = &mut self.shards[at];
        if !shard.keeps_log || shard.units.are_taken() {
            return;
        }
        let mut ended = Vec::new();
        shard.units.take(1 << 10, |offset, entries| {
            if shard.log.as_ref().is_none_or(|log| log.end() != offset) {
                (shard.shown, shard.log) = (None, None);
                shard.recent.clear();
                ended = std::mem::take(&mut shard.outgoing);
            }
            let empty = ShardLog { bytes: VecDeque::new(), start: offset };
            shard.log.get_or_insert(empty).bytes.extend(entries);
        });
        self.end_outgoing(env, at, ended);
        let stamp = self.stamp(env, at);
        let shard = &mut self.shards[at];
        let end = shard.log.as_ref().map_or(0, ShardLog::end);
        shard.recent.push_back((end, stamp));
        if RECENT_MAX < shard.recent.len() {
            shard.recent.pop_front();
        }
        if let Some(shown) = &mut shard.shown {
            shown.turns.push_back((end, stamp));
        }
        self.show_relay(env, at);
        self.trim_log(env, at);
        self.send_log_soon(env, at);
    }

    fn stamp(&self, env: &mut Env, at: usize) -> Stamp {
        let Stamp(moment) = env.stamp();
        let behind = if env.has(Fault::WrongStamps) { 300 * at as u64 } else { 0 };
        Stamp(moment + behind)
    }

    fn trim_log(&mut self, env: &Env, at: usize) {
        let shard = &mut self.shards[at];
        let shown = shard.shown.iter().map(|shown| shown.next);
        let held = shard.outgoing.iter().map(|outgoing| outgoing.next).chain(shown).min();
        let window = env.setup.backlog_bytes / self.owners_count();
        if let Some(log) = &mut self.shards[at].log {
            log.trim(window, held.unwrap_or(u64::MAX), env.setup.output_bytes.max(window));
        }
    }

    fn owners_count(&self) -> u64 {
        self.shards.len() as u64
    }

    /// Shows the relay as much as there is credit for.
    fn show_relay(&mut self, env: &mut Env, at: usize) {
        let number = u16::try_from(at).expect("shards are few");
        let relay = self.relay_thread();
        let shard = &mut self.shards[at];
        let (Some(log), Some(shown)) = (&shard.log, &mut shard.shown) else { return };
        while let Some(&(upto, stamp)) = shown.turns.front() {
            let (reading, next) = (shown.reading, shown.next);
            if next < log.start {
                shard.shown = None;
                return self.post.send(env, at, relay, Letter::Fell(reading));
            }
            let mut bytes = Vec::new();
            if 0 < shown.credit {
                bytes = log.entries(next, (upto - next).min(400));
                shown.next += bytes.len() as u64;
                shown.credit = shown.credit.saturating_sub(bytes.len() as u64);
                if shown.next == upto {
                    shown.turns.pop_front();
                }
            } else if std::mem::replace(&mut shown.is_marked, true) {
                return;
            }
            let is_kept_back = bytes.is_empty();
            shown.is_marked = is_kept_back;
            let segment = Segment { log: number, offset: Offset(next), stamp, bytes };
            self.post.send(env, at, relay, Letter::Segment(reading, segment));
            if is_kept_back {
                return;
            }
        }
    }

    /// The relay is shown the log from here on.
    pub fn open_log(&mut self, env: &mut Env, at: usize, reading: u64, Offset(offset): Offset) {
        self.show_log(env, at);
        let stamp = self.stamp(env, at);
        let (relay, credit) = (self.relay_thread(), env.setup.credit);
        let Some(log) = &self.shards[at].log else { return };
        if !log.has(offset) {
            self.shards[at].shown = None;
            return self.post.send(env, at, relay, Letter::Fell(reading));
        }
        let is_later = |turn: &&(u64, Stamp)| offset < turn.0;
        let mut turns: VecDeque<(u64, Stamp)> =
            self.shards[at].recent.iter().filter(is_later).copied().collect();
        if env.has(Fault::LateStamps) {
            turns.clear();
        }
        if turns.is_empty() && offset < log.end() {
            turns.push_back((log.end(), stamp));
        }
        self.shards[at].shown =
            Some(Shown { reading, next: offset, credit, turns, is_marked: false });
        self.show_relay(env, at);
    }

    pub fn give_credit(&mut self, env: &mut Env, at: usize, bytes: u64) {
        self.show_log(env, at);
        if let Some(shown) = &mut self.shards[at].shown {
            shown.credit += bytes;
        }
        self.show_relay(env, at);
    }

    /// Nothing is logged any more.
    pub fn close_log(&mut self, env: &mut Env, at: usize) {
        let shard = &mut self.shards[at];
        (shard.log, shard.shown) = (None, None);
        shard.recent.clear();
        let ended = std::mem::take(&mut shard.outgoing);
        self.end_outgoing(env, at, ended);
    }

    /// Keeps the log from here on for a replica.
    pub fn open_flow(
        &mut self,
        env: &mut Env,
        at: usize,
        session: SessionId,
        Offset(offset): Offset,
    ) {
        self.show_log(env, at);
        let relay = self.relay_thread();
        let shard = &mut self.shards[at];
        let is_there = shard.log.as_ref().is_some_and(|log| log.has(offset));
        if is_there {
            shard.outgoing.push(Outgoing { session, next: offset, conn: None, out: Vec::new() });
        }
        self.post.send(env, at, relay, Letter::FlowOpened(session, is_there));
    }

    /// Sends a replica the log by this connection.
    pub fn connect_flow(&mut self, env: &mut Env, at: usize, session: SessionId, conn: ConnId) {
        let mut outgoing = self.shards[at].outgoing.iter_mut();
        match outgoing.find(|outgoing| outgoing.session == session && outgoing.conn.is_none()) {
            Some(outgoing) => {
                outgoing.conn = Some(conn);
                self.own(conn, at);
                self.misplace(env, at, session);
                self.send_log_soon(env, at);
            }
            None => self.close(env, conn),
        }
    }

    /// Sends from another place than was asked for, if that is what is wrong.
    fn misplace(&mut self, env: &mut Env, at: usize, session: SessionId) {
        let shard = &mut self.shards[at];
        let Some(log) = &shard.log else { return };
        let mut outgoing = shard.outgoing.iter_mut();
        let outgoing = outgoing.find(|outgoing| outgoing.session == session).expect("it was found");
        if env.has(Fault::ResumesLate) && outgoing.next < log.end() {
            outgoing.next += log.entry_len(outgoing.next);
        }
    }

    pub fn close_flow(&mut self, env: &mut Env, at: usize, session: SessionId) {
        let is_it = |outgoing: &mut Outgoing| outgoing.session == session;
        let ended: Vec<Outgoing> = self.shards[at].outgoing.extract_if(.., is_it).collect();
        for conn in ended.into_iter().filter_map(|outgoing| outgoing.conn) {
            self.close(env, conn);
        }
        self.trim_log(env, at);
    }

    fn end_outgoing(&mut self, env: &mut Env, at: usize, ended: Vec<Outgoing>) {
        let relay = self.relay_thread();
        for Outgoing { session, conn, .. } in ended {
            conn.into_iter().for_each(|conn| self.close(env, conn));
            self.post.send(env, at, relay, Letter::FlowFell(session));
        }
    }

    fn send_log_soon(&mut self, env: &mut Env, at: usize) {
        let shard = &mut self.shards[at];
        if !shard.outgoing.is_empty() && !std::mem::replace(&mut shard.sends, true) {
            let delay = env.random.below(600);
            env.agenda.add(delay, Event::SendLog(self.run, at));
        }
    }

    /// Sends replicas what there is of the log.
    pub fn send_log(&mut self, env: &mut Env, at: usize) {
        let (run, relay) = (self.run, self.relay_thread());
        let shard = &mut self.shards[at];
        shard.sends = false;
        let number = u16::try_from(at).expect("shards are few");
        let Some(log) = &shard.log else { return };
        let (mut fallen, mut has_more) = (Vec::new(), false);
        for Outgoing { session, next, conn, out } in &mut shard.outgoing {
            if *next < log.start {
                fallen.push(*session);
                continue;
            }
            let Some(conn) = *conn else { continue };
            while out.is_empty() && *next < log.end() {
                let piece = log.read(*next, 1 + env.random.below(300));
                let mut frame = Frame::begin(out);
                frame.push(&piece);
                frame.end(number, Offset(*next));
                *next += piece.len() as u64;
            }
            let wrote = env.write(conn, run.node, out);
            if let Tried::Moved(count) = wrote {
                out.drain(..count);
            }
            // A full socket says by itself when there is room.
            has_more |= out.is_empty() && *next < log.end();
        }
        for session in fallen {
            shard
                .outgoing
                .retain(|outgoing| outgoing.session != session || outgoing.conn.is_some());
            self.post.send(env, at, relay, Letter::FlowFell(session));
        }
        if has_more {
            self.shards[at].sends = true;
            env.agenda.add(400, Event::SendLog(run, at));
        }
        self.trim_log(env, at);
    }

    /// A connection has news by which a log goes out, if it is one. True if it has ended.
    pub fn outgoing_ended(&mut self, env: &mut Env, at: usize, conn: ConnId) -> bool {
        let mut outgoing = self.shards[at].outgoing.iter();
        let Some(session) = outgoing.find(|outgoing| outgoing.conn == Some(conn)) else {
            return false;
        };
        let (session, relay) = (session.session, self.relay_thread());
        match env.read(conn, self.run.node, 100) {
            Tried::Over => self.post.send(env, at, relay, Letter::FlowLost(session)),
            Tried::Moved(_) | Tried::Later => {}
        }
        true
    }
}
