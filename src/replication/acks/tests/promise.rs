//! What WAIT promises: of replicas with any windows per flow the one with the greatest scalar has
//! every write that another has confirmed.

use shards::base::random::Random;

use super::*;

/// An entry of a log.
#[derive(Clone, Copy)]
enum Entry {
    /// Adds so many bytes to the stream.
    Unit(u64),
    /// The part of a fence.
    Fence,
}

/// What WAIT waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// A fence, which no replica passes in one log alone.
    Fence,
    /// The vector of the logs at that moment, and nothing else.
    Vector,
}

/// A primary with some logs, and replicas that are somewhere in each.
struct World {
    random: Random,
    by: By,
    logs: Vec<Vec<Entry>>,
    /// For each replica its place in each log, in entries.
    places: Vec<Vec<usize>>,
    acks: Acks,
    /// Where the logs ended at the fence of each ticket.
    fences: Vec<(Ticket, Vec<usize>)>,
    /// The waits of each ticket, and those that were confirmed.
    waits: Vec<(WaitId, Ticket)>,
    confirmed: Vec<WaitId>,
    asked: Option<Ticket>,
}

impl World {
    fn new(seed: u64, by: By) -> Self {
        let mut random = Random::new(seed);
        let logs = 2 + pick(&mut random, 3);
        let replicas = 2 + pick(&mut random, 2);
        let mut acks = Acks::default();
        for replica in 0..replicas {
            acks.handle(Moment(0), Event::Joined(ReplicaId(replica as u64)), &mut Vec::new());
        }
        Self {
            random,
            by,
            logs: vec![Vec::new(); logs],
            places: vec![vec![0; logs]; replicas],
            acks,
            fences: Vec::new(),
            waits: Vec::new(),
            confirmed: Vec::new(),
            asked: None,
        }
    }

    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.acks.handle(Moment(0), event, &mut actions);
        for action in actions {
            match action {
                Action::AskFence(ticket) => self.asked = Some(ticket),
                Action::Answer(id, _) => self.confirmed.push(id),
            }
        }
    }

    /// The scalar of a place in each log.
    fn scalar(&self, place: &[usize]) -> u64 {
        let weight = |entry: &Entry| match entry {
            Entry::Unit(bytes) => *bytes,
            Entry::Fence => 0,
        };
        let logs = self.logs.iter().zip(place);
        logs.map(|(log, end)| log[..*end].iter().map(weight).sum::<u64>()).sum()
    }

    fn step(&mut self) {
        match pick(&mut self.random, 8) {
            0..=2 => {
                let log = pick(&mut self.random, self.logs.len());
                let bytes = 1 + self.random.below(100);
                self.logs[log].push(Entry::Unit(bytes));
            }
            3 => {
                let id = WaitId(self.waits.len() as u64);
                let queued = Ticket(self.acks.last + 1);
                let until = Patience::Until(None);
                self.handle(Event::Wait(id, Needs::Applied(1), until));
                self.waits.push((id, queued));
            }
            4 => self.write_fence(),
            _ => self.advance(),
        }
    }

    /// The fence that was asked for, if there is one.
    fn write_fence(&mut self) {
        let Some(ticket) = self.asked.take() else { return };
        if self.by == By::Fence {
            self.logs.iter_mut().for_each(|log| log.push(Entry::Fence));
        }
        let place: Vec<usize> = self.logs.iter().map(Vec::len).collect();
        let offsets = place.iter().map(|end| Offset(*end as u64)).collect();
        let scalar = Scalar(self.scalar(&place));
        self.fences.push((ticket, place));
        let fence = Fence { scalar, vector: Vector::new(offsets) };
        self.handle(Event::FenceWritten(ticket, fence));
    }

    /// Some replica gets on in one of its flows, and acknowledges.
    fn advance(&mut self) {
        let replica = pick(&mut self.random, self.places.len());
        let log = pick(&mut self.random, self.logs.len());
        let place = &mut self.places[replica];
        for _ in 0..pick(&mut self.random, 6) {
            match self.logs[log].get(place[log]) {
                Some(Entry::Unit(_)) => place[log] += 1,
                // It waits until all of its flows are there.
                Some(Entry::Fence) => {
                    let mut heads = self.logs.iter().zip(&*place);
                    if heads.all(|(log, at)| matches!(log.get(*at), Some(Entry::Fence))) {
                        place.iter_mut().for_each(|at| *at += 1);
                    }
                }
                None => {}
            }
        }
        let offsets = place.iter().map(|end| Offset(*end as u64)).collect();
        let position = Position::Native(Vector::new(offsets));
        self.handle(Event::Acked(ReplicaId(replica as u64), position, None));
    }

    /// The primary dies: confirmed waits whose writes the promoted replica lacks.
    fn lost(&self) -> usize {
        let most = self.places.iter().map(|place| self.scalar(place)).max().unwrap_or(0);
        let promoted = self.places.iter().filter(|place| self.scalar(place) == most);
        let lacks = |place: &Vec<usize>, fence: &[usize]| {
            let mut logs = self.logs.iter().zip(place.iter().zip(fence));
            logs.any(|(log, (at, end))| {
                let missing = log.get(*at..*end).unwrap_or_default();
                missing.iter().any(|entry| matches!(entry, Entry::Unit(_)))
            })
        };
        let ticket = |id: &WaitId| self.waits.iter().find(|(wait, _)| wait == id).map(|it| it.1);
        let fences = self.confirmed.iter().filter_map(|id| {
            let ticket = ticket(id)?;
            // A wait is served by the fence that it asked for, or by the one after that.
            self.fences.iter().find(|(other, _)| ticket <= *other).map(|(_, place)| place)
        });
        let fences: Vec<&Vec<usize>> = fences.collect();
        promoted.map(|place| fences.iter().filter(|fence| lacks(place, fence)).count()).sum()
    }
}

fn pick(random: &mut Random, limit: usize) -> usize {
    usize::try_from(random.below(limit as u64)).expect("it is small")
}

/// Seeds whose run loses what was confirmed, and waits that were confirmed in all runs.
fn losses(by: By) -> (Vec<u64>, usize) {
    let (mut lost, mut confirmed) = (Vec::new(), 0);
    for seed in 0..2000 {
        let mut world = World::new(seed, by);
        for _ in 0..200 {
            world.step();
        }
        confirmed += world.confirmed.len();
        if world.lost() != 0 {
            lost.push(seed);
        }
    }
    (lost, confirmed)
}

#[test]
fn who_has_the_greatest_scalar_has_all_that_was_confirmed() {
    let (lost, confirmed) = losses(By::Fence);
    assert!(lost.is_empty(), "seeds {lost:?}");
    assert!(2000 < confirmed, "{confirmed} waits were confirmed");
}

#[test]
fn vectors_without_a_fence_lose_what_was_confirmed() {
    let (lost, _) = losses(By::Vector);
    assert!(10 < lost.len(), "without fences the test finds losses: seeds {lost:?}");
}
