//! A child of a node: it sends a snapshot to replicas, or writes one to the disk. One at a time.

use keylane::replication::greeting::{Framing, Terms};
use keylane::replication::history::Scalar;
use keylane::replication::replid::ReplId;
use keylane::replication::session::{Progress, SessionId};

use crate::agenda::{Env, Event, Micros};
use crate::checks::SnapshotId;
use crate::disk::Saved;
use crate::network::{ConnId, Tried};
use crate::node::Node;
use crate::node::letters::{Lent, Letter};
use crate::node::standing::Wish;
use crate::node::upstream::DIGITS;

/// A replica that takes nothing for so long is given up.
const PATIENCE: Micros = 5_000_000;

#[derive(Debug)]
pub enum Child {
    Sends(Vec<Target>),
    Saves(Saved),
}

/// A replica that is sent a snapshot.
#[derive(Debug)]
pub struct Target {
    session: SessionId,
    /// What is left for each connection.
    left: Vec<(ConnId, Vec<u8>)>,
    written: usize,
    /// When it last took something.
    since: Micros,
    is_lost: bool,
}

impl Node {
    /// Asks the relay for the connections of those who wait for a snapshot, if it is time.
    pub fn begin_sync(&mut self, env: &mut Env) {
        let delay = env.setup.sync_delay_ms * 1000;
        let (now, control) = (env.agenda.now, &mut self.control);
        let is_busy = control.child.is_some() || control.standing.has_sync();
        let is_chunks = |terms: &Terms| terms.framing == Framing::Chunks;
        let delay_of = |terms: &Terms| if is_chunks(terms) { delay.min(200_000) } else { delay };
        let is_due =
            |(_, terms, since): &&(SessionId, Terms, Micros)| delay_of(terms) <= now - since;
        let Some((_, first, _)) = control.waiting.iter().find(is_due).copied() else { return };
        if control.is_lending || is_busy {
            return;
        }
        let is_like_first =
            |(_, terms, _): &mut (SessionId, Terms, Micros)| is_chunks(terms) == is_chunks(&first);
        let sessions = control.waiting.extract_if(.., is_like_first);
        let sessions = sessions.map(|(session, ..)| session).collect();
        control.is_lending = true;
        self.tell_relay(env, Letter::Lend(sessions));
    }

    /// Sends a snapshot to these from now on.
    pub fn begin_transfer(
        &mut self,
        env: &mut Env,
        SnapshotId(number): SnapshotId,
        (replid, cut): (ReplId, Scalar),
        lent: Vec<Lent>,
    ) {
        let padding = [0, 50, 2_000][env.below(3)];
        let (mark, now) = (env.name(), env.agenda.now);
        let body = format!("{number:0width$}{}", "x".repeat(padding), width = DIGITS);
        let whole = format!("+FULLRESYNC {replid} {cut}\r\n$EOF:{mark}\r\n{body}{mark}");
        let chunk = format!("{number} {replid} {cut}\n{}\n", "x".repeat(padding));
        let target = |lent: Lent| {
            let text = if lent.is_by_chunks { &chunk } else { &whole };
            let left = lent.conns.into_iter().map(|conn| (conn, text.clone().into_bytes()));
            let (session, left) = (lent.session, left.collect());
            Target { session, left, written: 0, since: now, is_lost: false }
        };
        self.control.child = Some(Child::Sends(lent.into_iter().map(target).collect()));
        self.child_soon(env);
    }

    /// Writes a snapshot to the disk from now on.
    pub fn begin_saving(&mut self, env: &mut Env, saved: Saved) {
        self.control.child = Some(Child::Saves(saved));
        self.child_soon(env);
    }

    fn child_soon(&self, env: &mut Env) {
        let most = [2_000, 200_000][env.below(2)];
        let delay = 1 + env.random.below(most);
        env.agenda.add(delay, Event::Child(self.run));
    }

    /// The child gets on.
    pub fn turn_child(&mut self, env: &mut Env) {
        match self.control.child.take() {
            None => {}
            Some(Child::Saves(saved)) => {
                self.control.disk.saved = Some(saved);
                self.next_wish(env);
            }
            Some(Child::Sends(mut targets)) => {
                let piece = 1 + env.below(900);
                for target in &mut targets {
                    target.write(self.run.node, piece, env);
                }
                let written = targets.iter().map(|target| target.written).max().unwrap_or(0);
                let progress = Progress { written: written as u64, expected: 0 };
                self.tell_relay(env, Letter::Progress(progress));
                if targets.iter().all(|target| target.is_lost || target.is_done()) {
                    return self.transfer_ends(env, targets);
                }
                self.control.child = Some(Child::Sends(targets));
                self.child_soon(env);
            }
        }
    }

    fn transfer_ends(&mut self, env: &mut Env, targets: Vec<Target>) {
        for Target { session, is_lost, .. } in targets {
            let result = if is_lost { Err("it is lost".to_owned()) } else { Ok(()) };
            self.tell_relay(env, Letter::ChildEnded(session, result));
        }
        self.next_wish(env);
    }

    /// The session of a target has ended.
    pub fn cut_target(&mut self, _env: &mut Env, session: SessionId) {
        if let Some(Child::Sends(targets)) = &mut self.control.child {
            let of_it = targets.iter_mut().filter(|target| target.session == session);
            of_it.for_each(|target| target.is_lost = true);
        }
    }

    /// FLUSHALL ends a transfer.
    pub fn end_sync_by_flush(&mut self, env: &mut Env) {
        if let Some(Child::Sends(targets)) = self.control.child.take_if(|child| child.sends()) {
            for target in targets {
                self.tell_relay(env, Letter::Flushed(target.session));
            }
            self.next_wish(env);
        }
    }

    /// BGSAVE
    pub fn bgsave(&mut self, env: &mut Env) {
        if self.control.child.is_none() && !self.control.standing.has_sync() {
            self.wish(env, Wish::Save);
        }
    }

    /// SHUTDOWN SAVE
    pub fn shutdown(&mut self, env: &mut Env) {
        if !self.control.standing.has_sync() {
            self.control.child = None;
            self.wish(env, Wish::Final);
        }
    }
}

impl Child {
    fn sends(&self) -> bool {
        matches!(self, Self::Sends(_))
    }
}

impl Target {
    fn is_done(&self) -> bool {
        self.left.iter().all(|(_, left)| left.is_empty())
    }

    fn write(&mut self, node: usize, piece: usize, env: &mut Env) {
        if self.is_lost || self.is_done() {
            return;
        }
        let now = env.agenda.now;
        let Self { left, written, since, is_lost, .. } = self;
        for (conn, left) in left.iter_mut().filter(|(_, left)| !left.is_empty()) {
            match env.write(*conn, node, &left[..piece.min(left.len())]) {
                Tried::Moved(count) => {
                    left.drain(..count);
                    *written += count;
                    *since = now;
                }
                Tried::Later => *is_lost |= PATIENCE <= now - *since,
                Tried::Over => *is_lost = true,
            }
        }
    }
}
