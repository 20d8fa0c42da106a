//! Units of a primary's stream on their way to the shards.
//!
//! ```text
//! unit --keys of one shard-----> lane of that shard:  [batch][batch][gate 7][batch] ...
//!      \-keys of several shards-> a gate in each lane: when all of them have got there and nothing
//!                                 in front of it is under way, it runs, and the lanes go on
//! ```
//! Gates stand in all lanes in the order of the stream, so they never wait for each other. Each
//! lane keeps the order of the stream; other lanes do not wait for it. While a gate waits, units
//! that follow it in all of their lanes join it: what takes effect together then is more, and in
//! the same order.

use std::collections::{BTreeMap, VecDeque};

use shards::base::hash::HashSeed;
use shards::commands::spec::{Flag, Spread};
use shards::resp::parser::Range;

use crate::batches::batch::{AHEAD_MAX, Applies, At, Batch, BatchNumber, Source};
use crate::replication::split::{Command, Unit};
use crate::routing::call::{Call, KeyShape, PubSubStep, Run, Table};
use crate::routing::keys::falls_apart;
use crate::routing::request::{Parsed, Route};
use crate::routing::slots::SlotMap;
use crate::transactions::multi::{Exec, Multi};
use crate::transactions::transaction::Footprint;

/// Bytes that were taken and not answered, from which on no more are taken.
const BYTES_MAX: usize = 4 << 20;
/// Bytes and requests of a batch, from which on the next one begins: no more requests than a shard
/// loads ahead, so that the keys of all of them are in the cache when they run.
const BATCH_BYTES: usize = 64 << 10;
const BATCH_REQUESTS: usize = AHEAD_MAX;
/// Arguments of a command that is looked at without an allocation.
const ARGS_FEW: usize = 8;
/// The request in a batch that stands for a transaction, and the place of its name.
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
const EXEC_NAME: Range = Range { start: 8, len: 4 };

/// What control hears of instead of shards.
const ORDERS: [&str; 2] = ["cluster|setslot", "cluster|failover"];

/// What one has to know to take a stream apart by shards.
#[derive(Clone, Debug)]
pub struct Routing {
    /// All commands.
    pub table: &'static Table,
    /// Which shard owns which slot.
    pub slots: SlotMap,
    /// The secret of all key hashes.
    pub seed: HashSeed,
}

/// What is taken of a stream and not applied. What takes it says where each unit begins, by a `P`.
#[derive(Debug)]
pub struct Dispatch<P> {
    /// Who is told when a batch is applied.
    source: Source,
    routing: Routing,
    databases: usize,
    lanes: Vec<Lane>,
    gates: BTreeMap<BatchNumber, Gate>,
    /// Batches that were not answered, by their numbers, and so in the order of the stream.
    unanswered: BTreeMap<BatchNumber, Unanswered<P>>,
    next: BatchNumber,
    bytes: usize,
    /// Commands that control is to hear of, which concern no key.
    orders: Vec<Words>,
}

/// A command, word by word.
pub type Words = Vec<Vec<u8>>;

/// What is for one shard.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Item>,
    /// Batches that were sent and not answered.
    under_way: usize,
    /// Its first item is a gate, which knows so.
    has_arrived: bool,
}

#[derive(Debug)]
enum Item {
    Batch(BatchNumber, Box<Batch>),
    Gate(BatchNumber),
}

/// A unit of several shards.
#[derive(Debug)]
struct Gate {
    shards: Vec<u16>,
    /// Bytes of its units.
    bytes: usize,
    /// The database that is selected behind the last of them.
    db: u16,
    /// Lanes that have not got there.
    missing: usize,
    /// `None` when it was sent.
    batch: Option<Box<Batch>>,
}

#[derive(Debug)]
struct Unanswered<P> {
    /// Where its first unit begins in the stream.
    start: P,
    bytes: usize,
    /// Its shard; `None` if it is a gate's.
    lane: Option<usize>,
}

/// What a command of the stream calls.
enum Called {
    /// A command of a shard.
    Command(&'static Call),
    /// One of [`ORDERS`].
    Order,
}

/// A command that can be applied.
struct Planned<'a> {
    call: &'static Call,
    command: Command<'a>,
    first_key: (u32, u64),
}

impl<P: Copy> Dispatch<P> {
    /// Nothing yet, for a node with so many databases.
    pub fn new(source: Source, routing: Routing, databases: usize) -> Self {
        let lanes = (0..routing.slots.shards()).map(|_| Lane::default()).collect();
        let (gates, unanswered) = (BTreeMap::new(), BTreeMap::new());
        let (next, orders) = (BatchNumber(0), Vec::new());
        Self { source, routing, databases, lanes, gates, unanswered, next, bytes: 0, orders }
    }

    /// Whether all that was taken is applied.
    pub fn is_empty(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// Whether no more is to be taken for now.
    pub fn is_full(&self) -> bool {
        BYTES_MAX <= self.bytes
    }

    /// The place in front of which all is applied, if everything up to `taken` was taken.
    pub fn applied(&self, taken: P) -> P {
        self.unanswered.first_key_value().map_or(taken, |(_, first)| first.start)
    }

    /// The commands for control that were taken since the last call.
    pub fn take_orders(&mut self) -> Vec<Words> {
        std::mem::take(&mut self.orders)
    }

    /// Takes the commands of a unit that begins at `start`. The number of the batch that it is in;
    /// `None` if it has none.
    ///
    /// # Errors
    /// Why it cannot be applied. Then nothing of it was taken.
    pub fn take(&mut self, unit: &Unit<'_>, start: P) -> Result<Option<BatchNumber>, String> {
        if self.gates.is_empty()
            && let Some((shard, only)) = self.plan_single(unit)?
        {
            return Ok(Some(self.append(shard, &only, unit, start)));
        }
        let (mut footprint, mut orders) = (Footprint::default(), Vec::new());
        let commands = unit.commands();
        let commands = commands
            .filter_map(|command| self.plan(command, &mut footprint, &mut orders).transpose());
        let commands = commands.collect::<Result<Vec<_>, _>>()?;
        self.orders.append(&mut orders);
        let shards = footprint.shards(&self.routing.slots);
        if commands.is_empty() {
            return Ok(None);
        }
        if let Some(number) = self.join_gate(&shards, &commands, unit) {
            return Ok(Some(number));
        }
        let number = match (shards.as_slice(), commands.as_slice()) {
            ([shard], [only]) if runs_by_itself(only.call) => {
                self.append(*shard, only, unit, start)
            }
            // What concerns no key has its place in the stream of one shard.
            ([], _) => self.add_exec(vec![0], &commands, unit, start),
            (_, [only]) if route_of(only, &shards) == Some(Route::Parts) => {
                let (number, mut batch) = self.begin_batch(unit.db.into(), start, None);
                put(&mut batch, only, Route::Parts);
                self.add_gate(shards, (number, batch), unit.db, unit)
            }
            _ => self.add_exec(shards, &commands, unit, start),
        };
        Ok(Some(number))
    }

    /// Looks at the only command of a unit, if that runs by itself on the shard of its only key.
    /// Most do: nothing is allocated for them.
    fn plan_single<'a>(&self, unit: &Unit<'a>) -> Result<Option<(u16, Planned<'a>)>, String> {
        let mut commands = unit.commands();
        let (Some(command), 0) = (commands.next(), commands.len()) else { return Ok(None) };
        let mut few: [&[u8]; ARGS_FEW] = [&[]; ARGS_FEW];
        let Some(args) = few.get_mut(..command.ranges().len()) else { return Ok(None) };
        args.iter_mut().zip(command.args()).for_each(|(to, arg)| *to = arg);
        let Called::Command(call) = self.check(&command, args)? else { return Ok(None) };
        let KeyShape::One(at) = call.keys else { return Ok(None) };
        let is_narrow = !matches!(call.spec.spread, Spread::Everywhere(_) | Spread::Cursor);
        let key = args.get(at).filter(|_| is_narrow && runs_by_itself(call));
        Ok(key.map(|key| {
            let first_key = self.first_key(at, key);
            (self.routing.slots.owner(first_key.1), Planned { call, command, first_key })
        }))
    }

    /// Looks at a command, and adds what it touches.
    fn plan<'a>(
        &self,
        command: Command<'a>,
        footprint: &mut Footprint,
        orders: &mut Vec<Words>,
    ) -> Result<Option<Planned<'a>>, String> {
        let args: Vec<&[u8]> = command.args().collect();
        let call = match self.check(&command, &args)? {
            Called::Command(call) => call,
            Called::Order => {
                orders.push(args.iter().map(|arg| arg.to_vec()).collect());
                return Ok(None);
            }
        };
        let Routing { slots, seed, .. } = &self.routing;
        footprint.add_call(slots, call, &args, |key| seed.key_hash(key));
        let first_key = match call.keys {
            KeyShape::One(at) => args.get(at).map(|key| self.first_key(at, key)),
            KeyShape::None | KeyShape::Several => None,
        };
        Ok(Some(Planned { call, command, first_key: first_key.unwrap_or((0, 0)) }))
    }

    fn first_key(&self, at: usize, key: &[u8]) -> (u32, u64) {
        let at = u32::try_from(at).expect("a key is one of the first arguments");
        (at, self.routing.seed.key_hash(key))
    }

    /// What a command calls.
    fn check(&self, command: &Command<'_>, args: &[&[u8]]) -> Result<Called, String> {
        let name = || String::from_utf8_lossy(args[0]).into_owned();
        let call =
            self.routing.table.find(args).ok_or_else(|| format!("unknown command '{}'", name()))?;
        if !call.accepts(args) {
            return Err(format!("wrong number of arguments for '{}'", name()));
        }
        if self.databases <= usize::from(command.db) {
            return Err(format!("there is no database {} (raise `databases`?)", command.db));
        }
        match call.run {
            Run::Engine(_) | Run::PubSub(PubSubStep::Publish(_)) => Ok(Called::Command(call)),
            // A primary tells its replicas what becomes of slots, and who takes over when it ends.
            Run::Control if ORDERS.contains(&call.spec.name) => Ok(Called::Order),
            Run::PubSub(_) | Run::Client | Run::Control | Run::Transaction(_) | Run::Container => {
                Err(format!("'{}' is not for replicas", name()))
            }
        }
    }

    /// Appends a command to the last batch of a shard.
    fn append(
        &mut self,
        shard: u16,
        planned: &Planned<'_>,
        unit: &Unit<'_>,
        start: P,
    ) -> BatchNumber {
        let db = usize::from(planned.command.db);
        let at = usize::from(shard);
        let fits = |batch: &Batch| {
            matches!(batch.at, At::Request)
                && batch.passport.db == db
                && batch.input.len() < BATCH_BYTES
                && batch.requests.len() < BATCH_REQUESTS
        };
        let number = match self.lanes[at].queue.back_mut() {
            Some(Item::Batch(number, batch)) if fits(batch) => {
                put(batch, planned, Route::Shard(shard));
                *number
            }
            Some(_) | None => {
                let (number, mut batch) = self.begin_batch(db, start, Some(at));
                put(&mut batch, planned, Route::Shard(shard));
                self.lanes[at].queue.push_back(Item::Batch(number, batch));
                number
            }
        };
        self.add_bytes(number, unit.raw.len());
        number
    }

    /// Adds a unit that runs as an EXEC, on one shard or on several.
    fn add_exec(
        &mut self,
        shards: Vec<u16>,
        commands: &[Planned<'_>],
        unit: &Unit<'_>,
        start: P,
    ) -> BatchNumber {
        let mut multi = Box::<Multi>::default();
        self.push(&mut multi, unit.db, commands);
        let lane = match *shards {
            [shard] => Some(usize::from(shard)),
            _ => None,
        };
        let (number, mut batch) = self.begin_batch(unit.db.into(), start, lane);
        let exec = request(self.own("exec"), Route::Home, (0, 0));
        batch.append(EXEC, 0, &[EXEC_NAME], exec);
        batch.at = At::Exec(Box::new(Exec {
            multi,
            next: 0,
            watched: Vec::new(),
            // Its shard plans it.
            place: None,
            aborted: false,
            redirection: None,
            changes: None,
        }));
        let Some(lane) = lane else {
            return self.add_gate(shards, (number, batch), last_db(unit.db, commands), unit);
        };
        self.add_bytes(number, unit.raw.len());
        self.lanes[lane].queue.push_back(Item::Batch(number, batch));
        number
    }

    /// Adds a batch that runs on several shards. Behind it, this database is selected.
    fn add_gate(
        &mut self,
        shards: Vec<u16>,
        (number, batch): (BatchNumber, Box<Batch>),
        db: u16,
        unit: &Unit<'_>,
    ) -> BatchNumber {
        let bytes = unit.raw.len();
        self.add_bytes(number, bytes);
        for shard in &shards {
            self.lanes[usize::from(*shard)].queue.push_back(Item::Gate(number));
        }
        let missing = shards.len();
        self.gates.insert(number, Gate { shards, bytes, db, missing, batch: Some(batch) });
        number
    }

    /// Adds a unit to the last gate, if that waits and stands last in all lanes of the unit.
    fn join_gate(
        &mut self,
        shards: &[u16],
        commands: &[Planned<'_>],
        unit: &Unit<'_>,
    ) -> Option<BatchNumber> {
        let (&number, gate) = self.gates.last_key_value()?;
        let gate_db = gate.db;
        let is_last = |shard: &u16| {
            let last = self.lanes[usize::from(*shard)].queue.back();
            matches!(last, Some(Item::Gate(last)) if *last == number)
        };
        let has_room = gate.bytes + unit.raw.len() <= BATCH_BYTES
            && !shards.is_empty()
            && shards.iter().all(is_last);
        let gate = self.gates.get_mut(&number).filter(|_| has_room)?;
        let mut batch = gate.batch.take()?;
        let has_joined = match (&mut batch.at, commands) {
            (At::Exec(exec), _) => {
                self.push(&mut exec.multi, gate_db, commands);
                true
            }
            (_, [only]) if only.command.db == gate_db => {
                let route = route_of(only, shards);
                route.into_iter().for_each(|route| put(&mut batch, only, route));
                route.is_some()
            }
            (_, _) => false,
        };
        if let Some(gate) = self.gates.get_mut(&number) {
            gate.batch = Some(batch);
        }
        if !has_joined {
            return None;
        }
        self.add_bytes(number, unit.raw.len());
        if let Some(gate) = self.gates.get_mut(&number) {
            gate.bytes += unit.raw.len();
            gate.db = last_db(gate_db, commands);
        }
        Some(number)
    }

    /// Adds commands to a transaction in which this database is selected.
    fn push(&self, multi: &mut Multi, mut db: u16, commands: &[Planned<'_>]) {
        for Planned { call, command, first_key } in commands {
            if command.db != db {
                db = command.db;
                self.select(multi, db);
            }
            let needs_all = matches!(call.spec.spread, Spread::Everywhere(_) | Spread::Cursor);
            let route = if needs_all { Route::Home } else { Route::Anywhere };
            let args: Vec<&[u8]> = command.args().collect();
            multi.push(call, &args, route, *first_key);
        }
    }

    fn select(&self, multi: &mut Multi, db: u16) {
        let number = db.to_string();
        let args: [&[u8]; 2] = [b"SELECT", number.as_bytes()];
        multi.push(self.own("select"), &args, Route::Home, (0, 0));
    }

    fn add_bytes(&mut self, number: BatchNumber, bytes: usize) {
        let unanswered = self.unanswered.get_mut(&number);
        unanswered.expect("a batch that was not sent is not answered").bytes += bytes;
        self.bytes += bytes;
    }

    fn begin_batch(
        &mut self,
        db: usize,
        start: P,
        lane: Option<usize>,
    ) -> (BatchNumber, Box<Batch>) {
        let number = self.next;
        self.next.0 += 1;
        self.unanswered.insert(number, Unanswered { start, bytes: 0, lane });
        let mut batch = Box::<Batch>::default();
        batch.applies = Some(Applies { source: self.source, number });
        batch.passport.db = db;
        (number, batch)
    }

    /// A command of this server, whatever it is called by clients.
    fn own(&self, name: &str) -> &'static Call {
        let call = self.routing.table.calls.iter().find(|call| call.spec.name == name);
        call.expect("the table has all commands, renamed or not")
    }

    /// Notes that a batch was applied. What waited for it goes on with the next [`Self::send`].
    pub fn answered(&mut self, number: BatchNumber) {
        let Some(Unanswered { bytes, lane, .. }) = self.unanswered.remove(&number) else { return };
        self.bytes -= bytes;
        if let Some(lane) = lane {
            self.lanes[lane].under_way -= 1;
        }
        if let Some(gate) = self.gates.remove(&number) {
            for shard in gate.shards {
                let lane = &mut self.lanes[usize::from(shard)];
                lane.queue.pop_front();
                lane.has_arrived = false;
            }
        }
    }

    /// Gives `pass_on` the batches that need not wait, each with its shard.
    pub fn send(&mut self, mut pass_on: impl FnMut(usize, Box<Batch>)) {
        let Self { lanes, gates, .. } = self;
        for (shard, lane) in lanes.iter_mut().enumerate() {
            while let Some(item) = lane.queue.pop_front() {
                let number = match item {
                    Item::Batch(_, batch) => {
                        lane.under_way += 1;
                        pass_on(shard, batch);
                        continue;
                    }
                    Item::Gate(number) => number,
                };
                lane.queue.push_front(Item::Gate(number));
                if lane.under_way == 0 && !lane.has_arrived {
                    lane.has_arrived = true;
                    let gate = gates.get_mut(&number).expect("it goes when its batch is applied");
                    gate.missing -= 1;
                    if gate.missing == 0
                        && let Some(batch) = gate.batch.take()
                    {
                        pass_on(gate.shards[0].into(), batch);
                    }
                }
                break;
            }
        }
    }
}

/// The database that is selected behind these, if `db` was in front of them.
fn last_db(db: u16, commands: &[Planned<'_>]) -> u16 {
    commands.last().map_or(db, |planned| planned.command.db)
}

/// Whether a command needs no EXEC around it: it answers at once, and all it does is on its shard.
fn runs_by_itself(call: &Call) -> bool {
    matches!(call.run, Run::Engine(_)) && !call.spec.flags.has(Flag::Blocking)
}

/// How a command runs among others of a batch. `None`: not at all, but in a transaction.
fn route_of(planned: &Planned<'_>, shards: &[u16]) -> Option<Route> {
    match *shards {
        _ if !runs_by_itself(planned.call) => None,
        [shard] => Some(Route::Shard(shard)),
        _ => {
            let args: Vec<&[u8]> = planned.command.args().collect();
            falls_apart(planned.call.spec, &args).then_some(Route::Parts)
        }
    }
}

/// Appends a command to a batch.
fn put(batch: &mut Batch, planned: &Planned<'_>, route: Route) {
    let Planned { call, command, first_key, .. } = planned;
    let count = u32::try_from(command.ranges().len()).expect("a command has 2^31 arguments");
    let parsed = Parsed { count, ..request(call, route, *first_key) };
    batch.append(command.raw, 0, command.ranges(), parsed);
}

fn request(call: &'static Call, route: Route, first_key: (u32, u64)) -> Parsed {
    Parsed { call: Some(call), first: 0, count: 1, end: 0, route, first_key }
}

#[cfg(test)]
mod tests;
