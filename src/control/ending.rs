//! The end of the process, as control drives it: what `shutdown` asks for becomes letters and
//! deeds, and what comes of them is told to it.
//!
//! The last snapshot is written by a copy of the process, as all others. So control can be asked
//! how far it is, and clients can read, while it is being written; and a disk that hangs does not
//! hang the end. The shards stay claimed meanwhile: nothing is written that it would not have.

use shards::resp::error::Error;

use crate::config::table::Config;
use crate::control::core::Control;
use crate::control::saving::KeptRequest;
use crate::control::standing::Wish;
use crate::control::succession::Succeeding;
use crate::log;
use crate::mail::end::EndWord;
use crate::mail::to_shard::ToShard;
use crate::reactor::clock::Monotonic;
use crate::reactor::signals::Signal;
use crate::replication::failover;
use crate::shutdown::report::{Edge, Line, Outcome, Reason};
use crate::shutdown::resources::Resource;
use crate::shutdown::stage::Stage;
use crate::shutdown::{Action, Event, Request, Shutdown, Uptime};
use crate::transactions::transaction::Transaction;

const REFUSED: Error = Error::Text("ERR Errors trying to SHUTDOWN. Check logs.");
const NO_END: Error = Error::Text("ERR No shutdown in progress.");
const NO_WAY_BACK: Error =
    Error::Text("ERR The shutdown can't be aborted any more: the last snapshot has begun.");

/// What Valkey's log says when no replica takes over.
pub(crate) const NO_HEIR: &str =
    "Unable to find a replica to perform the auto failover on shutdown.";

/// The options of SHUTDOWN that mean something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether to write a last snapshot.
    pub save: LastSave,
    /// FORCE: whether to end although that fails.
    pub forced: bool,
    /// NOW: whether not to wait for replicas.
    pub now: bool,
    /// SAFE: whether not to end a primary that the cluster counts on, unless forced, or unless a
    /// replica takes over.
    pub safe: bool,
    /// FAILOVER: whether a replica is to take over.
    pub hands_over: bool,
}

/// Whether to write a last snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastSave {
    /// If the configuration asks for snapshots.
    #[default]
    AsConfigured,
    /// In any case.
    Yes,
    /// No.
    No,
}

/// The end of the process, asked for or not.
#[derive(Debug)]
pub struct End {
    /// What decides.
    pub shutdown: Shutdown,
    /// The requests that asked for it by SHUTDOWN.
    kept: Vec<KeptRequest>,
    /// What claims all shards for the last snapshot, while that is written and after.
    claims: Option<Transaction>,
    /// A replica is to take over.
    pub(crate) succeeding: Option<Succeeding>,
    is_over: bool,
}

impl End {
    /// Of a process with so many shards.
    pub fn new(shards: usize) -> Self {
        let (shutdown, kept) = (Shutdown::new(shards), Vec::new());
        Self { shutdown, kept, claims: None, succeeding: None, is_over: false }
    }

    /// Whether the last snapshot is being written, or was.
    pub fn has_claims(&self) -> bool {
        self.claims.is_some()
    }
}

impl Control {
    /// Begins to end the process because of a signal.
    pub fn end_by(&mut self, signal: Signal) {
        let (options, reason) = match signal {
            Signal::Int => (self.node.config.shutdown_on_sigint, Reason::Sigint),
            Signal::Term | Signal::Hup => (self.node.config.shutdown_on_sigterm, Reason::Sigterm),
        };
        let save = match (options.save(), options.nosave()) {
            (true, _) => LastSave::Yes,
            (false, true) => LastSave::No,
            (false, false) => LastSave::AsConfigured,
        };
        let (forced, now, safe) = (options.force(), options.now(), options.safe());
        let options = Options { save, forced, now, safe, hands_over: options.failover() };
        if !self.is_unsafe(options) {
            self.ask_end(reason, options);
        }
    }

    /// Begins to end the process because of SHUTDOWN.
    pub(crate) fn end_by_command(&mut self, options: Options, kept: KeptRequest) {
        if self.is_unsafe(options) {
            return self.answer_kept(kept, Err(REFUSED));
        }
        self.ask_end(Reason::Command, options);
        self.end.kept.push(kept);
    }

    /// Whether SAFE stands against the end: this primary has slots and a vote in a cluster, and
    /// there is no replica that could take over.
    fn is_unsafe(&self, options: Options) -> bool {
        let me = self.clustering.as_ref().map(|clustering| clustering.machine.nodes().me());
        let hands_over = self.wants_handover(options) && self.may_hand_over();
        if !options.safe || hands_over || !me.is_some_and(|me| me.is_voting()) {
            return false;
        }
        let end = if options.forced { "Exit anyway." } else { "Can't exit." };
        log::warning(&format!(
            "This is a voting primary. Shutting down may cause the cluster to go down. {end}"
        ));
        !options.forced
    }

    fn wants_handover(&self, options: Options) -> bool {
        options.hands_over || self.node.config.auto_failover_on_shutdown
    }

    fn ask_end(&mut self, reason: Reason, options: Options) {
        let wants_handover = self.wants_handover(options) && !self.is_replica();
        let hands_over = wants_handover && self.may_hand_over();
        if wants_handover && !hands_over {
            log::warning(NO_HEIR);
        }
        let Config { save, shutdown_timeout, shutdown_total_timeout, shutdown_linger, .. } =
            &*self.node.config;
        let saves = match options.save {
            LastSave::AsConfigured => !save.is_empty(),
            LastSave::Yes => true,
            LastSave::No => false,
        };
        let millis = |seconds: u32| u64::from(seconds) * 1000;
        let request = Request {
            reason,
            // A part of the keys must not take the place of all of them.
            saves: saves && !self.lacks_keys(),
            forced: options.forced,
            now: options.now,
            total_ms: millis(*shutdown_total_timeout),
            replicas_ms: millis(*shutdown_timeout),
            hands_over,
            safe: options.safe,
            linger_ms: millis(*shutdown_linger),
        };
        if !self.end.shutdown.is_under_way() {
            log::notice("User requested shutdown...");
        }
        self.happens(Event::Asked(request));
        if self.end.succeeding.is_none() {
            self.failover_hears(failover::Event::Ending);
        }
    }

    /// SHUTDOWN ABORT.
    ///
    /// # Errors
    /// If there is nothing to abort, or it is too late.
    pub fn abort_end(&mut self) -> Result<(), Error> {
        match self.end.shutdown.stage() {
            None => Err(NO_END),
            Some(stage) if stage.can_abort() => {
                log::notice("Shutdown manually aborted.");
                self.happens(Event::Aborted);
                Ok(())
            }
            Some(_) => Err(NO_WAY_BACK),
        }
    }

    /// Goes on ending. True if it is over now.
    pub fn go_on_ending(&mut self) -> bool {
        match self.end.shutdown.stage() {
            None => return self.end.is_over,
            Some(Stage::Handover) => self.see_to_handover(),
            Some(Stage::Replicas) if self.replicas_have_all() => {
                self.happens(Event::ReplicasReady);
            }
            Some(Stage::Replicas) => {}
            // One may have begun since.
            Some(Stage::Child) if self.has_child_or_wish() => self.kill_child("shutdown"),
            // Its request is answered before clients are closed.
            Some(Stage::Child) if self.disk.is_busy() => {}
            Some(Stage::Child) => self.happens(Event::ChildGone),
            Some(Stage::Save) => {
                let keys = self.saving.child.as_ref().map_or(0, |child| child.forked.progress.keys);
                self.happens(Event::Progress(keys));
            }
            Some(
                Stage::Hold
                | Stage::Linger
                | Stage::Intake
                | Stage::Drain
                | Stage::Pause
                | Stage::Clients
                | Stage::Files
                | Stage::Shards,
            ) => {}
        }
        self.happens(Event::Tick);
        self.end.is_over
    }

    /// Milliseconds until something must happen because nothing else has.
    pub fn end_patience(&self) -> Option<u64> {
        let deadline = self.end.shutdown.deadline()?;
        let asked = self.end.succeeding.as_ref().and_then(Succeeding::deadline);
        let deadline = asked.map_or(deadline, |asked| asked.min(deadline));
        Some(deadline.0.saturating_sub(self.uptime().0))
    }

    /// Milliseconds until the process ends at the latest, as far as is known.
    pub fn end_remaining(&self) -> Option<u64> {
        self.end.shutdown.remaining_ms(self.uptime())
    }

    /// Tells the machine what has happened, and does what it asks for.
    pub(crate) fn happens(&mut self, event: Event) {
        let now = self.uptime();
        let mut actions = Vec::new();
        self.end.shutdown.handle(now, event, &mut actions);
        for action in actions {
            self.act(action);
        }
    }

    pub(crate) fn uptime(&self) -> Uptime {
        Uptime(Monotonic::now().millis_since(self.node.started))
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Log(line) => self.tell_of_stage(&line),
            Action::Order(stage) => self.begin_stage(stage),
            Action::HandOver(millis) => self.begin_handover(millis),
            // A fence of an end that was called off is behind what was written since.
            Action::AwaitReplicas => self.replicating.last_fence = None,
            Action::Save => self.wish(Wish::Final),
            Action::CancelSave => self.kill_child("shutdown"),
            Action::Close(resource) => self.close(resource),
            Action::Extend(millis) => self.process.supervisor.extend(millis),
            Action::Resume => self.resume_service(),
            Action::Exit => {
                // Whatever the child still writes, no request waits for it.
                drop((self.saving.child.take(), self.saving.sync.take()));
                self.end.is_over = true;
            }
        }
    }

    fn tell_of_stage(&self, line: &Line) {
        let text = line.to_string();
        if line.is_warning() {
            log::warning(&text)
        } else {
            log::notice(&text)
        }
        match line.edge {
            Edge::Enter => self.process.supervisor.tell_stopping(line.stage.name()),
            Edge::Leave(Outcome::Failed) if !self.end.shutdown.is_under_way() => {
                log::warning(
                    "Errors trying to shut down the server. Check the logs for more information.",
                );
            }
            Edge::Leave(_) | Edge::Late => {}
        }
    }

    fn begin_stage(&mut self, stage: Stage) {
        let word = EndWord::Begin(self.end.shutdown.attempt(), stage);
        self.tell_shards_of_end(&word);
    }

    fn tell_shards_of_end(&mut self, word: &EndWord) {
        for shard in 0..self.shards() {
            self.mailbox.send(shard, ToShard::End(word.clone()));
        }
    }

    /// Closes a resource, or has it closed by those who have it open.
    fn close(&mut self, resource: Resource) {
        match resource {
            Resource::Listeners => {
                self.listening.close();
                self.tell_shards_of_end(&EndWord::CloseListeners);
            }
            Resource::Clients => self.begin_stage(Stage::Clients),
            Resource::Replicas => self.close_replicas(),
            Resource::Shards => self.begin_stage(Stage::Shards),
            Resource::Child => {
                if self.saving.child.is_some() {
                    log::warning("There is a child saving an .rdb. Killing it!");
                }
                self.kill_child("shutdown");
            }
            Resource::UnixSocketFile => {
                self.process.unix_socket_file().iter().for_each(|file| file.close());
            }
            Resource::PidFile => self.process.pid_file.iter().for_each(|file| file.close()),
            Resource::Metrics | Resource::Signals | Resource::Supervisor | Resource::Log => {
                unreachable!("what serves to the very end is closed behind all stages")
            }
        }
    }

    /// There is no end: everything goes on, and those who wait for it are refused.
    fn resume_service(&mut self) {
        self.process.ending.forget();
        self.process.supervisor.tell_resumed();
        self.end_handover();
        self.tell_shards_of_end(&EndWord::Resume);
        if let Some(claims) = self.end.claims.take() {
            self.release_barrier(claims);
        }
        for kept in std::mem::take(&mut self.end.kept) {
            self.answer_kept(kept, Err(REFUSED));
        }
        self.next_wish();
    }

    /// All shards are claimed for the last snapshot.
    pub(crate) fn save_last(&mut self, claims: Transaction) {
        if self.end.shutdown.stage() != Some(Stage::Save) {
            return self.release_barrier(claims);
        }
        self.end.claims = Some(claims);
        if self.lacks_keys() {
            // They have gone since the end began: the snapshot that there is stays.
            return self.last_save_ended(true);
        }
        log::notice("Saving the final RDB snapshot before exiting.");
        if self.fork().is_some() {
            // No room for a copy of the process: it is written right here, and all must wait.
            let saved = self.save_now();
            self.last_save_ended(saved.is_ok());
        }
    }

    /// The last snapshot is written, or is not.
    pub(crate) fn last_save_ended(&mut self, ok: bool) {
        let forced = self.end.shutdown.is_forced();
        match (ok, forced) {
            (true, _) => {}
            (false, true) => log::warning("Error trying to save the DB. Exit anyway."),
            (false, false) => log::warning("Error trying to save the DB, can't exit."),
        }
        self.happens(if ok { Event::Saved } else { Event::SaveFailed });
    }
}
