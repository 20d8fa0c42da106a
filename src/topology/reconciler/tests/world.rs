//! Nodes that a controller tells their topology, and a network between them. All chance comes from
//! one seed.

use shards::base::random::Random;

use super::super::{Action, Event, Link, Observed, Reconciler, Standing, State};
use crate::cluster::ids::NodeId;
use crate::cluster::moment::Moment;
use crate::config::primary::Primary;
use crate::topology::desired::{Change, Desired, Force, Goal, Own, UNSET};
use crate::topology::file;
use crate::topology::membership::{Peer, Verdict, judge};

/// Milliseconds between two looks of a node at itself.
const STEP_MS: u64 = 10;
/// For so long things go wrong.
const FAULTS_MS: u64 = 3000;
/// After so long both ends agree: a link connects anew after a second at most.
const PEACE_MS: u64 = 1200;
/// Topologies that are told while things go wrong.
const VERSIONS: i64 = 6;

pub struct World {
    random: Random,
    seed: u64,
    now: u64,
    nodes: Vec<Node>,
    /// The text of each version, from 1.
    texts: Vec<String>,
}

#[derive(Default)]
struct Node {
    desired: Desired,
    reconciler: Reconciler,
    /// Other nodes reach it.
    is_reachable: bool,
    leads: bool,
    follows: Option<Primary>,
    /// Until when what came of its primary is being applied.
    ends: Option<u64>,
    /// The link to its primary runs, and the version that was told by it.
    link: Option<i64>,
    error: Option<String>,
    connects_at: u64,
    failures: u32,
}

fn id_of(node: usize) -> NodeId {
    NodeId::parse(format!("{node:0>40}").as_bytes()).expect("digits")
}

fn port_of(node: usize) -> u16 {
    1 + u16::try_from(node).expect("few")
}

impl World {
    pub fn new(seed: u64, count: u64) -> Self {
        let mut random = Random::new(seed);
        let count = usize::try_from(count).expect("few");
        let texts = (0..VERSIONS).map(|_| topology(&mut random, count)).collect();
        let node = |at| Node {
            desired: Desired::of(Some(id_of(at)), UNSET, Vec::new()),
            leads: true,
            ..Node::default()
        };
        Self { random, seed, now: 0, nodes: (0..count).map(node).collect(), texts }
    }

    /// Things go wrong for a while; then each node that the last topology has was told it once, and
    /// half of them are out of reach; then all are in reach, and nothing more is told.
    pub fn play(&mut self) {
        while self.now < FAULTS_MS {
            self.go_wrong();
            self.pass();
        }
        for at in 0..self.nodes.len() {
            self.nodes[at].is_reachable = at.is_multiple_of(2);
            if self.is_told(at) {
                self.tell(at, VERSIONS);
            }
        }
        for _ in 0..100 {
            self.pass();
        }
        self.nodes.iter_mut().for_each(|node| node.is_reachable = true);
        let due = self.now + PEACE_MS;
        while self.now < due {
            self.pass();
        }
        self.check();
    }

    /// A node that the last topology has, or that is told all the same that it has not.
    fn is_told(&self, at: usize) -> bool {
        let is_member = self.texts[self.texts.len() - 1].contains(&id_of(at).to_string());
        is_member || at.is_multiple_of(3)
    }

    fn go_wrong(&mut self) {
        let at = self.node();
        match self.random.below(12) {
            0..3 => {
                let version = i64::try_from(1 + self.random.below(VERSIONS as u64)).expect("few");
                // The last one only comes when peace does.
                self.tell(at, version.min(VERSIONS - 1));
            }
            3 => self.nodes[at].is_reachable ^= true,
            4 => self.nodes[at].link = None,
            5 => self.crash(at),
            _ => {}
        }
    }

    fn node(&mut self) -> usize {
        usize::try_from(self.random.below(self.nodes.len() as u64)).expect("few")
    }

    fn tell(&mut self, at: usize, version: i64) {
        let node = &mut self.nodes[at];
        let text = &self.texts[usize::try_from(version - 1).expect("from 1")];
        let text = text.clone().into_bytes();
        let change = Change::Nodes { text, version, force: Force::No };
        let before = node.desired.version();
        let taken = node.desired.take(&change, &Own::default());
        assert_eq!(taken.is_err(), version < before, "seed {}", self.seed);
        let goal = node.desired.goal();
        let mut actions = Vec::new();
        node.reconciler.handle(Moment(self.now), Event::Goal(goal), &mut actions);
        assert!(actions.is_empty(), "no command waits for anything");
    }

    /// A node dies, and begins again with what it has written.
    fn crash(&mut self, at: usize) {
        let written = file::text(&self.nodes[at].desired);
        let desired = file::load(&written).expect("it was written as a whole");
        assert_eq!(desired, self.nodes[at].desired, "seed {}", self.seed);
        let (goal, mut reconciler) = (desired.goal(), Reconciler::default());
        let (follows, leads) = match goal.clone() {
            Goal::Follow(primary) => (Some(primary), false),
            goal => (None, matches!(goal, Goal::Unset | Goal::Lead)),
        };
        reconciler.handle(Moment(self.now), Event::Goal(goal), &mut Vec::new());
        let is_reachable = self.nodes[at].is_reachable;
        self.nodes[at] =
            Node { desired, reconciler, is_reachable, leads, follows, ..Node::default() };
        for other in &mut self.nodes {
            if other.follows.as_ref().is_some_and(|primary| primary.port == port_of(at)) {
                other.link = None;
            }
        }
    }

    fn pass(&mut self) {
        self.now += STEP_MS;
        for at in 0..self.nodes.len() {
            self.connect(at);
            self.end(at);
            self.look(at);
        }
    }

    /// The link of a node to its primary.
    fn connect(&mut self, at: usize) {
        let Some(primary) = self.nodes[at].follows.clone() else { return };
        let to = usize::from(primary.port - 1);
        let is_reached = self.nodes[to].is_reachable && self.nodes[at].is_reachable && to != at;
        if self.nodes[at].link.is_some() {
            if !is_reached {
                self.nodes[at].link = None;
                self.nodes[at].connects_at = self.now;
            }
            return;
        }
        if self.now < self.nodes[at].connects_at {
            return;
        }
        let version = self.nodes[at].desired.version();
        let is_refused = judge(&self.nodes[to].desired, &peer(at, version)) == Verdict::Stranger;
        let node = &mut self.nodes[at];
        if is_reached && !is_refused {
            (node.link, node.error, node.failures) = (Some(version), None, 0);
            return;
        }
        node.error = Some(if is_reached { "refused" } else { "not reached" }.to_owned());
        node.connects_at = self.now + (100 << node.failures.min(4)).min(1000);
        node.failures += 1;
    }

    /// What came of the former primary of a node is applied.
    fn end(&mut self, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[at];
        if node.ends.take_if(|ends| *ends <= now).is_some()
            && *node.reconciler.goal() != Goal::Leave
        {
            node.leads = true;
        }
    }

    fn look(&mut self, at: usize) {
        let strangers = self.attached(at).into_iter().filter(|(of, version)| {
            judge(&self.nodes[at].desired, &peer(*of, *version)) == Verdict::Stranger
        });
        let strangers: Vec<u64> = strangers.map(|(of, _)| of as u64).collect();
        let node = &self.nodes[at];
        let standing = match &node.follows {
            Some(primary) => {
                let link = match node.link {
                    Some(_) => Link::Up,
                    None => Link::Down(node.error.clone()),
                };
                Standing::Follows(primary.clone(), link)
            }
            None if node.leads => Standing::Leads,
            None if node.ends.is_some() => Standing::Ends,
            None => Standing::Left,
        };
        let (mut actions, now) = (Vec::new(), Moment(self.now));
        let event = Event::Observed(Observed { standing, strangers });
        self.nodes[at].reconciler.handle(now, event, &mut actions);
        for action in actions {
            // What is done may have no effect.
            if FAULTS_MS <= self.now || self.random.below(4) != 0 {
                self.act(at, action);
            }
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let takes_ms = self.random.below(50);
        let node = &mut self.nodes[at];
        match action {
            Action::Follow(primary) => {
                (node.follows, node.leads, node.ends) = (Some(primary), false, None);
                (node.link, node.error, node.failures) = (None, None, 0);
                node.connects_at = self.now;
            }
            Action::Unfollow => {
                assert!(node.follows.take().is_some(), "seed {}", self.seed);
                (node.link, node.ends) = (None, Some(self.now + takes_ms));
            }
            Action::Promote => {
                assert!(node.follows.is_none() && node.ends.is_none(), "seed {}", self.seed);
                node.leads = true;
            }
            Action::Cut(strangers) => {
                for stranger in strangers {
                    let cut = &mut self.nodes[usize::try_from(stranger).expect("few")];
                    (cut.link, cut.connects_at) = (None, self.now + STEP_MS);
                }
            }
        }
    }

    /// Who is attached to a node, and which version each has told.
    fn attached(&self, to: usize) -> Vec<(usize, i64)> {
        let nodes = self.nodes.iter().enumerate();
        let follows = nodes.filter(|(_, node)| {
            node.follows.as_ref().is_some_and(|primary| primary.port == port_of(to))
        });
        follows.filter_map(|(at, node)| Some((at, node.link?))).collect()
    }

    fn check(&self) {
        let last = &self.texts[self.texts.len() - 1];
        let told = |at: usize| self.nodes[at].desired.version() == VERSIONS;
        for at in (0..self.nodes.len()).filter(|at| told(*at)) {
            let (node, seed) = (&self.nodes[at], self.seed);
            let shown = format!("seed {seed}, node {at} in\n{last}");
            assert_eq!(node.reconciler.state(), State::InSync, "{shown}: {:?}", node.reconciler);
            match node.desired.goal() {
                Goal::Lead => assert!(node.leads && node.follows.is_none(), "{shown}"),
                Goal::Follow(primary) => {
                    assert_eq!((node.follows.as_ref(), node.leads), (Some(&primary), false));
                    assert!(node.link.is_some(), "{shown}");
                }
                Goal::Leave => assert!(node.follows.is_none(), "{shown}"),
                Goal::Unset | Goal::Lost(_) => panic!("{shown}: {:?}", node.desired.goal()),
            }
            let attached: Vec<usize> = self.attached(at).into_iter().map(|(of, _)| of).collect();
            let expected = (0..self.nodes.len()).filter(|of| {
                let line = format!("{} h {} slave {}", id_of(*of), port_of(*of), id_of(at));
                last.contains(&line)
            });
            assert_eq!(attached, expected.collect::<Vec<_>>(), "{shown}");
        }
        let untold = (0..self.nodes.len()).filter(|at| !told(*at));
        untold
            .for_each(|at| assert!(!self.is_told(at) && UNSET <= self.nodes[at].desired.version()));
    }
}

fn peer(at: usize, version: i64) -> Peer {
    Peer { told: Some((id_of(at), version)), host: "h".to_owned(), port: port_of(at) }
}

/// A topology of some of the nodes: at least one primary, and replicas of primaries or of replicas.
fn topology(random: &mut Random, count: usize) -> String {
    let mut lines = Vec::new();
    let mut placed: Vec<usize> = Vec::new();
    let first = usize::try_from(random.below(count as u64)).expect("few");
    for offset in 0..count {
        let at = (first + offset) % count;
        let (id, port) = (id_of(at), port_of(at));
        let is_primary = placed.is_empty() || random.below(3) == 0;
        if !placed.is_empty() && random.below(5) == 0 {
            continue; // It is not in it.
        }
        if is_primary {
            lines.push(format!("{id} h {port} master - {at}"));
        } else {
            let of = usize::try_from(random.below(placed.len() as u64)).expect("few");
            lines.push(format!("{id} h {port} slave {}", id_of(placed[of])));
        }
        placed.push(at);
    }
    lines.join("\n")
}
