//! A shard's part in the end of the process: it does what control orders, one stage after the
//! other, and reports how far it is.
//!
//! A client is *at rest* when nothing it sent is under way or about to be. So is one whose request
//! waits for something that may never come: a key (BLPOP), the end of a pause, the end of the
//! process. It has been given everything it was answered before that request.

use hashbrown::{HashMap, HashSet};

use crate::clients::client::{Client, Finishing, State};
use crate::mail::end::EndWord;
use crate::mail::to_control::ToControl;
use crate::reactor::clock::Monotonic;
use crate::reactor::ring::Token;
use crate::reactor::ring::closing::Unfinished;
use crate::routing::node::Holds;
use crate::shard::core::{Core, SocketRequest};
use crate::shutdown::report::{Counts, Report};
use crate::shutdown::stage::Stage;

/// How often a shard looks how far it is.
const LOOK_MICROS: u64 = 1000;
/// How often it reports that although nothing is done.
const REPORT_MILLIS: u64 = 100;
/// For how long a client that takes nothing of its replies is waited for.
const STUCK_MILLIS: u64 = 500;

/// The end, as far as one shard has come.
#[derive(Debug)]
pub struct EndPart {
    attempt: u64,
    stage: Stage,
    /// Clients that the stage waits for.
    owing: HashSet<Token>,
    /// Clients with replies that they have not taken: what was left, and since when just that.
    taking: HashMap<Token, (Untaken, Monotonic)>,
    looked: Monotonic,
    told: Option<(Report, Monotonic)>,
}

/// Bytes of its replies that a client has not taken: here, and in the kernel.
type Untaken = (usize, u64);

impl Core {
    /// The stage that is under way.
    #[inline]
    pub fn end_stage(&self) -> Option<Stage> {
        self.end.as_ref().map(|end| end.stage)
    }

    /// What control says.
    pub(crate) fn hear_of_end(&mut self, word: EndWord) {
        match word {
            EndWord::Begin(attempt, stage) => self.begin_stage(attempt, stage),
            EndWord::CloseListeners => self.socket_requests.push(SocketRequest::CloseListeners),
            EndWord::Resume => self.stay(),
        }
    }

    fn begin_stage(&mut self, attempt: u64, stage: Stage) {
        let now = self.node.now;
        let mut end = self.end.take().unwrap_or_else(|| {
            Box::new(EndPart {
                attempt,
                stage,
                owing: HashSet::new(),
                taking: HashMap::new(),
                looked: now,
                told: None,
            })
        });
        let before = std::mem::replace(&mut end.stage, stage);
        (end.attempt, end.told) = (attempt, None);
        let (holds, finishing) = match stage {
            // A replica that was asked to take over may still do.
            Stage::Intake if before.holds_writes() => (Holds::Writes, Finishing::No),
            Stage::Intake | Stage::Linger => (Holds::Nothing, Finishing::No),
            Stage::Drain => (Holds::Writes, Finishing::Accepted),
            Stage::Hold
            | Stage::Handover
            | Stage::Pause
            | Stage::Replicas
            | Stage::Child
            | Stage::Save => (Holds::Writes, Finishing::UnderWay),
            Stage::Clients | Stage::Files | Stage::Shards => (Holds::All, Finishing::UnderWay),
        };
        end.owing.clear();
        end.taking.clear();
        let Self { clients, .. } = self;
        let mut changed = Vec::new();
        for client in clients.iter_mut() {
            let owes = match stage {
                Stage::Intake | Stage::Linger => false,
                Stage::Drain => !is_served(client),
                Stage::Hold
                | Stage::Handover
                | Stage::Pause
                | Stage::Replicas
                | Stage::Child
                | Stage::Save => !is_at_rest(client),
                Stage::Clients | Stage::Files | Stage::Shards => true,
            };
            // It may go on sending when it has been served: else it might never be.
            client.finishing = if owes { finishing } else { Finishing::No };
            if owes {
                end.owing.insert(client.token);
            }
            changed.push(client.token);
        }
        changed.into_iter().for_each(|token| self.clients.mark_dirty_at(token));
        self.end = Some(end);
        self.hold_for_end(holds);
        self.open_or_close_handovers();
    }

    /// There is no end: everything goes on as before.
    fn stay(&mut self) {
        if self.end.take().is_none() {
            return;
        }
        let tokens = self.clients.tokens(|_| true);
        for client in self.clients.iter_mut() {
            (client.finishing, client.late) = (Finishing::No, false);
        }
        tokens.into_iter().for_each(|token| self.clients.mark_dirty_at(token));
        self.hold_for_end(Holds::Nothing);
        self.open_or_close_handovers();
    }

    /// Goes on with the stage, and reports. `unfinished` sockets have no clients any more;
    /// `untaken` tells how much of what the kernel was given a client has not taken.
    pub fn go_on_ending(&mut self, unfinished: Unfinished, untaken: impl Fn(Token) -> u64) {
        let now = self.node.now;
        let Some(mut end) = self.end.take() else { return };
        if now.micros_since(end.looked) < LOOK_MICROS && end.told.is_some() {
            self.end = Some(end);
            return;
        }
        end.looked = now;
        self.see_who_takes(&mut end, untaken);
        if end.stage == Stage::Clients {
            self.let_go();
        } else {
            self.see_who_rests(&mut end);
        }
        let counts = self.end_counts(unfinished);
        let EndPart { attempt, stage, .. } = *end;
        let done = match stage {
            Stage::Linger | Stage::Clients => counts.clients == 0,
            // The shard says so itself when it has let go of the ring.
            Stage::Shards => false,
            Stage::Hold
            | Stage::Handover
            | Stage::Intake
            | Stage::Drain
            | Stage::Pause
            | Stage::Replicas
            | Stage::Child
            | Stage::Save
            | Stage::Files => end.owing.is_empty(),
        };
        let report = Report { attempt, stage, done, counts };
        let is_due = end.told.is_none_or(|(told, at)| {
            told.done != done || told != report && REPORT_MILLIS <= now.millis_since(at)
        });
        if is_due {
            end.told = Some((report, now));
            self.mailbox.tell_control(ToControl::Leaving(report));
        }
        self.end = Some(end);
    }

    /// Says that this shard has let go of everything.
    pub fn report_released(&mut self) {
        let Some(end) = &self.end else { return };
        let EndPart { attempt, stage, .. } = **end;
        let report = Report { attempt, stage, done: true, counts: Counts::default() };
        self.mailbox.tell_control(ToControl::Leaving(report));
    }

    /// Closes clients that the stage waits for and that take nothing of their replies.
    fn see_who_takes(&mut self, end: &mut EndPart, mark: impl Fn(Token) -> u64) {
        let now = self.node.now;
        let mut stuck = Vec::new();
        for client in self.clients.iter() {
            let waits = end.owing.contains(&client.token) || end.stage == Stage::Clients;
            if !waits || client.unsent() == 0 {
                end.taking.remove(&client.token);
                continue;
            }
            let left = (client.unsent(), mark(client.token));
            let (before, since) = end.taking.entry(client.token).or_insert((left, now));
            if left != *before {
                (*before, *since) = (left, now);
            } else if STUCK_MILLIS <= now.millis_since(*since) {
                stuck.push(client.token);
            }
        }
        for token in stuck {
            end.owing.remove(&token);
            end.taking.remove(&token);
            self.remove_client(token);
        }
    }

    /// Takes those off the list that have come to rest.
    fn see_who_rests(&mut self, end: &mut EndPart) {
        let stage = end.stage;
        let mut rested = Vec::new();
        end.owing.retain(|&token| {
            let Some(client) = self.clients.get(token) else { return false };
            let rests = match stage {
                Stage::Drain => is_served(client),
                _ => is_at_rest(client),
            };
            if rests {
                client.finishing = Finishing::No;
                rested.push(token);
            }
            !rests
        });
        if !rested.is_empty() {
            rested.into_iter().for_each(|token| self.clients.mark_dirty_at(token));
            self.renew_guards();
        }
    }

    /// Closes the clients that have been served.
    fn let_go(&mut self) {
        // Replies may be among the letters.
        if self.mailbox.is_empty() {
            let served = self.clients.tokens(is_served);
            served.into_iter().for_each(|token| self.finish_client(token));
        }
    }

    fn end_counts(&self, unfinished: Unfinished) -> Counts {
        let mut counts =
            Counts { clients: unfinished.sockets, in_flight: 0, unsent_bytes: unfinished.bytes };
        for client in self.clients.iter() {
            counts.clients += 1;
            counts.in_flight += u64::from(!is_at_rest(client));
            counts.unsent_bytes += client.unsent() as u64;
        }
        counts
    }
}

/// Whether nothing of a client is under way, or about to be.
fn is_at_rest(client: &Client) -> bool {
    !client.listed && client.state != State::Away
}

/// Whether all that it sent is done as well, and it has its replies.
fn is_served(client: &Client) -> bool {
    client.unsent() == 0 && is_at_rest(client) && !client.has_requests()
}
