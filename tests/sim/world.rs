//! A run: nodes, what happens to them, and how it ends. One seed decides all of it.

use keylane::replication::link::report::{Observed, Status};
use keylane::replication::replid::ReplId;
use keylane::routing::call::Table;
use shards::base::random::Random;

use crate::agenda::{Env, Event, Run};
use crate::checks::{Checks, Counts};
use crate::disk::Disk;
use crate::faults::Fault;
use crate::network::Network;
use crate::node::Node;
use crate::node::letters::Role;
use crate::setup::Setup;
use crate::workload::Mode;

/// Events of a run at most: one that does not come to rest has more.
const EVENTS_MAX: u64 = 2_000_000;
/// How long everything may take until all nodes are equal again, when nothing breaks any more: more
/// than the ten minutes for which a replica may be refused that overran the limits three times.
const SETTLES: u64 = 1_000_000_000;
/// How often it is looked whether they are.
const LOOK: u64 = 250_000;

/// All there is.
pub struct World {
    pub env: Env,
    pub nodes: Vec<Option<Node>>,
    disks: Vec<Disk>,
    runs: Vec<u64>,
    /// Machines that are gone without a word.
    silent: Vec<bool>,
    pub mode: Mode,
    /// The node that is the primary in the end.
    pub chosen: usize,
    /// Primaries that died, with the names of their histories.
    pub died: Vec<(ReplId, Run)>,
    is_calm: bool,
}

/// A run that this seed decides, with something wrong or not. What has happened in it.
///
/// # Panics
/// If anything is not right.
pub fn run(seed: u64, table: &'static Table, fault: Option<Fault>) -> Counts {
    let mut world = World::new(seed, table, fault);
    world.begin();
    let lasts = world.env.setup.lasts;
    world.until(lasts);
    world.heal();
    world.come_to_rest();
    world.env.checks.counts
}

impl World {
    fn new(seed: u64, table: &'static Table, fault: Option<Fault>) -> Self {
        let mut random = Random::new(seed);
        let mut setup = Setup::new(&mut random, table);
        let mode = [Mode::Wild, Mode::Wild, Mode::Wild, Mode::Cuts, Mode::Handovers];
        let mode = mode[usize::try_from(random.below(5)).expect("it is small")];
        if mode != Mode::Wild {
            setup.is_roomy();
        }
        let count = setup.nodes.len();
        let net = Network::new(&mut random);
        let env = Env::new(random, net, Checks::default(), setup, fault);
        let nodes = (0..count).map(|_| None).collect();
        Self {
            env,
            nodes,
            disks: vec![Disk::default(); count],
            runs: vec![0; count],
            silent: vec![false; count],
            mode,
            chosen: 0,
            died: Vec::new(),
            is_calm: false,
        }
    }

    fn begin(&mut self) {
        let Self { env, mode, .. } = self;
        env.tell(|| format!("{mode:?} {}", env.setup.shown()));
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for node in 1..self.nodes.len() {
            let is_chain = self.mode == Mode::Wild && self.env.chance(200);
            let primary = if is_chain { self.env.below(node) } else { 0 };
            self.with(node, |node, env| node.replicaof(env, Setup::address(primary)));
        }
        let Setup { pace, trouble, .. } = self.env.setup;
        self.env.agenda.add(pace, Event::Client);
        self.env.agenda.add(trouble, Event::Trouble);
    }

    /// Does something with a node that runs.
    pub fn with(&mut self, node: usize, with: impl FnOnce(&mut Node, &mut Env)) {
        if let Some(node) = &mut self.nodes[node] {
            with(node, &mut self.env);
        }
    }

    fn with_run(&mut self, run: Run, with: impl FnOnce(&mut Node, &mut Env)) {
        if let Some(node) = self.nodes[run.node].as_mut().filter(|node| node.run == run) {
            with(node, &mut self.env);
        }
        let has_ended = |node: &Node| node.control.has_ended;
        if self.nodes[run.node].as_ref().is_some_and(has_ended) {
            self.stop(run.node, false);
        }
    }

    /// A node begins to run.
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].is_some() {
            return;
        }
        self.runs[node] += 1;
        let run = Run { node, number: self.runs[node] };
        self.env.tell(|| format!("node {node} starts: {:?}", self.disks[node]));
        if std::mem::take(&mut self.silent[node]) {
            self.env.net.forget(node, &mut self.env.agenda);
        }
        self.nodes[node] = Some(Node::start(&mut self.env, run, &self.disks[node]));
        self.env.checks.counts.restarts += u64::from(1 < run.number);
    }

    /// A node runs no more, until it begins again.
    pub fn stop(&mut self, node: usize, silently: bool) {
        let Some(stopped) = self.nodes[node].take() else { return };
        self.env.tell(|| format!("node {node} stops, silently: {silently}"));
        self.died.push((stopped.control.replid, stopped.run));
        self.env.checks.expect_nothing_of(node);
        self.disks[node] = stopped.control.disk;
        self.silent[node] = silently;
        self.env.net.lose(node, silently, &mut self.env.agenda);
        let most = [100_000, 9_000_000][self.env.below(2)];
        let delay = 1_000 + self.env.random.below(most);
        self.env.agenda.add(delay, Event::Starts(node));
    }

    fn until(&mut self, end: u64) {
        self.env.agenda.until = end;
        while self.env.agenda.now < end && self.step() {}
    }

    /// The next thing happens. False if there is nothing more.
    fn step(&mut self) -> bool {
        let Some(event) = self.env.agenda.next() else { return false };
        self.env.checks.counts.events += 1;
        assert!(self.env.checks.counts.events < EVENTS_MAX, "it does not come to rest");
        match event {
            Event::Mail(run, from, to) => {
                self.with_run(run, |node, env| node.mail(env, from, to));
            }
            Event::Turn(run) => self.with_run(run, Node::relay_turn),
            Event::Control(run) => self.with_run(run, Node::control_turn),
            Event::SendLog(run, shard) => {
                self.with_run(run, |node, env| node.send_log(env, shard));
            }
            Event::Child(run) => self.with_run(run, Node::turn_child),
            Event::Connects(run, conn) => self.connects(run, conn),
            Event::Arrives(conn, side) => {
                let Env { net, random, agenda, .. } = &mut self.env;
                if let Some(node) = net.arrive(conn, side, random, agenda) {
                    self.with(node, |node, env| node.ready(env, conn));
                }
            }
            Event::Room(conn, side) => {
                let node = self.env.net.end(conn, side);
                self.with(node, |node, env| node.ready(env, conn));
            }
            Event::Mends(from, to) => self.env.net.mend(from, to, &mut self.env.agenda),
            Event::Client if self.is_calm => {}
            Event::Client => {
                self.client();
                let pace = 1 + self.env.random.below(2 * self.env.setup.pace);
                self.env.agenda.add(pace, Event::Client);
            }
            Event::Trouble if self.is_calm => {}
            Event::Trouble => {
                self.trouble();
                self.check_states();
                let pause = 1 + self.env.random.below(2 * self.env.setup.trouble);
                self.env.agenda.add(pause, Event::Trouble);
            }
            Event::Aborts(run) => self.with_run(run, Node::abort_failover),
            Event::Starts(node) => self.start(node),
            Event::Elects(run) if !self.is_calm => self.elect(run),
            Event::Elects(_) => {}
        }
        true
    }

    /// A connection is made, or refused, or nothing is heard of it.
    fn connects(&mut self, run: Run, conn: crate::network::ConnId) {
        let [from, to] = self.env.net.ends(conn);
        let is_cut = self.env.net.is_cut(from, to) || self.env.net.is_cut(to, from);
        if is_cut || self.env.net.is_closed(conn, from) {
            return;
        }
        match &mut self.nodes[to] {
            Some(node) => {
                self.env.net.open(conn);
                node.accept(conn);
                self.with_run(run, |node, env| node.dialed(env, conn, true));
            }
            None if self.silent[to] => {}
            None => self.with_run(run, |node, env| node.dialed(env, conn, false)),
        }
    }

    /// Nothing breaks any more.
    fn heal(&mut self) {
        self.env.tell(|| "all is well again".to_owned());
        self.is_calm = true;
        self.env.net.heal(&mut self.env.agenda);
        (0..self.nodes.len()).for_each(|node| self.start(node));
        self.nodes.iter_mut().flatten().for_each(|node| node.post.heal());
        if self.mode != Mode::Cuts {
            self.chosen = self.env.below(self.nodes.len());
        }
    }

    /// Goes on until all nodes are equal.
    fn come_to_rest(&mut self) {
        let began = self.env.agenda.now;
        let before = self.env.checks.counts;
        loop {
            self.settle();
            self.until(self.env.agenda.now + LOOK);
            (0..self.nodes.len()).for_each(|node| self.start(node));
            self.check_states();
            if self.is_at_rest() {
                break;
            }
            let waited = self.env.agenda.now - began;
            assert!(waited < SETTLES, "nodes do not become equal: {}", self.shown());
        }
        let replicas = self.nodes.len() as u64 - 1;
        let after = self.env.checks.counts;
        assert!(after.commits - before.commits <= 2 * replicas, "snapshots have no end");
        if self.mode == Mode::Cuts {
            assert!(after.commits <= replicas, "a cut connection needs no snapshot");
        }
    }

    /// Whether one node is a primary, and all others have what it has.
    fn is_at_rest(&self) -> bool {
        let Some(primary) = &self.nodes[self.chosen] else { return false };
        let is_idle = |node: &Node| {
            node.shards.iter().all(crate::node::shard::Shard::is_idle)
                && node.control.standing.is_idle()
                && node.control.child.is_none()
        };
        let is_equal = |node: &Node| {
            node.run.node == self.chosen
                || (node.control.role == Role::Replica
                    && node.control.view.as_ref().is_some_and(|view| view.is_up)
                    && node.image.values == primary.image.values
                    && node.shown_offset() == primary.shown_offset())
        };
        primary.control.role == Role::Primary
            && primary.control.primary.is_none()
            && self.nodes.iter().flatten().count() == self.nodes.len()
            && self.nodes.iter().flatten().all(|node| is_idle(node) && is_equal(node))
    }

    /// No state lasts longer than its limit.
    fn check_states(&self) {
        let (now, limits) = (self.env.moment(), self.env.setup.link_limits());
        for node in self.nodes.iter().flatten() {
            let Some(upstream) = &node.relay.upstream else { continue };
            let Observed { status, since, .. } = upstream.link.observed();
            let most = match status {
                Status::Idle | Status::Following => continue,
                Status::Connecting => limits.connect_ms,
                Status::Greeting(_) => 9 * limits.step_ms,
                Status::Asking | Status::Receiving(None) => limits.first_byte_ms,
                Status::Receiving(Some(_)) => 60_000,
                Status::Committing => 30_000,
                Status::Waiting(until) => until.since(since),
            };
            let lasts = now.since(since);
            assert!(lasts <= most + 3_000, "node {}: {status:?} lasts {lasts} ms", node.run.node);
        }
    }

    fn shown(&self) -> String {
        let show = |node: &Node| {
            let upstream = node.relay.upstream.as_ref();
            let status = upstream.map(|upstream| upstream.link.observed().status);
            let (control, offset) = (&node.control, node.shown_offset());
            let idle =
                node.shards.iter().map(crate::node::shard::Shard::is_idle).collect::<Vec<_>>();
            format!(
                "\nnode {} {:?} of {:?} at {offset} {status:?} idle {idle:?} {:?}",
                node.run.node, control.role, control.primary, control.standing
            )
        };
        let lines = self.nodes.iter().flatten().map(show).collect::<String>();
        format!("primary {}{lines}", self.chosen)
    }
}
