//! The control thread's state: the only writer of what the whole node shares.

use crate::batches::batch::At;
use crate::mail::disk::LoadNumber;
use crate::mail::kept::Kept;
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::routing::node::Holds;
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use shards::commands::spec::Flag;
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::batches::batch::Batch;
use crate::clients::line;
use crate::cluster::ownership::Ownership;
use crate::config::table::Config;
use crate::control::clustering::Clustering;
use crate::control::clustering::asking::{Counted, Writes};
use crate::control::ctx::{Awaited, ControlCommands, ControlCtx, Outcome, Then};
use crate::control::disk::Disk;
use crate::control::ending::End;
use crate::control::following::Following;
use crate::control::handing_over::HandingOver;
use crate::control::holding::Hold;
use crate::control::loading::Loading;
use crate::control::replicating::Replicating;
use crate::control::saving::{KeptRequest, Saving};
use crate::control::standing::{Standing, Wish};
use crate::log;
use crate::mail::board::Traffic;
use crate::mail::connection::Listeners;
use crate::mail::mailbox::Mailbox;
use crate::mail::query::{Answer, Query};
use crate::mail::to_shard::ToShard;
use crate::process::Process;
use crate::process::listening::{Change, Listening};
use crate::reactor::allocator::used_memory;
use crate::reactor::clock::{self, Monotonic, cycles};
use crate::reactor::crash::{self, at_work};
use crate::reactor::heap;
use crate::reactor::system;
use crate::routing::call::Call;
use crate::routing::node::{Node, Role};
use crate::routing::request::Parsed;
use crate::routing::request::with_args;
use crate::routing::slots::Peer;
use crate::shutdown::Event;
use crate::stats::command_log::SlowEntry;
use crate::stats::command_log::{CommandLogs, Ended, request_bytes, shown};
use crate::stats::counters::Counters;
use crate::stats::exceeded::Exceeded;
use crate::stats::latency_events::{self, LatencyEvents, Occurrence};
use crate::stats::samples::Samples;

/// Bytes of an answer to INFO for which there is room from the start.
const INFO_BYTES: usize = 16 << 10;

/// The shard that accepts connections, for all.
const ACCEPTS: Peer = 0;

/// Node-wide state, and commands that wait for the shards' answers.
#[derive(Debug)]
pub struct Control {
    /// Its mail.
    pub mailbox: Mailbox<ToControl>,
    /// What it knows of the node; shards have copies.
    pub node: Node,
    /// What its commands do.
    pub commands: &'static ControlCommands,
    /// The process: its files and its end.
    pub process: &'static Process,
    /// The addresses that clients connect to.
    pub listening: Listening,
    /// What it counts of the commands that run here, and of what the relay and children send.
    pub counters: Counters,
    /// Its rates.
    pub samples: Samples,
    /// What the relay had exchanged with other servers when that was last counted.
    pub(crate) traffic: Traffic,
    /// The command logs.
    pub logs: CommandLogs,
    /// What took long.
    pub latency_events: LatencyEvents,
    /// CLIENT PAUSE, while it lasts.
    pub pause: Option<Paused>,
    /// Bytes in use when the process had started.
    pub memory_at_start: u64,
    /// The most bytes that were in use, as far as was noticed.
    pub memory_peak: u64,
    /// Bytes in use when the question was asked whose answers came last: the answers are not
    /// among them.
    pub used_when_asked: u64,
    /// How long more than `maxmemory` was in use.
    pub exceeded: Exceeded,
    /// Room for the text of the next INFO, so that asking takes no more memory than before.
    pub info_text: String,
    /// A name for this run of the process, 40 hexadecimal digits.
    pub run_id: String,
    /// Replicas.
    pub replicating: Replicating,
    /// The primary that this node follows.
    pub following: Following,
    /// FAILOVER.
    pub handing_over: HandingOver,
    /// Writes are held back for a failover.
    pub(crate) hold: Option<Hold>,
    /// The cluster that this node belongs to; `None` outside of cluster mode.
    pub clustering: Option<Box<Clustering>>,
    /// When the process started, in seconds since the epoch.
    pub started_at: u64,
    /// Snapshots that are written.
    pub saving: Saving,
    /// What all shards are to stand still for.
    pub(crate) standing: Standing,
    /// What is done on a disk by a thread of its own.
    pub disk: Disk,
    /// The snapshot that is being read, while one is.
    pub loading: Option<Loading>,
    /// The number of the last load.
    pub(crate) loads: LoadNumber,
    /// Keys of the last snapshot that was read, and of those the ones whose time had passed.
    pub load_keys: u64,
    /// See `load_keys`.
    pub load_expired: u64,
    /// The end of the process.
    pub end: End,
    /// The order that ends loading, while shards are still to hear of it.
    pub(crate) end_loading: Option<u64>,
    questions: HashMap<u64, Question>,
    next_question: u64,
    /// Figures that the metrics endpoint has not fetched yet.
    figures: Vec<(u64, Vec<Answer>)>,
}

/// Requests are held back.
#[derive(Clone, Copy, Debug)]
pub struct Paused {
    /// Until this many milliseconds after `since`.
    pub millis: u64,
    /// From when on.
    pub since: Monotonic,
    /// Which ones.
    pub holds: Holds,
}

impl Paused {
    /// Milliseconds it still lasts.
    pub fn left(&self, now: Monotonic) -> u64 {
        self.millis.saturating_sub(now.millis_since(self.since))
    }
}

#[derive(Debug)]
struct Question {
    asker: Asker,
    answers: Vec<Option<Answer>>,
    /// Bytes that were in use when it was asked.
    used: u64,
}

/// Who gets the answers to a question.
#[derive(Debug)]
enum Asker {
    /// No request: it is an order.
    Nobody,
    /// A request, which goes on so; it began when the time-stamp counter stood there.
    Request(KeptRequest, Then),
    /// The metrics endpoint, which fetches them by [`Control::take_figures`].
    Metrics,
    /// A failover, which waits until writes rest.
    Failover,
    /// Writes that are held back until all shards know that this node leads.
    Lead,
    /// The cluster, which is asked for something that depends on a number of keys.
    Cluster(KeptRequest, Counted, Writes),
    /// The cluster, which is to know the slots of all keys.
    UsedSlots,
    /// The cluster, which is to know when shards have seen who owns what.
    Ownership,
}

impl Control {
    /// The control thread's state.
    pub fn new(
        (mailbox, relay): (Mailbox<ToControl>, Mailbox<ToRelay>),
        node: Node,
        commands: &'static ControlCommands,
        process: &'static Process,
    ) -> Self {
        let counters = Counters::new(node.table.ids, node.config.latency_tracking);
        let (shards, samples) = (mailbox.shards(), Samples::new(node.started));
        let replicating = Replicating::new(relay, node.started);
        let info_text = crash::keep_info(String::with_capacity(INFO_BYTES));
        let info_text = String::with_capacity(INFO_BYTES.max(info_text.capacity()));
        Self {
            mailbox,
            node,
            commands,
            process,
            listening: Listening::default(),
            counters,
            samples,
            traffic: Traffic::default(),
            logs: CommandLogs::default(),
            latency_events: LatencyEvents::default(),
            pause: None,
            memory_at_start: used_memory(),
            memory_peak: 0,
            used_when_asked: 0,
            exceeded: Exceeded::default(),
            info_text,
            run_id: system::random_name(),
            replicating,
            following: Following::default(),
            handing_over: HandingOver::default(),
            hold: None,
            clustering: None,
            started_at: clock::wall().seconds(),
            saving: Saving::default(),
            standing: Standing::default(),
            disk: Disk::default(),
            loading: None,
            loads: LoadNumber::default(),
            load_keys: 0,
            load_expired: 0,
            end: End::new(shards),
            end_loading: None,
            questions: HashMap::new(),
            next_question: 0,
            figures: Vec::new(),
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.mailbox.shards()
    }

    /// Reads mail and acts on it. True if there was any.
    pub fn read_mail(&mut self) -> bool {
        let mut any = false;
        for peer in self.mailbox.peers() {
            while let Some(letter) = self.mailbox.receive(peer) {
                any = true;
                match letter {
                    ToControl::Batch(batch) => self.run(batch),
                    ToControl::Flushed(batch) => self.after_flush(batch),
                    ToControl::Stands(transaction) => self.barrier_stands(*transaction),
                    ToControl::Arrived(arrival) => self.arrived(arrival),
                    ToControl::AwaitAcks(id, needs, timeout) => {
                        self.await_acks(id, needs, timeout);
                    }
                    ToControl::AwaitNoMore(id) => self.await_no_more(id),
                    ToControl::GiveUp(home, token) => self.give_up(home, token),
                    ToControl::CountAcks(batch, needs) => self.count_acks(batch, needs),
                    ToControl::Relay(word) => self.hear_of_relay(word),
                    ToControl::Link(word) => self.hear_of_link(word),
                    ToControl::Loaded(report) => self.chunk_loaded(*report),
                    ToControl::Answer(number, answer) => self.answered(peer, number, answer),
                    ToControl::Ordered(words) => self.primary_says(&words),
                    ToControl::Publish(messages) => self.shard_publishes(peer, messages),
                    ToControl::HandedOut(bytes) => self.shard_handed_out(peer, bytes),
                    // A connection that nothing serves ends here.
                    ToControl::Leaving(report) => self.happens(Event::Reported(peer, report)),
                    ToControl::Logged(entry) => self.logs.add(*entry, &self.node.config),
                    ToControl::Occurrence(occurrence) => self.latency_events.add(occurrence),
                }
            }
        }
        any
    }

    /// What is due some times a second.
    pub fn tick(&mut self) {
        self.note_memory(used_memory());
        self.note_traffic();
        let now = self.node.now;
        self.samples.take(&self.counters, now);
        self.save_if_due();
        self.tick_replicas();
        self.pause = self.pause.filter(|pause| 0 < pause.left(now));
    }

    /// Notes how many bytes are in use, or were when a question was asked.
    fn note_memory(&mut self, used: u64) {
        self.used_when_asked = used;
        self.memory_peak = self.memory_peak.max(used);
        let limit = self.node.config.maxmemory;
        self.exceeded.note(limit != 0 && limit < used, self.node.now);
    }

    /// Puts a new configuration in force here; the returned order does so on the shards.
    pub fn configure(&mut self, config: Config) -> Query {
        log::configure(&config);
        heap::decay_in_background(config.jemalloc_bg_thread);
        self.counters.tracks_latency = config.latency_tracking;
        let config = Arc::new(config);
        self.node.config = Arc::clone(&config);
        if self.replicating.has_relay() {
            self.mailbox.tell_relay(ToRelay::Configure(Arc::clone(&config)));
        }
        self.count_good_replicas();
        self.configure_cluster();
        Query::Configure(config)
    }

    /// Listens on other addresses from now on.
    ///
    /// # Errors
    /// The system's, for want of descriptors: then nothing has changed.
    pub fn listen(&mut self, change: Change) -> io::Result<()> {
        let (opened, closed) = self.listening.commit(change, &self.process.unix_socket)?;
        self.mailbox.send(ACCEPTS, ToShard::Listen(Listeners { opened, closed }));
        Ok(())
    }

    /// Gives every shard an order whose outcome no request waits for.
    pub fn order(&mut self, query: &Query) {
        self.ask(query, Asker::Nobody);
    }

    /// Asks every shard what it has and has done; [`Self::take_figures`] gives what they answer.
    /// The question's number.
    pub fn ask_figures(&mut self) -> u64 {
        self.ask(&Query::Figures, Asker::Metrics);
        self.last_question()
    }

    /// The answers that are complete since the last call, by the number of their question.
    pub fn take_figures(&mut self) -> Vec<(u64, Vec<Answer>)> {
        std::mem::take(&mut self.figures)
    }

    /// Has every shard hold writes back for a failover: [`Self::writes_rest`] is told of it by the
    /// order's number.
    pub(crate) fn hold_for_failover(&mut self) -> u64 {
        self.ask(&Query::HoldForFailover, Asker::Failover);
        self.last_question()
    }

    /// Tells every shard that this node leads, and lets writes go when all know: what one of them
    /// has held back gets to another before control's word does.
    pub(crate) fn tell_of_lead(&mut self) {
        self.ask(&Query::Role(Role::Primary), Asker::Lead);
    }

    /// Has every shard count keys for the cluster.
    pub(crate) fn count_for_cluster(
        &mut self,
        kept: KeptRequest,
        query: &Query,
        counted: Counted,
        writes: Writes,
    ) {
        self.ask(query, Asker::Cluster(kept, counted, writes));
    }

    /// Asks every shard in which slots it has keys, for the cluster.
    pub(crate) fn look_for_used_slots(&mut self) {
        self.ask(&Query::UsedSlots, Asker::UsedSlots);
    }

    /// Tells every shard who owns what: [`Self::cluster_is_owned`] is told by the order's number
    /// when nothing runs any more on slots that are not here.
    pub(crate) fn order_ownership(&mut self, ownership: Arc<Ownership>) -> u64 {
        self.ask(&Query::Own(ownership), Asker::Ownership);
        self.last_question()
    }

    /// Asks every shard for a request, which goes on with their answers.
    pub(crate) fn ask_for(&mut self, kept: KeptRequest, query: &Query, then: Then) {
        self.ask(query, Asker::Request(kept, then));
    }

    /// The number of the last question or order.
    pub(crate) fn last_question(&self) -> u64 {
        self.next_question - 1
    }

    fn ask(&mut self, query: &Query, asker: Asker) {
        let used = used_memory();
        let number = self.next_question;
        self.next_question += 1;
        let answers = (0..self.shards()).map(|_| None).collect();
        self.questions.insert(number, Question { asker, answers, used });
        for shard in 0..self.shards() {
            self.mailbox.send(shard, ToShard::Query(number, query.clone()));
        }
    }

    fn answered(&mut self, shard: usize, number: u64, answer: Answer) {
        let question = self.questions.get_mut(&number).expect("answers follow questions");
        question.answers[shard] = Some(answer);
        if question.answers.iter().any(Option::is_none) {
            return;
        }
        let question = self.questions.remove(&number).expect("it was just there");
        let answers = question.answers.into_iter().flatten().collect();
        self.note_memory(question.used);
        self.note_traffic();
        if self.end_loading.take_if(|order| *order == number).is_some() {
            self.process.tell_ready();
        }
        match question.asker {
            Asker::Nobody => {}
            Asker::Request(KeptRequest { batch, started }, then) => {
                self.step(batch, started, |ctx| then(ctx, answers).map(|()| Outcome::Done));
            }
            Asker::Metrics => self.figures.push((number, answers)),
            Asker::Failover => self.writes_rest(number),
            Asker::Lead => self.release_writes(),
            Asker::Cluster(kept, counted, writes) => {
                self.counted_for_cluster(kept, (counted, writes), answers);
            }
            Asker::UsedSlots => self.tell_cluster_of_data(answers),
            Asker::Ownership => self.cluster_is_owned(number),
        }
    }

    /// What the request of a batch waits for may take its time: nothing waits for the batch, and
    /// its client is given what it was answered before.
    fn let_rest(&mut self, batch: &mut Batch) {
        let Some(epoch) = batch.epoch.take() else { return };
        let replies = std::mem::take(&mut batch.replies);
        let kept = Kept { token: batch.token, epoch, replies };
        self.mailbox.send(batch.home, ToShard::Kept(Box::new(kept)));
    }

    /// Keeps a request until something has happened.
    fn keep(&mut self, kept: KeptRequest, awaited: Awaited) {
        match awaited {
            Awaited::Background => self.wish(Wish::Background(Some(kept))),
            Awaited::Save => self.wish(Wish::Foreground(kept)),
            Awaited::Cancelled => self.cancel_save(kept),
            Awaited::Reload(reload) => self.wish(Wish::Reload(kept, reload)),
            Awaited::Promotion => self.following.promotions.push(kept),
            Awaited::Disk(work) => self.work_on_disk(kept, work),
            Awaited::End(options) => self.end_by_command(options, kept),
            Awaited::Cluster(request) => self.ask_cluster(kept, request),
        }
    }

    /// Runs the request of a batch that is for control.
    fn run(&mut self, batch: Box<Batch>) {
        let call = with_current(&batch, |parsed, _| parsed.call);
        let run = self.commands.of(call.expect("only known commands are routed"));
        self.step(batch, cycles(), run);
    }

    /// Does one step of a batch's request, and sends the batch home if that was the last.
    pub(crate) fn step(
        &mut self,
        mut batch: Box<Batch>,
        started: u64,
        run: impl FnOnce(&mut ControlCtx<'_>) -> Result<Outcome, Error>,
    ) {
        let mut replies = std::mem::take(&mut batch.replies);
        let written = replies.len();
        let (call, outcome) = with_current(&batch, |parsed, args| {
            let call = parsed.call.expect("only known commands come here");
            let _work = at_work(call.spec.name, args);
            let outcome = run(&mut ControlCtx {
                args,
                client: batch.client,
                network: batch.passport.network,
                db: batch.passport.db,
                local: batch.passport.local,
                in_exec: batch.is_exec(),
                replies: Replies::new(&mut replies, batch.passport.protocol),
                control: self,
            });
            (call, outcome)
        });
        let failed = match outcome {
            Ok(Outcome::Ask(query, then)) => {
                batch.replies = replies;
                if let Query::Pause { .. } | Query::Role(_) = query {
                    self.let_rest(&mut batch);
                }
                return self.ask(&query, Asker::Request(KeptRequest { batch, started }, then));
            }
            Ok(Outcome::Wait(awaited)) => {
                batch.replies = replies;
                // An EXEC goes on with its writes, so what is to be quiet waits for it, but not a
                // change of the role: it ends the writes.
                if !batch.is_exec() || matches!(awaited, Awaited::Promotion) {
                    self.let_rest(&mut batch);
                }
                return self.keep(KeptRequest { batch, started }, awaited);
            }
            Ok(Outcome::Done) => false,
            Err(error) => {
                replies.truncate(written);
                self.counters.erred(&error);
                error.write(&mut replies);
                true
            }
        };
        let took = cycles().wrapping_sub(started);
        self.counters.ran(call.id, took, failed);
        let reply_bytes = replies.len() - written;
        batch.replies = replies;
        self.note_time(latency_events::Event::of_command(call), self.node.cycle_rate.micros(took));
        self.log_command(&batch, call, took, reply_bytes);
        self.send_home(batch);
    }

    /// Reports a command that took long or was large. The entry goes by the client's home, which
    /// knows the client's name.
    fn log_command(&mut self, batch: &Batch, call: &Call, took: u64, reply_bytes: usize) {
        with_current(batch, |_, args| {
            let request_bytes = request_bytes(args);
            let micros = self.node.cycle_rate.micros(took);
            let ended = Ended { micros, request_bytes, reply_bytes };
            if call.spec.flags.has(Flag::SkipCommandLog) {
                return;
            }
            for (kind, amount) in ended.logs(&self.node.config) {
                let entry = Box::new(SlowEntry {
                    kind,
                    time: clock::wall().seconds(),
                    amount,
                    args: shown(call.spec, args),
                    client: (batch.home, batch.token),
                    addr: line::address(batch.peer, &self.node.config),
                    name: Vec::new(),
                });
                self.mailbox.send(batch.home, ToShard::Logged(entry));
            }
        });
    }

    /// Notes that something took so many microseconds, if that is long.
    pub(crate) fn note_time(&mut self, event: latency_events::Event, micros: u64) {
        let occurrence = Occurrence::of(event, clock::wall().seconds(), micros, &self.node.config);
        occurrence.into_iter().for_each(|occurrence| self.latency_events.add(occurrence));
    }

    pub(crate) fn send_home(&mut self, mut batch: Box<Batch>) {
        match &mut batch.at {
            At::Exec(exec) | At::ExecVisits(exec, _) => exec.next += 1,
            At::Request | At::Round | At::Scan(_) | At::Visits(_) | At::TurnedBack(_) => {
                batch.next += 1
            }
        }
        self.mailbox.send(batch.home, ToShard::Batch(batch));
    }
}

/// Does something with the request of a batch that is next, in an EXEC or not.
fn with_current<R>(batch: &Batch, run: impl FnOnce(&Parsed, &[&[u8]]) -> R) -> R {
    match &batch.at {
        At::Exec(exec) | At::ExecVisits(exec, _) => exec.multi.with(exec.next, run),
        At::Request | At::Round | At::Scan(_) | At::Visits(_) | At::TurnedBack(_) => {
            let parsed = batch.request().expect("a batch comes here with a request");
            with_args(&batch.input, &batch.ranges, parsed, |args| run(parsed, args))
        }
    }
}
