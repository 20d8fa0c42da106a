//! The loop of a shard thread.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::Sender;
use std::time::Duration;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use shards::base::random::Random;

use crate::clients::client::Client;
use crate::clients::ctx::ClientCommands;
use crate::config::table::Config;
use crate::log;
use crate::mail::connection::Connection;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_shard::ToShard;
use crate::process::Process;
use crate::reactor::clock::{self, Monotonic};
use crate::reactor::crash;
use crate::reactor::ring::{Completion, DataRing, Token};
use crate::reactor::sockets;
use crate::routing::node::Node;
use crate::shard::core::{Core, SocketRequest};
use crate::shard::requests::pipeline::Pipeline;
use crate::shutdown::stage::Stage;

/// How often a shard looks after timeouts, and after background work when it has nothing else.
const TICK: Duration = Duration::from_millis(TICK_MILLIS);
const TICK_MILLIS: u64 = 100;
/// Background work in one go, at most: a quarter of the interval.
const BACKGROUND_MICROS: u64 = 25_000;
/// How long after the last letter a shard looks for the next before it sleeps, while others use
/// the processor.
const LINGER_MICROS: u64 = 200;
/// Looks in which nobody else wanted the processor before it sleeps.
const LOOKS_ALONE_MAX: u32 = 3;
/// A yield that took longer let somebody else run.
const SHARED_MICROS: u64 = 3;
/// How long a shard sleeps at most while the process ends.
const LEAVING_PATIENCE: Duration = Duration::from_millis(1);
/// How often a busy shard does a slice of background work.
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
    // Nobody waits for the word any more if another shard failed: then the process ends.
    let _ = start.ready.send(start.mailbox.me());
    drop(start.ready);
    for listener in &start.listeners {
        ring.accept(listener.as_raw_fd());
    }
    let mut served = Served {
        last_tick: start.node.now,
        last_mail: start.node.now,
        looks: LOOKS_ALONE_MAX,
        refused: Vec::new(),
        listeners: start.listeners,
        assigned: vec![0; start.mailbox.shards()],
        core: Core::new(start.mailbox, start.node, start.client_commands, start.random),
        pipeline: Pipeline::default(),
        accepted: 0,
        urgent: false,
    };
    let mut done = Vec::new();
    let mut last_background = Monotonic::now();
    loop {
        served.turn(&mut ring, &mut done);
        if served.core.leaving_stage() == Some(Stage::Shards) {
            served.release(ring)
        }
        served.wait(&mut ring, &mut done)?;
        let now = served.core.node.now;
        if BACKGROUND_INTERVAL_MICROS <= now.micros_since(last_background) {
            last_background = now;
            served.background(&mut ring, &mut done)?;
        }
    }
}

struct Served {
    core: Core,
    pipeline: Pipeline,
    /// Connections accepted so far; also the last client's id.
    accepted: u64,
    /// Connections given to each shard so far.
    assigned: Vec<u64>,
    last_tick: Monotonic,
    /// When mail last came or went.
    last_mail: Monotonic,
    /// Looks for mail since then that found neither mail nor anybody who wanted the processor.
    looks: u32,
    /// Listeners that could not accept, for want of descriptors as a rule: tried again at a tick.
    refused: Vec<u16>,
    /// What connections are accepted on.
    listeners: Vec<OwnedFd>,
    /// Something is to be done in the next turn, whether or not anything comes in.
    urgent: bool,
}

impl Served {
    /// Acts on what is done and on mail, until nothing is left to do now.
    fn turn(&mut self, ring: &mut DataRing, done: &mut Vec<Completion>) {
        self.core.begin_turn(Monotonic::now(), clock::wall());
        self.core.end_late_waits();
        for completion in done.drain(..) {
            self.complete(ring, completion);
        }
        self.core.read_mail();
        self.pipeline.run(&mut self.core, &mut ring.buffers);
        if self.core.leaving_stage().is_some() {
            self.core.go_on_leaving(self.core.node.now, || ring.look_after());
        }
        self.send_replies(ring);
        self.serve_sockets(ring);
        self.core.mailbox.publish_changes(self.core.shard.effects.dirty);
        self.urgent |= self.core.mailbox.flush();
    }

    /// Waits for what comes next: in the ring, where it can be woken; or, while mail is going to
    /// and fro, by giving the processor away and looking again.
    ///
    /// Waking a thread costs more than what one letter asks for. If others want the processor
    /// they get it, and there is more to do when it comes back; if nobody does, a few looks cost
    /// no more than one sleep (measured with two shards on a shared machine: 0.6 of the CPU time
    /// per request without a pipeline, 0.8 at 16 in a pipeline).
    fn wait(&mut self, ring: &mut DataRing, done: &mut Vec<Completion>) -> io::Result<()> {
        let now = self.core.node.now;
        if self.core.mailbox.take_stirred() {
            (self.last_mail, self.looks) = (now, 0);
        }
        if self.urgent {
            return ring.turn(None, done);
        }
        if self.may_linger(now) {
            return self.linger(ring, done);
        }
        if self.core.mailbox.sleep() {
            let late = self.core.next_late();
            let tick = if self.core.leaving_stage().is_some() { LEAVING_PATIENCE } else { TICK };
            let patience = late.map_or(tick, |late| Monotonic::now().until(late).min(tick));
            ring.turn(Some(patience), done)?;
            self.core.mailbox.awake();
            return Ok(());
        }
        ring.turn(None, done)
    }

    /// Whether it is too early to sleep: mail came or went just now, and others still use the
    /// processor, so that there may be more at the next look. Shards that only look for each
    /// other's mail seem busy to one another: what ends that is the time.
    fn may_linger(&self, now: Monotonic) -> bool {
        self.looks < LOOKS_ALONE_MAX && now.micros_since(self.last_mail) < LINGER_MICROS
    }

    /// Looks for something to do, giving the processor away between looks, until there is some or
    /// it is time to sleep.
    fn linger(&mut self, ring: &mut DataRing, done: &mut Vec<Completion>) -> io::Result<()> {
        ring.turn(None, done)?;
        let mut before = Monotonic::now();
        while done.is_empty() && self.core.mailbox.is_empty() && self.may_linger(before) {
            std::thread::yield_now();
            let now = Monotonic::now();
            let alone = now.micros_since(before) < SHARED_MICROS;
            self.looks += u32::from(alone);
            before = now;
            if ring.has_work() {
                ring.turn(None, done)?;
            }
        }
        Ok(())
    }

    /// Background work: a slice when there are requests too, more for as long as there are none.
    fn background(&mut self, ring: &mut DataRing, done: &mut Vec<Completion>) -> io::Result<()> {
        let start = Monotonic::now();
        let due = TICK_MILLIS <= start.millis_since(self.last_tick);
        if due {
            self.last_tick = start;
            self.core.tick();
            for listener in self.refused.drain(..) {
                ring.accept_again(listener);
            }
        }
        while self.core.background()
            && due
            && done.is_empty()
            && self.core.mailbox.is_empty()
            && Monotonic::now().micros_since(start) < BACKGROUND_MICROS
        {
            ring.turn(None, done)?;
        }
        Ok(())
    }

    fn complete(&mut self, ring: &mut DataRing, completion: Completion) {
        let Self { core, pipeline, .. } = self;
        match completion {
            Completion::Received(token, id, len) => {
                pipeline.received(core, &mut ring.buffers, token, id, len);
            }
            Completion::Sent(token, buffer) => {
                core.counters.bytes_out += buffer.len() as u64;
                core.counters.writes += 1;
                if let Some(client) = core.client(token) {
                    client.figures.bytes_out += buffer.len() as u64;
                    client.sending = 0;
                    let (closing, waiting) =
                        (client.closing && !client.away, !client.out.is_empty());
                    let listed = !client.query.is_empty() && !client.away && !client.listed;
                    if waiting {
                        if !client.dirty {
                            client.dirty = true;
                            core.dirty.push(token);
                        }
                    } else if closing {
                        core.remove_client(token);
                    } else if listed {
                        client.listed = true;
                        core.listed.push_back(token);
                    }
                }
                core.keep_buffer(buffer);
            }
            Completion::InputEnded(token)
            | Completion::Failed(token, _)
            | Completion::SendFailed(token) => core.remove_client(token),
            Completion::Accepted(_, fd) => self.accept(fd),
            Completion::AcceptFailed(listener, error) => {
                log::warning(&format!("Accepting client connection: {error}"));
                self.refused.push(listener);
            }
            // What it sent before is to be done first; the end comes again when it is read.
            Completion::HungUp(_) | Completion::Woken => {}
        }
    }

    /// Lets go of sockets and ring, says so, and waits for the end of the process. Keys stay where
    /// they are: to free them one by one would take long, and nobody needs the room.
    fn release(mut self, ring: DataRing) -> ! {
        self.listeners.clear();
        drop(ring);
        self.core.report_released();
        while self.core.mailbox.flush() {
            std::thread::yield_now();
        }
        loop {
            std::thread::park();
        }
    }

    fn accept(&mut self, fd: OwnedFd) {
        let core = &mut self.core;
        self.accepted += 1;
        let connection = Box::new(Connection {
            id: self.accepted,
            peer: sockets::peer(&fd),
            local: sockets::local(&fd),
            fd,
        });
        let open = |shard: usize| self.assigned[shard] - core.mailbox.closed(shard);
        let shards = 0..self.assigned.len();
        let clients: u64 = shards.clone().map(open).sum();
        if let Some(refusal) = refusal(&core.node.config, &connection, clients) {
            core.counters.clients_refused += 1;
            sockets::send_now(&connection.fd, refusal);
            return;
        }
        if connection.peer.is_some() {
            sockets::prepare_tcp(&connection.fd, core.node.config.tcp_keepalive);
        }
        let to = shards.min_by_key(|&shard| open(shard)).expect("there is a shard");
        self.assigned[to] += 1;
        if to == core.me() {
            core.socket_requests.push(SocketRequest::Add(connection));
        } else {
            core.mailbox.send(to, ToShard::Connection(connection));
        }
    }

    fn send_replies(&mut self, ring: &mut DataRing) {
        let core = &mut self.core;
        self.urgent = false;
        let now = core.node.now;
        let limits = core.node.config.client_output_buffer_limit;
        for at in 0..core.dirty.len() {
            let token = core.dirty[at];
            let Some(client) = core.client(token) else { continue };
            client.dirty = false;
            if !client.within_output_limits(&limits, now) {
                core.counters.output_limit_cuts += 1;
                core.note_output_cut(token);
                core.remove_client(token);
                continue;
            }
            if client.sending != 0 {
                continue;
            }
            if client.out.is_empty() {
                if client.closing && !client.away {
                    core.remove_client(token);
                }
                continue;
            }
            // What waits for these replies to be gone must not wait for a next event.
            self.urgent |= client.closing || (!client.query.is_empty() && !client.away);
            let out = std::mem::take(&mut client.out);
            client.sending = out.len();
            ring.send(token, out);
        }
        core.dirty.clear();
    }

    fn serve_sockets(&mut self, ring: &mut DataRing) {
        if self.core.socket_requests.is_empty() {
            return;
        }
        for request in std::mem::take(&mut self.core.socket_requests) {
            match request {
                SocketRequest::Add(connection) => self.add(ring, *connection),
                SocketRequest::Close(token) => ring.close(token),
                SocketRequest::Pause(token) => ring.pause(token),
                SocketRequest::Resume(token) => ring.resume(token),
                SocketRequest::Finish(token) => ring.finish(token),
                SocketRequest::CloseListeners => {
                    ring.stop_accepting();
                    self.listeners.clear();
                }
            }
        }
    }

    fn add(&mut self, ring: &mut DataRing, connection: Connection) {
        let Connection { fd, id, peer, local } = connection;
        let number = fd.as_raw_fd();
        let token: Token = ring.add(fd);
        let mut client = Client::new(id, token, number, self.core.node.now);
        (client.peer, client.local) = (peer, local);
        client.from_here = peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback());
        client.session.authenticated = self.core.node.config.requirepass.is_empty();
        client.late = self.core.leaving_stage().is_some();
        self.core.add_client(Box::new(client));
    }
}

/// Why a connection is not served, as it is told.
fn refusal(config: &Config, connection: &Connection, clients: u64) -> Option<&'static [u8]> {
    if u64::from(config.maxclients) <= clients {
        return Some(b"-ERR max number of clients reached\r\n");
    }
    let outside = connection.peer.is_some_and(|peer| !peer.ip().to_canonical().is_loopback());
    if config.protected_mode && config.requirepass.is_empty() && outside {
        return Some(PROTECTED);
    }
    None
}

/// What a client from another machine is told in protected mode.
const PROTECTED: &[u8] = b"-DENIED Running in protected mode because protected mode is enabled \
and no password is set for the default user. In this mode connections are only accepted from the \
loopback interface. To connect from other machines, either set a password ('requirepass', or \
'CONFIG SET requirepass' from this machine), or disable protected mode ('protected-mode no') if \
nobody else can reach this port.\r\n";
