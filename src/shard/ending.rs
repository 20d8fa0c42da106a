//! A shard's part in the end of the process: it does what control orders, one stage after the
//! other, and reports how far it is.
//!
//! A client is *at rest* when nothing it sent is under way or about to be. So is one whose request
//! waits for something that may never come: a key (BLPOP), the end of a pause, the end of the
//! process. It has been given everything it was answered before that request.

use crate::mail::end::EndWord;
use crate::mail::to_control::ToControl;
use hashbrown::HashSet;

use crate::clients::client::{Client, Finishing};
use crate::reactor::clock::Monotonic;
use crate::reactor::ring::Token;
use crate::reactor::ring::closing::Unfinished;
use crate::shard::core::{Core, SocketRequest};
use crate::shard::pausing::{Holds, Pause};
use crate::shutdown::report::{Counts, Report};
use crate::shutdown::stage::Stage;

/// How often a shard looks how far it is.
const LOOK_MICROS: u64 = 1000;
/// How often it reports that although nothing is done.
const REPORT_MILLIS: u64 = 100;

/// The end, as far as one shard has come.
#[derive(Debug)]
pub struct Leaving {
    attempt: u64,
    stage: Stage,
    /// CLIENT PAUSE.
    pub(crate) asked: Option<Pause>,
    /// Clients that the stage waits for.
    owing: HashSet<Token>,
    /// Clients whose requests wait for the end.
    askers: HashSet<Token>,
    looked: Monotonic,
    told: Option<(Report, Monotonic)>,
}

impl Core {
    /// The stage that is under way.
    #[inline]
    pub fn leaving_stage(&self) -> Option<Stage> {
        self.leaving.as_ref().map(|leaving| leaving.stage)
    }

    /// What control says.
    pub(crate) fn hear_of_end(&mut self, word: EndWord) {
        match word {
            EndWord::Begin(attempt, stage) => self.begin_stage(attempt, stage),
            EndWord::CloseListeners => self.socket_requests.push(SocketRequest::CloseListeners),
            EndWord::Resume => self.stay(),
            EndWord::Kept(token, replies) => {
                if let Some(leaving) = &mut self.leaving {
                    leaving.askers.insert(token);
                }
                self.hand_over(token, replies);
            }
        }
    }

    fn begin_stage(&mut self, attempt: u64, stage: Stage) {
        let now = self.node.now;
        let mut leaving = self.leaving.take().unwrap_or_else(|| {
            Box::new(Leaving {
                attempt,
                stage,
                asked: self.pause,
                owing: HashSet::new(),
                askers: HashSet::new(),
                looked: now,
                told: None,
            })
        });
        (leaving.attempt, leaving.stage, leaving.told) = (attempt, stage, None);
        let (holds, finishing) = match stage {
            Stage::Intake => (Holds::Nothing, Finishing::No),
            Stage::Drain => (Holds::Writes, Finishing::Accepted),
            Stage::Pause | Stage::Replicas | Stage::Child | Stage::Save => {
                (Holds::Writes, Finishing::UnderWay)
            }
            Stage::Clients | Stage::Files | Stage::Shards => (Holds::All, Finishing::UnderWay),
        };
        let holds = leaving.asked.map_or(holds, |pause| pause.holds.max(holds));
        self.pause = Some(Pause { since: now, millis: u64::MAX, holds });
        let held = self.held_tokens();
        let Self { clients, socket_requests, .. } = self;
        leaving.owing.clear();
        for client in clients.iter_mut().flatten() {
            let owes = match stage {
                Stage::Intake => false,
                Stage::Drain => !leaving.is_served(client, &held),
                Stage::Pause | Stage::Replicas | Stage::Child | Stage::Save => {
                    !leaving.is_at_rest(client, &held)
                }
                Stage::Clients | Stage::Files | Stage::Shards => true,
            };
            client.finishing = if owes { finishing } else { Finishing::No };
            if owes {
                leaving.owing.insert(client.token);
            }
            // It may go on sending when it has been served: else it might never be.
            if owes != client.paused {
                client.paused = owes;
                let request = if owes { SocketRequest::Pause } else { SocketRequest::Resume };
                socket_requests.push(request(client.token));
            }
        }
        self.leaving = Some(leaving);
    }

    /// There is no end: everything goes on as before.
    fn stay(&mut self) {
        let Some(leaving) = self.leaving.take() else { return };
        self.pause = leaving.asked;
        for client in self.clients.iter_mut().flatten() {
            (client.finishing, client.late) = (Finishing::No, false);
            if std::mem::take(&mut client.paused) {
                self.socket_requests.push(SocketRequest::Resume(client.token));
            }
        }
        let now = self.node.now;
        if self.pause.is_none_or(|pause| pause.is_over(now)) {
            self.end_pause();
        } else {
            // Some of them may not be meant by that pause.
            self.resumed.extend(self.held.drain(..));
        }
    }

    /// Goes on with the stage, and reports. `unfinished` sockets have no clients any more.
    pub fn go_on_leaving(&mut self, now: Monotonic, look: impl FnOnce() -> Unfinished) {
        let Some(mut leaving) = self.leaving.take() else { return };
        if now.micros_since(leaving.looked) < LOOK_MICROS && leaving.told.is_some() {
            self.leaving = Some(leaving);
            return;
        }
        leaving.looked = now;
        let held = self.flush_kept(&leaving);
        if leaving.stage == Stage::Clients {
            self.let_go(&leaving, &held);
        } else {
            self.see_who_rests(&mut leaving, &held);
        }
        let counts = self.end_counts(&leaving, &held, look());
        let Leaving { attempt, stage, .. } = *leaving;
        let done = match stage {
            Stage::Clients => counts.clients == 0,
            // Whoever lets go of the ring says so itself.
            Stage::Shards => false,
            Stage::Intake
            | Stage::Drain
            | Stage::Pause
            | Stage::Replicas
            | Stage::Child
            | Stage::Save
            | Stage::Files => leaving.owing.is_empty(),
        };
        let report = Report { attempt, stage, done, counts };
        let is_due = leaving.told.is_none_or(|(told, at)| {
            told.done != done || told != report && REPORT_MILLIS <= now.millis_since(at)
        });
        if is_due {
            leaving.told = Some((report, now));
            self.report_end(report);
        }
        self.leaving = Some(leaving);
    }

    /// Says that this shard has let go of everything.
    pub fn report_released(&mut self) {
        let Some(leaving) = &self.leaving else { return };
        let Leaving { attempt, stage, .. } = **leaving;
        self.report_end(Report { attempt, stage, done: true, counts: Counts::default() });
    }

    fn report_end(&mut self, report: Report) {
        self.mailbox.tell_control(ToControl::Leaving(report));
    }

    /// Clients whose requests are held back.
    fn held_tokens(&self) -> HashSet<Token> {
        self.held.iter().map(|batch| batch.token).collect()
    }

    /// Gives clients whose requests are kept what they were answered before; those whose requests
    /// are held back.
    fn flush_kept(&mut self, leaving: &Leaving) -> HashSet<Token> {
        let mut held = std::mem::take(&mut self.held);
        for batch in &mut held {
            if !batch.replies.is_empty() || self.has_pushes(batch.token) {
                self.hand_over(batch.token, std::mem::take(&mut batch.replies));
            }
        }
        self.held = held;
        for &token in &leaving.askers {
            if self.has_pushes(token) {
                self.hand_over(token, Vec::new());
            }
        }
        self.held_tokens()
    }

    /// Whether messages for a client wait for its batch to be home.
    fn has_pushes(&mut self, token: Token) -> bool {
        let client = self.client(token);
        client.is_some_and(|it| !it.held.is_empty() || it.stale_told < it.stale.len())
    }

    /// Takes those off the list that have come to rest.
    fn see_who_rests(&mut self, leaving: &mut Leaving, held: &HashSet<Token>) {
        let owing = std::mem::take(&mut leaving.owing);
        for token in owing {
            let stage = leaving.stage;
            let Some(client) = self.client(token) else { continue };
            let rests = match stage {
                Stage::Drain => leaving.is_served(client, held),
                _ => leaving.is_at_rest(client, held),
            };
            if !rests {
                leaving.owing.insert(token);
                continue;
            }
            client.finishing = Finishing::No;
            if std::mem::take(&mut client.paused) {
                self.socket_requests.push(SocketRequest::Resume(token));
            }
        }
    }

    /// Closes the clients that have been served.
    fn let_go(&mut self, leaving: &Leaving, held: &HashSet<Token>) {
        // Replies may be among the letters.
        if self.mailbox.is_empty() {
            let clients = self.clients.iter().flatten();
            let served: Vec<Token> = clients
                .filter(|client| leaving.is_served(client, held))
                .map(|client| client.token)
                .collect();
            served.into_iter().for_each(|token| self.finish_client(token));
        }
    }

    fn end_counts(
        &self,
        leaving: &Leaving,
        held: &HashSet<Token>,
        unfinished: Unfinished,
    ) -> Counts {
        let mut counts =
            Counts { clients: unfinished.sockets, in_flight: 0, unsent_bytes: unfinished.bytes };
        for client in self.clients.iter().flatten() {
            counts.clients += 1;
            counts.in_flight += u64::from(!leaving.is_at_rest(client, held));
            counts.unsent_bytes += client.unsent() as u64;
        }
        counts
    }
}

impl Leaving {
    /// Whether nothing of a client is under way, or about to be.
    fn is_at_rest(&self, client: &Client, held: &HashSet<Token>) -> bool {
        let waits = client.blocked.is_some()
            || held.contains(&client.token)
            || self.askers.contains(&client.token);
        !client.listed && (!client.away || waits)
    }

    /// Whether it has its replies as well.
    fn is_served(&self, client: &Client, held: &HashSet<Token>) -> bool {
        client.unsent() == 0 && self.is_at_rest(client, held)
    }
}
