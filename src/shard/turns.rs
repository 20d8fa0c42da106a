//! The loop of a shard thread.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::time::Duration;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use hashbrown::HashMap;
use shards::base::random::Random;

use crate::clients::ctx::ClientCommands;
use crate::clients::leaving::Leaving;
use crate::log;
use crate::mail::connection::Listeners;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::Arrived;
use crate::mail::to_control::ToControl;
use crate::mail::to_shard::ToShard;
use crate::process::Process;
use crate::reactor::clock::{self, Monotonic, cycles};
use crate::reactor::crash;
use crate::reactor::ring::{Completion, DataRing, Token};
use crate::routing::node::Node;
use crate::shard::accepting::Accepting;
use crate::shard::connections::Sending;
use crate::shard::core::{Core, SocketRequest};
use crate::shard::requests::pipeline::Pipeline;
use crate::shutdown::stage::Stage;

/// How often a shard looks after timeouts, and after background work when it has nothing else.
const TICK: Duration = Duration::from_millis(TICK_MILLIS);
const TICK_MILLIS: u64 = 100;
/// Background work in one go, at most, when there is nothing else to do.
const BACKGROUND_MICROS: u64 = 25_000;
/// How long after the last letter a shard looks for the next before it sleeps, while others use
/// the processor.
const LINGER_MICROS: u64 = 200;
/// Looks in which no other thread wanted the processor before it sleeps.
const LOOKS_ALONE_MAX: u32 = 3;
/// A yield that took longer let another thread run.
const SHARED_MICROS: u64 = 3;
/// A yield that took longer put the shard behind the time slice of a busy process.
const LOST_MICROS: u64 = 1000;
/// How long the shard then sleeps in its ring instead of yielding: a thread that wakes is
/// preferred to one that has yielded. Measured with a busy process on each processor: of requests
/// that cross shards one at a time 57 % took over 2 ms, with this 1 to 3 %.
const LOST_MILLIS: u64 = 50;
/// How long a shard sleeps at most while the process ends.
const ENDING_PATIENCE: Duration = Duration::from_millis(1);
/// How often a busy shard does background work.
const BACKGROUND_INTERVAL_MICROS: u64 = 1000;

/// What a shard thread is started with.
pub struct Start {
    /// Its mail.
    pub mailbox: Mailbox<ToShard>,
    /// What it knows of the node.
    pub node: Node,
    /// What commands about their own clients do.
    pub client_commands: &'static ClientCommands,
    /// Sockets it accepts on: the first shard's only.
    pub listeners: Vec<OwnedFd>,
    /// Its chance.
    pub random: Random,
    /// What ends if this thread does.
    pub process: &'static Process,
    /// Told the shard's number when it serves; closed without a word if it cannot.
    pub ready: Sender<usize>,
}

/// Starts a shard thread on a processor.
pub fn start_shard(start: Start, cpu: Option<usize>) -> io::Result<ExecutorJoinHandle<Infallible>> {
    let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
    LocalExecutorBuilder::new(placement)
        .name(&format!("shard-{}", start.mailbox.me()))
        .io_memory(64 << 10)
        .ring_depth(128)
        .spawn(move || async move {
            crash::guard_thread();
            let (process, shard) = (start.process, start.mailbox.me());
            let Err(error) = run_shard(start).await;
            process.fail(&format!("Shard {shard} can't go on: {error}."))
        })
        .map_err(|error| io::Error::other(error.to_string()))
}

async fn run_shard(start: Start) -> io::Result<Infallible> {
    let mut ring = DataRing::new(start.mailbox.bell())?;
    for listener in start.listeners {
        ring.accept(listener)?;
    }
    // No one waits for the word any more if another shard failed: then the process ends.
    let _ = start.ready.send(start.mailbox.me());
    drop(start.ready);
    let core = Core::new(start.mailbox, start.node, start.client_commands, start.random);
    let mut loop_ = Loop::new(core);
    let mut done = Vec::new();
    let mut last_background = Monotonic::now();
    loop {
        let started = cycles();
        loop_.turn(&mut ring, &mut done);
        loop_.core.worked_since(started);
        if loop_.core.end_stage() == Some(Stage::Shards) {
            loop_.release(ring)
        }
        loop_.wait(&mut ring, &mut done)?;
        let now = loop_.core.node.now;
        let passed = now.micros_since(last_background);
        if BACKGROUND_INTERVAL_MICROS <= passed {
            last_background = now;
            let started = cycles();
            loop_.background(&mut ring, &mut done, passed)?;
            loop_.core.worked_since(started);
        }
    }
}

/// A shard at work: its core, and what moves between that and its ring.
pub struct Loop {
    /// The shard.
    pub core: Core,
    pipeline: Pipeline,
    accepting: Accepting,
    /// What is to be sent at the end of a turn; kept for its room.
    sending: Vec<Sending>,
    /// Clients of which the ring has not handed the socket over yet.
    leaving: HashMap<Token, Box<Leaving>>,
    lingering: Lingering,
    last_tick: Monotonic,
    /// Something is to be done in the next turn, whether or not anything comes in.
    is_urgent: bool,
}

/// When a shard looks for mail instead of sleeping.
struct Lingering {
    /// When mail last came or went.
    last_mail: Monotonic,
    /// Looks for mail since then that found neither mail nor another thread that wanted the
    /// processor.
    looks: u32,
    /// When a yield last cost the time slice of another process.
    lost: Option<Monotonic>,
}

impl Lingering {
    /// Whether it is too early to sleep: mail came or went just now, and others still use the
    /// processor, so that there may be more at the next look. Shards that only look for each
    /// other's mail seem busy to one another: what ends that is the time.
    fn goes_on(&self, now: Monotonic) -> bool {
        self.looks < LOOKS_ALONE_MAX
            && now.micros_since(self.last_mail) < LINGER_MICROS
            && self.lost.is_none_or(|lost| LOST_MILLIS <= now.millis_since(lost))
    }

    /// Notes what a yield took.
    fn yielded(&mut self, before: Monotonic, now: Monotonic) {
        let took = now.micros_since(before);
        self.looks += u32::from(took < SHARED_MICROS);
        if LOST_MICROS < took {
            self.lost = Some(now);
        }
    }
}

impl Loop {
    /// Nothing has happened yet.
    pub fn new(core: Core) -> Self {
        let now = core.node.now;
        Self {
            accepting: Accepting::new(core.mailbox.shards()),
            core,
            pipeline: Pipeline::default(),
            sending: Vec::new(),
            leaving: HashMap::new(),
            lingering: Lingering { last_mail: now, looks: LOOKS_ALONE_MAX, lost: None },
            last_tick: now,
            is_urgent: false,
        }
    }

    /// Acts on what is done and on mail, until nothing is left to do now, or for long enough.
    pub fn turn(&mut self, ring: &mut DataRing, done: &mut Vec<Completion>) {
        let Self { core, pipeline, .. } = self;
        core.begin_turn(Monotonic::now(), clock::wall());
        for completion in done.drain(..) {
            match completion {
                Completion::Received(token, id, len) => match core.flows.log_of(token) {
                    None => pipeline.received(core, ring.buffers(), token, id, len),
                    Some(flow) => core.log_socket_received(ring.buffers(), flow, id, len),
                },
                Completion::InputEnded(token) => {
                    core.log_socket_ended(token);
                    core.input_ended(token);
                }
                Completion::HungUp(token) => {
                    core.log_socket_ended(token);
                    core.hung_up(token);
                }
                Completion::Sent(token, buffer) if core.sends_log_by(token) => {
                    core.log_was_sent(token, buffer);
                }
                Completion::Sent(token, buffer) => core.sent(token, buffer),
                Completion::Failed(token, _) | Completion::SendFailed(token) => {
                    core.log_socket_ended(token);
                    core.lost(token);
                }
                Completion::Accepted(_, fd) => self.accepting.accept(core, fd),
                Completion::AcceptFailed(listener, error) => {
                    log::warning(&format!("Accepting client connection: {error}"));
                    self.accepting.failed(listener);
                }
                Completion::HandedOver(token, socket, unread) => {
                    let leaving = self.leaving.remove(&token).expect("it was asked for");
                    let arrived = Arrived::new(*leaving, socket, &unread);
                    core.mailbox.tell_control(ToControl::Arrived(arrived));
                }
                Completion::Woken => {}
            }
        }
        core.read_mail();
        self.is_urgent = pipeline.run(core, ring.buffers());
        if core.end_stage().is_some() {
            let left = ring.look_after();
            core.go_on_ending(left, |token| ring.untaken(token));
        }
        self.is_urgent |= core.look_after_clients(&mut self.sending);
        core.show_log();
        core.send_log(&mut self.sending);
        core.mailbox.show_relay();
        for Sending { token, bytes } in self.sending.drain(..) {
            ring.send(token, bytes);
        }
        core.answer_quiesced();
        self.do_socket_requests(ring);
        // What came with a connection goes on in the next turn.
        self.is_urgent |= self.core.has_resumed();
        self.core.show_figures();
        self.is_urgent |= self.core.mailbox.flush();
    }

    /// Waits for what comes next: in the ring, where it can be woken; or, while mail is going to
    /// and fro, by giving the processor away and looking again.
    ///
    /// Waking a thread costs more than what one letter asks for. If others want the processor
    /// they get it, and there is more to do when it comes back; if no thread does, a few looks
    /// cost no more than one sleep (measured with two shards on a shared machine: 0.6 of the CPU
    /// time per request without a pipeline, 0.8 at 16 in a pipeline).
    fn wait(&mut self, ring: &mut DataRing, done: &mut Vec<Completion>) -> io::Result<()> {
        let now = self.core.node.now;
        if self.core.mailbox.take_stirred() {
            (self.lingering.last_mail, self.lingering.looks) = (now, 0);
        }
        if self.is_urgent {
            return ring.turn(None, done);
        }
        if self.lingering.goes_on(now) {
            return self.linger(ring, done);
        }
        if self.core.mailbox.sleep() {
            let patience = self.patience();
            if let Some(due) = self.core.log_is_due() {
                ring.wake_in(due);
            }
            ring.turn(Some(patience), done)?;
            self.core.mailbox.awake();
            return Ok(());
        }
        ring.turn(None, done)
    }

    /// How long the shard may sleep.
    fn patience(&mut self) -> Duration {
        let tick = if self.core.end_stage().is_some() { ENDING_PATIENCE } else { TICK };
        let held = self.core.clients.next_held();
        let next = [self.core.next_late(), self.core.pause_ends_at(), held];
        let next = next.into_iter().flatten().min();
        next.map_or(tick, |next| Monotonic::now().until(next).min(tick))
    }

    /// Looks for something to do, giving the processor away between looks, until there is some or
    /// it is time to sleep.
    fn linger(&mut self, ring: &mut DataRing, done: &mut Vec<Completion>) -> io::Result<()> {
        ring.turn(None, done)?;
        let mut before = Monotonic::now();
        while done.is_empty() && self.core.mailbox.is_empty() && self.lingering.goes_on(before) {
            std::thread::yield_now();
            let now = Monotonic::now();
            self.lingering.yielded(before, now);
            before = now;
            if ring.has_work() {
                ring.turn(None, done)?;
            }
        }
        Ok(())
    }

    /// Background work: a share of the time that has passed when there are requests too, more for
    /// as long as there are none.
    fn background(
        &mut self,
        ring: &mut DataRing,
        done: &mut Vec<Completion>,
        passed_micros: u64,
    ) -> io::Result<()> {
        let start = Monotonic::now();
        if TICK_MILLIS <= start.millis_since(self.last_tick) {
            self.last_tick = start;
            self.core.tick();
            self.accepting.try_again(ring);
        }
        let mut share = self.core.background_share(passed_micros).min(BACKGROUND_MICROS);
        while self.core.background(share)
            && done.is_empty()
            && self.core.mailbox.is_empty()
            && Monotonic::now().micros_since(start) < BACKGROUND_MICROS
        {
            // There is nothing else to do.
            share = BACKGROUND_INTERVAL_MICROS;
            ring.turn(None, done)?;
        }
        Ok(())
    }

    /// Lets go of sockets and ring, says so, and waits for the end of the process. Keys stay where
    /// they are: to free them one by one would take long, and nothing needs the room.
    fn release(mut self, ring: DataRing) -> ! {
        drop(ring);
        self.core.report_released();
        while self.core.mailbox.flush() {
            std::thread::yield_now();
        }
        loop {
            std::thread::park();
        }
    }

    fn do_socket_requests(&mut self, ring: &mut DataRing) {
        for request in std::mem::take(&mut self.core.socket_requests) {
            match request {
                SocketRequest::Add(connection) => self.core.connect(ring, *connection),
                SocketRequest::Close(token) => ring.close(token),
                SocketRequest::Pause(token) => ring.pause(token),
                SocketRequest::Resume(token) => ring.resume(token),
                SocketRequest::Finish(token) => ring.finish(token),
                SocketRequest::LetGo(token, leaving) => {
                    self.leaving.insert(token, leaving);
                    ring.hand_over(token);
                }
                SocketRequest::Send(connect) => self.core.connect_outgoing(ring, *connect),
                SocketRequest::Follow(follow) => self.core.follow_log(ring, *follow),
                SocketRequest::Listen(Listeners { opened, closed }) => {
                    closed.into_iter().for_each(|address| ring.stop_accepting_at(address));
                    for socket in opened {
                        if let Err(error) = ring.accept(socket) {
                            log::warning(&format!("Can't accept on a new address: {error}"));
                        }
                    }
                }
                SocketRequest::CloseListeners => ring.stop_accepting(),
            }
        }
    }
}
