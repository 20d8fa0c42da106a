//! A courier: a thread that hands keys to one target.
//!
//! It keeps its connection between parcels. It ends when its shard lets it go; a parcel that is on
//! its way then has failed.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread::Builder;

use shards::effects::handover::{Consignment, Failure, Receipt, Target};
use shards::resp::request;

use crate::migration::connection::{Connection, Line, Orders};
use crate::reactor::clock::Monotonic;
use crate::reactor::wake::Wake;
use crate::reactor::{allocator, crash};

/// A consignment for a courier.
#[derive(Debug)]
pub struct Parcel {
    /// What its shard knows it by.
    pub number: u64,
    /// What is handed over.
    pub consignment: Box<Consignment>,
    /// When it must be done.
    pub due: Monotonic,
}

/// What became of a parcel.
#[derive(Debug)]
pub struct Delivered {
    /// What its shard knows it by.
    pub number: u64,
    /// Whose courier tells.
    pub target: Target,
    /// What became of it.
    pub receipt: Box<Receipt>,
}

/// A courier.
#[derive(Debug)]
pub struct Courier {
    target: Target,
    inbox: Inbox,
    deliver: Sender<Delivered>,
    bell: Wake,
    /// What is left of the last parcel, if it can be used once more.
    connection: Option<Connection>,
}

/// What a courier is to hand over.
#[derive(Debug)]
struct Inbox {
    parcels: Receiver<Parcel>,
    /// Those that came while one was on its way.
    queue: VecDeque<Parcel>,
    wake: Wake,
}

impl Courier {
    /// A courier that has not started.
    pub fn new(
        target: Target,
        parcels: Receiver<Parcel>,
        wake: Wake,
        deliver: Sender<Delivered>,
        bell: &Wake,
    ) -> Self {
        let inbox = Inbox { parcels, queue: VecDeque::new(), wake };
        Self { target, inbox, deliver, bell: bell.clone(), connection: None }
    }

    /// Starts its thread.
    ///
    /// # Errors
    /// The system's, if it has no room for a thread.
    pub fn start(mut self) -> io::Result<()> {
        let run = move || {
            allocator::share_counter();
            crash::guard_thread();
            while let Some(parcel) = self.inbox.next() {
                let Parcel { number, consignment, due } = parcel;
                let receipt = Box::new(self.hand_over(&consignment, due));
                let target = self.target.clone();
                if self.deliver.send(Delivered { number, target, receipt }).is_err() {
                    return;
                }
                self.bell.ring();
            }
        };
        Builder::new().name("courier".to_owned()).spawn(run).map(drop)
    }

    fn hand_over(&mut self, consignment: &Consignment, due: Monotonic) -> Receipt {
        let mut receipt = Receipt::default();
        let is_kept = self.connection.is_some();
        let mut tried = self.try_to(consignment, due, &mut receipt);
        let is_untouched = receipt.taken.is_empty() && receipt.failure.is_none();
        let is_broken = matches!(tried, Err(Failure::Writing | Failure::Reading));
        if is_kept && is_untouched && is_broken && !Monotonic::now().until(due).is_zero() {
            // The target had ended the kept connection, or was about to.
            tried = self.try_to(consignment, due, &mut receipt);
        }
        if let Err(failure) = tried {
            // What the target has said comes before how the connection ended.
            receipt.failure = Some(receipt.failure.take().unwrap_or(failure));
        }
        receipt
    }

    fn try_to(
        &mut self,
        consignment: &Consignment,
        due: Monotonic,
        receipt: &mut Receipt,
    ) -> Result<(), Failure> {
        let Self { target, inbox, connection, .. } = self;
        let kept = connection.take().filter(Connection::is_at_rest);
        let mut connected = match kept {
            Some(kept) => kept,
            None => Connection::open(target, due, inbox)?,
        };
        let greeting = greeting(target, consignment, &connected);
        connected.exchange(
            &greeting.requests,
            greeting.replies,
            due,
            inbox,
            |line| match line {
                Line::Fine => Ok(()),
                Line::Error(text) => Err(Failure::Refused(text)),
            },
        )?;
        connected.is_known = true;
        connected.db = Some(consignment.db);
        let Consignment { keys, requests, .. } = consignment;
        let mut keys_left = keys.iter();
        connected.exchange(requests, keys.len(), due, inbox, |line| {
            let key = keys_left.next().expect("there is a reply for each key");
            match line {
                Line::Fine => receipt.taken.push(key.clone()),
                Line::Error(text) => {
                    receipt.failure.get_or_insert(Failure::Refused(text));
                }
            }
            Ok(())
        })?;
        *connection = Some(connected);
        Ok(())
    }
}

/// What is said before keys are handed over, and how many replies there are.
#[derive(Default)]
struct Greeting {
    requests: Vec<u8>,
    replies: usize,
}

fn greeting(target: &Target, consignment: &Consignment, connection: &Connection) -> Greeting {
    let mut greeting = Greeting::default();
    let mut say = |args: &[&[u8]]| {
        request::write(&mut greeting.requests, args);
        greeting.replies += 1;
    };
    if !connection.is_known && !target.auth.is_empty() {
        let auth = target.auth.iter().map(Vec::as_slice);
        say(&[&b"AUTH"[..]].into_iter().chain(auth).collect::<Vec<_>>());
    }
    if connection.db != Some(consignment.db) {
        say(&[b"SELECT", consignment.db.to_string().as_bytes()]);
    }
    greeting
}

impl Inbox {
    /// Waits for the next parcel. `None` if there are no more.
    fn next(&mut self) -> Option<Parcel> {
        let queued = self.queue.pop_front();
        queued.or_else(|| self.parcels.recv().ok())
    }
}

impl Orders for Inbox {
    fn wake(&self) -> &Wake {
        &self.wake
    }

    fn are_withdrawn(&mut self) -> bool {
        loop {
            match self.parcels.try_recv() {
                Ok(parcel) => self.queue.push_back(parcel),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }
}
