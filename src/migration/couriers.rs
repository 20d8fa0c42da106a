//! The couriers of one shard.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use hashbrown::HashMap;
use shards::effects::handover::{Consignment, Failure, Receipt, Target};

use crate::migration::courier::{Courier, Delivered, Parcel};
use crate::reactor::clock::Monotonic;
use crate::reactor::wake::Wake;

/// Targets that one shard hands keys to at a time.
const COURIERS_MAX: usize = 16;
/// For how long a connection is kept that has nothing to do, in milliseconds, as Valkey does.
const IDLE_MILLIS: u64 = 10_000;

/// The couriers of one shard, and what they have to tell.
#[derive(Debug)]
pub struct Couriers {
    couriers: HashMap<Target, Hired>,
    deliveries: Receiver<Delivered>,
    /// For couriers: where they tell, and what they ring then.
    deliver: Sender<Delivered>,
    bell: Wake,
    /// None is sent for now.
    is_closed: bool,
}

/// A courier as its shard knows it. It ends when this is dropped.
#[derive(Debug)]
struct Hired {
    parcels: Sender<Parcel>,
    /// What it is woken by.
    wake: Wake,
    /// Parcels that it has.
    count: usize,
    /// When it was last given one.
    used: Monotonic,
}

impl Couriers {
    /// None yet. They ring this bell.
    pub fn new(bell: Wake) -> Self {
        let (deliver, deliveries) = channel();
        Self { couriers: HashMap::new(), deliveries, deliver, bell, is_closed: false }
    }

    /// Sends a consignment of this number on its way. There is a receipt in any case.
    pub fn send(&mut self, number: u64, consignment: Consignment, now: Monotonic) {
        let target = consignment.target.clone();
        let due = now.after_millis(consignment.timeout_millis).unwrap_or(now);
        let hired = match self.couriers.remove(&target) {
            Some(hired) => Ok(hired),
            None if self.is_closed => Err(io::Error::other("no courier is sent")),
            None => self.hire(&target, now),
        };
        let parcel = Parcel { number, consignment: Box::new(consignment), due };
        match hired {
            Ok(mut hired) if hired.parcels.send(parcel).is_ok() => {
                hired.wake.ring();
                hired.count += 1;
                hired.used = now;
                self.couriers.insert(target, hired);
            }
            Ok(_) | Err(_) => {
                let failure = Some(Failure::Connecting);
                let receipt = Box::new(Receipt { taken: Vec::new(), failure });
                let delivered = Delivered { number, target, receipt };
                self.deliver.send(delivered).expect("the other end is here, too");
                self.bell.ring();
            }
        }
    }

    /// The next that was delivered: its number, and what became of it.
    pub fn receive(&mut self) -> Option<(u64, Box<Receipt>)> {
        let Delivered { number, target, receipt } = self.deliveries.try_recv().ok()?;
        if let Some(hired) = self.couriers.get_mut(&target) {
            hired.count = hired.count.saturating_sub(1);
        }
        Some((number, receipt))
    }

    /// Lets couriers go that have had nothing to do for long.
    pub fn dismiss_idle(&mut self, now: Monotonic) {
        self.couriers.retain(|_, hired| {
            let is_idle = hired.count == 0 && IDLE_MILLIS <= now.millis_since(hired.used);
            !is_idle
        });
    }

    /// Sends couriers from now on, or lets all go: what they have is not delivered then, and what
    /// comes neither, and they say so at once.
    pub fn set_open(&mut self, is_open: bool) {
        self.is_closed = !is_open;
        if is_open {
            return;
        }
        for (_, Hired { parcels, wake, .. }) in self.couriers.drain() {
            drop(parcels);
            wake.ring();
        }
    }

    /// How many connections are kept.
    pub fn count(&self) -> usize {
        self.couriers.len()
    }

    fn hire(&mut self, target: &Target, now: Monotonic) -> io::Result<Hired> {
        if COURIERS_MAX <= self.couriers.len() {
            let idle = self.couriers.iter().filter(|(_, hired)| hired.count == 0);
            let oldest = idle.min_by_key(|(_, hired)| hired.used).map(|(target, _)| target.clone());
            let oldest = oldest.ok_or_else(|| io::Error::other("all couriers are busy"))?;
            self.couriers.remove(&oldest);
        }
        let (parcels, queue) = channel();
        let wake = Wake::new()?;
        let courier =
            Courier::new(target.clone(), queue, wake.clone(), self.deliver.clone(), &self.bell);
        courier.start()?;
        Ok(Hired { parcels, wake, count: 0, used: now })
    }
}
