//! What is to happen, in the order of time; and what everything that happens may use.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use keylane::replication::merge::Stamp;
use keylane::replication::moment::Moment;
use keylane::replication::replid::ReplId;
use shards::base::random::Random;

use crate::checks::Checks;
use crate::faults::Fault;
use crate::network::{ConnId, Network, Tried};
use crate::setup::Setup;

/// Microseconds of virtual time.
pub type Micros = u64;

/// A node as it runs now: what belongs to a run before means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub node: usize,
    pub number: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A letter from one thread of a node to another comes to its reader.
    Mail(Run, usize, usize),
    /// The relay of a node has its turn.
    Turn(Run),
    /// Control of a node has its turn.
    Control(Run),
    /// A shard sends replicas what there is of its log.
    SendLog(Run, usize),
    /// A child of a node gets on.
    Child(Run),
    /// A connection is open, or cannot be.
    Connects(Run, ConnId),
    /// Something of one way of a connection arrives.
    Arrives(ConnId, usize),
    /// There is room on a way again.
    Room(ConnId, usize),
    /// Something gets from one node to another again.
    Mends(usize, usize),
    /// A client does something.
    Client,
    /// Something breaks, or an operator does something.
    Trouble,
    /// FAILOVER ABORT at a node.
    Aborts(Run),
    /// A node begins to run again.
    Starts(usize),
    /// Of a primary's replicas, those that are left get another primary.
    Elects(Run),
}

/// What is to happen. The heap has places of events alone, so that little is moved in it.
#[derive(Debug, Default)]
pub struct Agenda {
    pub now: Micros,
    added: u64,
    heap: BinaryHeap<Reverse<Entry>>,
    events: Vec<Event>,
    /// Places among the events that are free.
    free: Vec<usize>,
    /// What is due later than that is looked at anew before it happens.
    pub until: Micros,
}

#[derive(Debug)]
struct Entry {
    due: Due,
    /// Its place among the events.
    place: usize,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn lt(&self, other: &Self) -> bool {
        self.due.0 < other.due.0
    }

    fn le(&self, other: &Self) -> bool {
        self.due.0 <= other.due.0
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

/// When something happens: of what happens at one moment, what was asked for first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due(u64);

/// The low bits of a [`Due`], which number what was asked for; the time is above them.
const NUMBER_BITS: u32 = 26;

impl Due {
    pub fn at(self) -> Micros {
        self.0 >> NUMBER_BITS
    }
}

impl Agenda {
    /// Has something happen so much later.
    pub fn add(&mut self, delay: Micros, event: Event) {
        self.add_at(self.now + delay, event);
    }

    pub fn add_at(&mut self, at: Micros, event: Event) {
        let due = self.due(at);
        self.add_due(due, event);
    }

    /// Says that something happens then, which is added by [`Self::add_due`] before that.
    pub fn due(&mut self, at: Micros) -> Due {
        self.added += 1;
        assert!(self.added >> NUMBER_BITS == 0 && at.leading_zeros() >= NUMBER_BITS, "a run ends");
        Due(at << NUMBER_BITS | self.added)
    }

    pub fn add_due(&mut self, due: Due, event: Event) {
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place] = event;
                place
            }
            None => {
                self.events.push(event);
                self.events.len() - 1
            }
        };
        self.heap.push(Reverse(Entry { due, place }));
    }

    /// Whether something else happens at this moment, or is looked at first.
    pub fn has_more_now(&self) -> bool {
        let is_now = |Reverse(entry): &Reverse<Entry>| entry.due.at() <= self.now;
        self.until <= self.now || self.heap.peek().is_some_and(is_now)
    }

    /// What happens next; its time is now.
    pub fn next(&mut self) -> Option<Event> {
        let Reverse(Entry { due, place }) = self.heap.pop()?;
        self.free.push(place);
        self.now = self.now.max(due.at());
        Some(self.events[place])
    }
}

/// What everything that happens may use.
#[derive(Debug)]
pub struct Env {
    pub random: Random,
    pub agenda: Agenda,
    pub net: Network,
    pub checks: Checks,
    pub setup: Setup,
    /// What is wrong with the model, if anything is.
    pub fault: Option<Fault>,
    /// Moments that were asked for: no two are equal.
    moments: u64,
    names: u64,
    /// What has happened is told.
    pub tells: bool,
}

impl Env {
    pub fn new(
        random: Random,
        net: Network,
        checks: Checks,
        setup: Setup,
        fault: Option<Fault>,
    ) -> Self {
        let tells = std::env::var_os("TELL").is_some();
        let agenda = Agenda::default();
        Self { random, agenda, net, checks, setup, fault, moments: 0, names: 0, tells }
    }

    /// Sends what there is room for.
    pub fn write(&mut self, conn: ConnId, node: usize, bytes: &[u8]) -> Tried<usize> {
        self.net.write((conn, node), bytes, &mut self.random, &mut self.agenda)
    }

    /// What has come, at most so many bytes.
    pub fn read(&mut self, conn: ConnId, node: usize, most: usize) -> Tried<Vec<u8>> {
        self.net.read((conn, node), most, &mut self.agenda)
    }

    /// As machines count time.
    pub fn moment(&self) -> Moment {
        Moment(self.agenda.now / 1000)
    }

    /// As logs count time: later ones are greater.
    pub fn stamp(&mut self) -> Stamp {
        self.moments += 1;
        Stamp(self.moments)
    }

    /// A name that nothing else has.
    pub fn name(&mut self) -> ReplId {
        self.names += 1;
        let mut bytes = [0; ReplId::LEN / 2];
        bytes[..8].copy_from_slice(&self.names.to_be_bytes());
        ReplId::of_random(bytes)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).expect("it is small")
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, of_thousand: u64) -> bool {
        self.random.below(1000) < of_thousand
    }

    /// True now and then if this is what is wrong.
    pub fn is_wrong(&mut self, fault: Fault) -> bool {
        self.fault == Some(fault) && self.random.below(3) == 0
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub fn tell(&self, text: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>12} {}", self.agenda.now, text());
        }
    }
}
