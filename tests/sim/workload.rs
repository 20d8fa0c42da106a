//! What clients and operators do, and what breaks.

use keylane::replication::failover::request::{Request, Target};

use crate::agenda::{Event, Run};
use crate::keyspace::{Change, DATABASES, DeedId, KEYS, NAMES};
use crate::network::ConnId;
use crate::node::Node;
use crate::node::letters::{Role, Write};
use crate::setup::Setup;
use crate::world::World;

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Anything.
    Wild,
    /// Connections break and stall; nothing else does.
    Cuts,
    /// Primaries hand over; nothing breaks.
    Handovers,
}

impl World {
    /// A client does something at some node.
    pub fn client(&mut self) {
        let node = self.env.below(self.nodes.len());
        let primaries = (0..self.nodes.len()).filter(|node| self.has_role(*node, Role::Primary));
        let primaries: Vec<usize> = primaries.collect();
        let (reads, env) = (self.env.chance(150), &mut self.env);
        let node = match primaries.as_slice() {
            [] => node,
            _ if reads => node,
            some => some[env.below(some.len())],
        };
        let Some(node) = &mut self.nodes[node] else { return };
        let home = env.below(node.shards.len());
        if reads {
            let keys = (0..3).map(|_| env.below(KEYS)).collect();
            return node.look(env, home, keys);
        }
        let keys = some_keys(node, env);
        let changes = |deed: DeedId, sets: bool| {
            let change = |key: &usize| {
                if sets { Change::Set(*key, deed) } else { Change::Append(*key, deed) }
            };
            keys.iter().map(change).collect()
        };
        let flushes = env.chance(20);
        let deed = env.checks.begin_deed(if flushes { Vec::new() } else { keys.clone() });
        let changes = if flushes { vec![Change::Flush] } else { changes(deed, env.chance(200)) };
        let (is_early, waits) = (!flushes && env.chance(500), env.chance(200));
        let begun = env.stamp().0;
        node.submit(env, Write { home, deed, changes, is_early, waits, begun });
    }

    fn has_role(&self, node: usize, role: Role) -> bool {
        self.nodes[node].as_ref().is_some_and(|node| node.control.role == role)
    }

    /// Something breaks, or an operator does something.
    pub fn trouble(&mut self) {
        let count = self.nodes.len();
        let (one, other) = (self.env.below(count), self.env.below(count));
        let choice = self.env.random.below(100);
        match (self.mode, choice) {
            (Mode::Handovers, 0..70) => self.hand_over(one),
            (_, 92..) => self.with(one, |node, env| node.bgsave(env)),
            (Mode::Handovers, _) => {}
            (_, 0..30) => self.reset_some(),
            (_, 30..42) => self.cut_some(one, other),
            (_, 42..46) => self.env.net.slow(one, other),
            (Mode::Cuts, _) => self.reset_some(),
            (_, 46..62) if one != other => {
                let address = Setup::address(other);
                self.with(one, |node, env| node.replicaof(env, address));
            }
            (_, 62..68) => self.with(one, Node::no_one),
            (_, 68..78) => self.hand_over(one),
            (_, 78..88) => self.crash(one),
            (_, 88..92) => self.with(one, |node, env| node.shutdown(env)),
            (_, _) => {}
        }
    }

    fn reset_some(&mut self) {
        let node = self.env.below(self.nodes.len());
        let conns: Vec<ConnId> = self.env.net.of(node);
        if !conns.is_empty() {
            let conn = conns[self.env.below(conns.len())];
            self.env.tell(|| format!("{conn:?} of node {node} is reset"));
            self.env.net.reset(conn, &mut self.env.agenda);
        }
    }

    fn cut_some(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        self.env.tell(|| format!("nothing gets from node {from} to node {to}"));
        let both = self.env.chance(500);
        let lasts = [100_000, 2_000_000, 20_000_000][self.env.below(3)];
        for (from, to) in [(from, to), (to, from)].into_iter().take(1 + usize::from(both)) {
            self.env.net.cut(from, to);
            self.env.agenda.add(lasts, Event::Mends(from, to));
        }
    }

    /// FAILOVER, and perhaps its ABORT.
    fn hand_over(&mut self, node: usize) {
        let is_wild = self.mode == Mode::Wild;
        self.with(node, |node, env| {
            if env.chance(400) {
                let most = [30_000, 300_000][env.below(2)];
                let delay = env.random.below(most);
                env.agenda.add(delay, Event::Aborts(node.run));
            }
            let sessions = &node.control.sessions;
            let target = sessions.get(env.below(sessions.len().max(1))).filter(|_| env.chance(600));
            let target = target.map(|view| &view.address);
            let target = target
                .map(|address| Target { host: address.host.clone(), port: address.port.into() });
            let timeout_ms = env.chance(500).then(|| 1 + env.random.below(4_000));
            let forced = is_wild && target.is_some() && timeout_ms.is_some() && env.chance(300);
            node.begin_failover(env, &Request { target, forced, timeout_ms, reach_ms: None });
        });
    }

    /// A process or a machine dies, and comes back some time later. If it was a primary, another
    /// node may take its place.
    fn crash(&mut self, node: usize) {
        let Some(run) = self.nodes[node].as_ref().map(|node| node.run) else { return };
        let is_primary = self.has_role(node, Role::Primary);
        let silently = self.env.chance(500);
        self.stop(node, silently);
        if is_primary && self.env.chance(700) {
            let delay = 300_000 + self.env.random.below(2_000_000);
            self.env.agenda.add(delay, Event::Elects(run));
        }
    }

    /// Of a dead primary's replicas, the one with the greatest offset takes its place.
    pub fn elect(&mut self, dead: Run) {
        let Some((replid, _)) = self.died.iter().rfind(|(_, run)| *run == dead) else { return };
        let (replid, address) = (*replid, Setup::address(dead.node));
        let place = |node: &Node| node.relay.upstream.as_ref()?.place(node);
        let is_candidate = |node: &&Node| {
            node.control.primary.as_ref() == Some(&address)
                && place(node).is_some_and(|(id, _)| id == replid)
        };
        let candidates = || self.nodes.iter().flatten().filter(is_candidate);
        let Some(best) = candidates().max_by_key(|node| place(node)) else { return };
        let best = best.run.node;
        let promises = self.env.checks.promises.iter().filter(|promise| {
            (promise.node, promise.run, promise.replid) == (dead.node, dead.number, replid)
        });
        let has_it = |deed: &DeedId| candidates().any(|node| node.image.has(*deed));
        let deeds: Vec<DeedId> = promises.map(|promise| promise.deed).filter(has_it).collect();
        let others: Vec<usize> =
            candidates().map(|node| node.run.node).filter(|other| *other != best).collect();
        self.env.tell(|| format!("node {best} takes the place of node {}", dead.node));
        self.env.checks.expect(best, deeds);
        self.with(best, Node::no_one);
        for other in others {
            self.with(other, |node, env| node.replicaof(env, Setup::address(best)));
        }
    }

    /// What an operator does in the end: one node is a primary, and all others follow it.
    pub fn settle(&mut self) {
        let chosen = self.chosen;
        for node in 0..self.nodes.len() {
            self.with(node, |node, env| {
                if node.control.failover.is_under_way() {
                    node.abort_failover(env);
                } else if node.run.node == chosen {
                    node.no_one(env);
                } else {
                    node.replicaof(env, Setup::address(chosen));
                }
            });
        }
    }
}

/// One key, or a few: of one shard, or of any.
fn some_keys(node: &Node, env: &mut crate::agenda::Env) -> Vec<usize> {
    let first = env.below(KEYS);
    if env.chance(600) {
        return vec![first];
    }
    let is_one_shard = env.chance(300);
    let mut keys = vec![first];
    for _ in 0..1 + env.below(2) {
        let key = env.below(NAMES * DATABASES);
        let is_near = !is_one_shard || node.owners[key] == node.owners[first];
        if is_near && !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}
