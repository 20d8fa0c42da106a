//! What goes wrong in a run: drawn from its seed, or named by a test.

use shards::base::random::Random;

use super::checks::WATCHED;
use super::{FAULTS_FROM, SHARDS};
use crate::cluster::machine::event::Failover;

/// Faults of one run at most.
const FAULTS_MAX: u64 = 8;
/// Milliseconds for each of them: many take longer than few, so that they meet as often.
const FAULT_MS: u64 = 1500;

/// Moves of slots in one run at most, if they take their time, and about how long one takes.
const MOVES_MAX: u64 = 3;
const MOVE_MS: u64 = 800;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Kill(usize),
    Restart(usize),
    /// A dead node starts without its data.
    RestartEmpty(usize),
    /// A dead node starts without its data, and serves.
    RestartStock(usize),
    Stop(usize),
    Continue(usize),
    /// Nothing gets from these nodes (a bit each) to the others, nor back.
    Split(u64),
    /// Nothing gets from these nodes to the others.
    Mute(u64),
    Heal,
    CutLinks(usize),
    DiskFails(usize),
    DiskWorks(usize),
    Failover(usize, Failover),
    /// A slot is moved by hand.
    Move(usize, usize),
}

impl Fault {
    /// Whether a primary that is silent from now on is all that comes of it.
    pub const fn is_silence(self) -> bool {
        matches!(self, Self::Kill(_) | Self::Stop(_))
    }

    /// Whether what a node has may be gone, or given up by those who do not hear of it.
    pub const fn loses_writes(self) -> bool {
        match self {
            Self::RestartEmpty(_) | Self::RestartStock(_) | Self::Stop(_) => true,
            Self::Split(_) | Self::Mute(_) | Self::DiskFails(_) => true,
            Self::Failover(_, how) => !matches!(how, Failover::Plain),
            Self::Kill(_) | Self::Restart(_) | Self::Continue(_) | Self::Heal => false,
            Self::CutLinks(_) | Self::DiskWorks(_) | Self::Move(..) => false,
        }
    }
}

/// The faults of a seed for so many nodes, with their times.
pub fn draw(seed: u64, nodes: usize) -> Vec<(u64, Fault)> {
    let mut random = Random::new(seed ^ 0xFA17);
    let mut faults = Vec::new();
    let count = random.below(FAULTS_MAX + 1);
    for _ in 0..count {
        let mut below = |limit: u64| usize::try_from(random.below(limit)).expect("it is small");
        let at = FAULTS_FROM + below(count * FAULT_MS) as u64;
        let until = at + 100 + below(3800) as u64;
        let (node, other) = (below(nodes as u64), below(nodes as u64));
        let some = 1 + below((1 << nodes) - 2) as u64;
        let pair = |one, other| vec![(at, one), (until, other)];
        faults.extend(match below(12) {
            0 | 1 => pair(Fault::Kill(node), Fault::Restart(node)),
            2 => pair(Fault::Stop(node), Fault::Continue(node)),
            3 => pair(Fault::Split(some), Fault::Heal),
            4 => pair(Fault::Mute(some), Fault::Heal),
            5 => vec![(at, Fault::CutLinks(node))],
            6 => pair(Fault::DiskFails(node), Fault::DiskWorks(node)),
            7 => vec![(at, Fault::Failover(node, Failover::Plain))],
            8 => vec![(at, Fault::Failover(node, Failover::Force))],
            9 => [node, other].map(|node| (at, Fault::Failover(node, Failover::Force))).to_vec(),
            10 if until.is_multiple_of(2) => pair(Fault::Kill(node), Fault::RestartStock(node)),
            10 => pair(Fault::Kill(node), Fault::RestartEmpty(node)),
            _ => vec![(at, Fault::Move(movable(below(16384)), below(SHARDS as u64)))],
        });
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// The faults of a seed in which slots are moved step after step: every other time only such that
/// lose nothing that a primary had.
pub fn draw_moves(seed: u64, nodes: usize) -> Vec<(u64, Fault)> {
    let mut faults = draw(seed, nodes);
    let mut random = Random::new(seed ^ 0x3070);
    if random.below(2) == 0 {
        for (_, fault) in &mut faults {
            if let Fault::RestartEmpty(node) | Fault::RestartStock(node) = *fault {
                *fault = Fault::Restart(node);
            }
        }
        faults.retain(|(_, fault)| !fault.loses_writes());
    }
    for _ in 0..1 + random.below(MOVES_MAX) {
        let mut below = |limit: u64| usize::try_from(random.below(limit)).expect("it is small");
        let at = FAULTS_FROM + below(FAULTS_MAX / 2 * FAULT_MS) as u64;
        let (slot, target) = (movable(below(16384)), below(SHARDS as u64));
        faults.push((at, Fault::Move(slot, target)));
        // Most of what may go wrong with a move takes a failover in the middle of it.
        let (node, then) = (below(nodes as u64), at + below(MOVE_MS) as u64);
        faults.push((then, Fault::Failover(node, Failover::Plain)));
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// A slot that no check watches: those that are watched change their owners by failovers only.
fn movable(slot: usize) -> usize {
    if WATCHED.into_iter().any(|watched| usize::from(watched) == slot) { slot + 1 } else { slot }
}
