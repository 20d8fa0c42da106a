//! A shard of a node, as far as replication is concerned: claims, writes of clients and what they
//! leave in the log, transactions over several shards, and what a link has applied.
//!
//! Claims are those of `transactions::locks`, and parts those of `transactions::apart`. A job
//! visits its shards in ascending order; changes and reads of a job happen at one moment.

use std::collections::{BTreeMap, VecDeque};

use keylane::batches::batch::{At, Batch, Source};
use keylane::flows::following::{Following, Word};
use keylane::replication::merge::Stamp;
use keylane::routing::request::with_args;
use keylane::transactions::apart::{Apart, Logged, apart};
use keylane::transactions::locks::{Claims, Locks, Mode, Ticket};
use shards::journal::part;
use shards::journal::units::{Unit, Units};

use crate::agenda::Env;
use crate::checks::SnapshotId;
use crate::faults::Fault;
use crate::keyspace::{Change, KEYS, NAMES, commands_of};
use crate::network::ConnId;
use crate::node::Node;
use crate::node::letters::{Applying, Job, Letter, Release, Role, What, Write};
use crate::node::logging::{Outgoing, ShardLog, Shown};

/// One shard.
#[derive(Debug)]
pub struct Shard {
    pub locks: Locks,
    /// Jobs that wait for their claims.
    waiting: BTreeMap<Ticket, Box<Job>>,
    pub role: Role,
    /// Writes are held back.
    holds: bool,
    /// Who is told when no write of this home is under way.
    asked: Option<u64>,
    /// Writes of clients of this shard that are under way.
    writes: usize,
    pub units: Units,
    pub keeps_log: bool,
    /// At shard 0: the number of the next transaction.
    pub txid: u64,
    pub log: Option<ShardLog>,
    pub shown: Option<Shown>,
    /// Up to where the last turns have logged, and when.
    pub recent: VecDeque<(u64, Stamp)>,
    pub outgoing: Vec<Outgoing>,
    /// A send of the log is on the agenda.
    pub sends: bool,
    pub following: Following,
    /// Where logs of a primary come in.
    pub incoming: Vec<(u16, ConnId)>,
    /// Logs that are not read at present.
    pub paused: Vec<u16>,
    /// Bytes of them that are stored.
    pub stored: u64,
    applying: VecDeque<Box<Batch>>,
    is_applying: bool,
    pub staged: Option<SnapshotId>,
    /// What is to be logged next was held back, since something is wrong.
    kept_back: Option<Release>,
}

impl Shard {
    pub fn new(following: Following) -> Self {
        Self {
            locks: Locks::default(),
            waiting: BTreeMap::new(),
            role: Role::Primary,
            holds: false,
            asked: None,
            writes: 0,
            units: Units::default(),
            keeps_log: false,
            txid: 1,
            log: None,
            shown: None,
            recent: VecDeque::new(),
            outgoing: Vec::new(),
            sends: false,
            following,
            incoming: Vec::new(),
            paused: Vec::new(),
            stored: 0,
            applying: VecDeque::new(),
            is_applying: false,
            staged: None,
            kept_back: None,
        }
    }

    /// Whether nothing is under way here.
    pub fn is_idle(&self) -> bool {
        self.locks.idle() && self.applying.is_empty() && !self.is_applying
    }
}

impl Node {
    /// A client of this shard writes.
    pub fn submit(&mut self, env: &mut Env, write: Write) {
        let home = write.home;
        let shard = &mut self.shards[home];
        if shard.role == Role::Replica || shard.holds {
            return;
        }
        shard.writes += 1;
        let visits = self.visits_of(&write.changes);
        let (mode, tickets) = (Mode::Exclusive, Vec::new());
        let job = Box::new(Job { what: What::Write(write), mode, visits, tickets });
        self.send_job(env, home, job);
    }

    /// A client of this shard looks at keys.
    pub fn look(&mut self, env: &mut Env, home: usize, keys: Vec<usize>) {
        let visits = self.visits_to(&keys);
        let (mode, tickets) = (Mode::Shared, Vec::new());
        let job = Box::new(Job { what: What::Read(keys), mode, visits, tickets });
        self.send_job(env, home, job);
    }

    fn visits_of(&self, changes: &[Change]) -> Vec<(usize, Vec<usize>)> {
        let keys: Option<Vec<usize>> = changes.iter().map(|change| change.key()).collect();
        match keys {
            Some(keys) => self.visits_to(&keys),
            None => (0..self.shards.len()).map(|shard| (shard, Vec::new())).collect(),
        }
    }

    fn visits_to(&self, keys: &[usize]) -> Vec<(usize, Vec<usize>)> {
        let mut visits: Vec<(usize, Vec<usize>)> = Vec::with_capacity(1);
        for key in keys {
            let shard = usize::from(self.owners[*key]);
            let at = visits.partition_point(|(other, _)| *other < shard);
            if visits.get(at).is_none_or(|(other, _)| *other != shard) {
                visits.insert(at, (shard, Vec::with_capacity(1)));
            }
            let (_, here) = &mut visits[at];
            // A key has one claim in all databases.
            if !here.contains(&(key % NAMES)) {
                here.push(key % NAMES);
            }
        }
        visits
    }

    /// Sends a job to the next shard that it visits.
    pub fn send_job(&mut self, env: &mut Env, from: usize, job: Box<Job>) {
        let (to, _) = job.visits[job.tickets.len()];
        if from == to {
            self.visit(env, to, job);
        } else {
            self.post.send(env, from, to, Letter::Visit(job));
        }
    }

    /// A job comes to a shard, and makes its claims.
    pub fn visit(&mut self, env: &mut Env, at: usize, job: Box<Job>) {
        let (_, keys) = &job.visits[job.tickets.len()];
        let key = |key: &usize| (u64::try_from(*key).expect("it is small"), job.mode);
        let is_hasty = env.has(Fault::HastyFence) && matches!(job.what, What::Barrier);
        let claims = match keys.as_slice() {
            [] if is_hasty => Claims::Keys(Vec::new()),
            [] => Claims::Whole(job.mode),
            keys => Claims::Keys(keys.iter().map(key).collect()),
        };
        let (ticket, is_granted) = self.shards[at].locks.enter(claims);
        if is_granted {
            self.granted(env, at, ticket, job);
        } else {
            self.shards[at].waiting.insert(ticket, job);
        }
    }

    /// A job has its claims on a shard.
    fn granted(&mut self, env: &mut Env, at: usize, ticket: Ticket, mut job: Box<Job>) {
        let is_first = job.tickets.is_empty();
        job.tickets.push(ticket);
        env.tell(|| format!("node {} {at} granted {:?} {ticket:?}", self.run.node, job.what));
        if let What::Write(write) = &job.what {
            let shard = &self.shards[at];
            if is_first && (shard.role == Role::Replica || shard.holds) {
                let home = write.home;
                self.leave(env, at, ticket);
                return self.write_ends(env, home);
            }
            if write.is_early {
                self.change(env, &Self::part_of(self.owners, at, &write.changes));
            }
        }
        if job.tickets.len() < job.visits.len() {
            return self.send_job(env, at, job);
        }
        self.has_all(env, at, *job);
    }

    /// A job has all its claims, the last of them on this shard.
    fn has_all(&mut self, env: &mut Env, at: usize, job: Job) {
        let Job { what, mode, visits, tickets } = job;
        match what {
            What::Write(write) => {
                if !write.is_early {
                    self.change(env, &write.changes);
                }
                self.commit(env, at, &visits, tickets, write);
            }
            What::Read(keys) => {
                self.read(env, &keys);
                self.release_all(env, at, &visits, tickets);
            }
            What::Barrier => {
                let control = self.control_thread();
                let job = Job { what: What::Barrier, mode, visits, tickets };
                self.post.send(env, at, control, Letter::Stands(Box::new(job)));
            }
            What::Apply(mut applying) => {
                let changes = applying.requests.pop_front().expect("a request has claimed");
                self.apply_changes(env, &changes);
                self.release_all(env, at, &visits, tickets);
                self.next_request(env, at, applying);
            }
        }
    }

    /// What of changes is on this shard, at its visit.
    fn part_of(owners: [u16; KEYS], at: usize, changes: &[Change]) -> Vec<Change> {
        let is_here =
            |change: &&Change| change.key().is_some_and(|key| usize::from(owners[key]) == at);
        changes.iter().filter(is_here).copied().collect()
    }

    fn change(&mut self, env: &mut Env, changes: &[Change]) {
        for change in changes {
            let keys = change.deed().map_or(0, |deed| env.checks.deed(deed).keys.len());
            self.image.change(*change, keys);
        }
    }

    /// Readers never see half of a transaction.
    fn read(&self, env: &mut Env, keys: &[usize]) {
        env.checks.counts.reads += 1;
        for (deed, done) in self.image.half() {
            let touched = env.checks.deed(*deed).keys.iter().filter(|key| keys.contains(key));
            let seen = touched.clone().filter(|key| done.contains(key)).count();
            let is_whole = seen == 0 || seen == touched.count();
            assert!(is_whole, "half of {deed:?} is seen on node {}: {done:?}", self.run.node);
        }
    }

    /// A transaction of a client is done: its parts are logged, and its claims end.
    fn commit(
        &mut self,
        env: &mut Env,
        at: usize,
        visits: &[(usize, Vec<usize>)],
        tickets: Vec<Ticket>,
        write: Write,
    ) {
        let Write { home, deed, changes, waits, begun, .. } = write;
        let mut parts: BTreeMap<usize, Option<Unit>> = BTreeMap::new();
        if self.shards[at].keeps_log {
            let unit = commands_of(&changes, &self.owners);
            let routing = &self.routing;
            match apart(unit, routing.table, &routing.slots, routing.seed) {
                Apart::ByShard(units) => {
                    parts.extend(units.into_iter().map(|(shard, unit)| (shard.into(), Some(unit))));
                }
                Apart::Whole(unit) => {
                    let mut unit = Some(unit);
                    parts.extend(visits.iter().map(|(shard, _)| (*shard, unit.take())));
                }
            }
        }
        env.checks.deed(deed).missing = parts.len();
        let participants: Vec<u16> =
            parts.keys().map(|shard| u16::try_from(*shard).expect("shards are few")).collect();
        let flushes = changes.contains(&Change::Flush);
        let release = |(visit, ticket): (&(usize, Vec<usize>), Ticket)| {
            let (shard, _) = visit;
            let part = parts.get_mut(shard).map(std::mem::take);
            let logged = part.map(|unit| Logged::of(0, &participants, unit));
            let is_here = |change: &&Change| {
                change.key().is_none_or(|key| usize::from(self.owners[key]) == *shard)
            };
            let changes = changes.iter().filter(is_here).copied().collect();
            (*shard, Release { ticket, logged, txid: 0, changes, deed: Some(deed), begun })
        };
        let releases: Vec<(usize, Release)> = visits.iter().zip(tickets).map(release).collect();
        if participants.len() < 2 {
            self.pass_on(env, at, releases);
        } else if at == 0 || env.has(Fault::NoOrder) {
            self.order_transaction(env, at, releases);
        } else {
            self.post.send(env, at, 0, Letter::Commit(releases));
        }
        let control = self.control_thread();
        if flushes {
            self.post.send(env, at, control, Letter::HasFlushed);
        }
        if waits {
            self.post.send(env, home, control, Letter::Wait(deed));
        }
        self.write_ends(env, home);
    }

    fn write_ends(&mut self, env: &mut Env, home: usize) {
        self.shards[home].writes -= 1;
        self.answer_rest(env, home);
    }

    fn answer_rest(&mut self, env: &mut Env, at: usize) {
        let control = self.control_thread();
        let shard = &mut self.shards[at];
        if shard.writes == 0
            && let Some(order) = shard.asked.take()
        {
            self.post.send(env, at, control, Letter::WritesRest(order));
        }
    }

    /// Writes wait from now on.
    pub fn hold_writes(&mut self, env: &mut Env, at: usize, order: u64) {
        (self.shards[at].holds, self.shards[at].asked) = (true, Some(order));
        self.answer_rest(env, at);
    }

    pub fn end_hold(&mut self, at: usize) {
        (self.shards[at].holds, self.shards[at].asked) = (false, None);
    }

    /// Gives a transaction its number.
    pub fn order_transaction(
        &mut self,
        env: &mut Env,
        at: usize,
        mut releases: Vec<(usize, Release)>,
    ) {
        let txid = self.shards[0].txid;
        self.shards[0].txid += 1;
        releases.iter_mut().for_each(|(_, release)| release.txid = txid);
        self.pass_on(env, at, releases);
    }

    fn pass_on(&mut self, env: &mut Env, at: usize, releases: Vec<(usize, Release)>) {
        for (shard, release) in releases {
            if shard == at {
                self.release(env, at, release);
            } else {
                self.post.send(env, at, shard, Letter::Release(Box::new(release)));
            }
        }
    }

    /// Ends claims that have left nothing to be logged.
    pub fn release_all(
        &mut self,
        env: &mut Env,
        at: usize,
        visits: &[(usize, Vec<usize>)],
        tickets: Vec<Ticket>,
    ) {
        let release = |(visit, ticket): (&(usize, Vec<usize>), Ticket)| {
            let (logged, changes, deed) = (None, Vec::new(), None);
            (visit.0, Release { ticket, logged, txid: 0, changes, deed, begun: 0 })
        };
        let releases = visits.iter().zip(tickets).map(release).collect();
        self.pass_on(env, at, releases);
    }

    /// A transaction ends on a shard.
    pub fn release(&mut self, env: &mut Env, at: usize, mut release: Release) {
        let ticket = release.ticket;
        if release.logged.is_some() && !self.shards[at].keeps_log {
            panic!("logs end while a transaction is on its way to them");
        }
        let is_part = matches!(release.logged, Some(Logged::Part { .. }));
        if is_part && env.is_wrong(Fault::DroppedPart) {
            release.logged = None;
        }
        let is_entry = release.logged.is_some();
        if is_entry && self.shards[at].kept_back.is_none() && env.is_wrong(Fault::SwappedOrder) {
            self.shards[at].kept_back = Some(release);
        } else {
            self.log(env, at, release);
            if is_entry && let Some(other) = self.shards[at].kept_back.take() {
                self.log(env, at, other);
            }
        }
        self.show_log(env, at);
        self.leave(env, at, ticket);
    }

    fn log(&mut self, env: &mut Env, at: usize, release: Release) {
        env.tell(|| format!("node {} {at} {release:?}", self.run.node));
        let Release { logged, txid, changes, deed, begun, .. } = release;
        let number = u16::try_from(at).expect("shards are few");
        let units = &mut self.shards[at].units;
        let is_unit = match logged {
            None => return,
            Some(Logged::Unit(unit)) => {
                units.push_unit(&unit);
                true
            }
            Some(Logged::Part { participants, unit, .. }) => {
                let transaction = part::Transaction { txid, participants: &participants };
                units.push_part(transaction, number, unit.as_ref());
                false
            }
        };
        let end = (units.offset(), units.weight());
        let logs = self.logs.expect("a node that logs has logs");
        env.checks.logged(logs, number, end, &changes);
        self.note_entry(env, at, is_unit, begun);
        if let Some(deed) = deed {
            env.checks.deed(deed).missing -= 1;
        }
    }

    fn leave(&mut self, env: &mut Env, at: usize, ticket: Ticket) {
        let mut granted = Vec::new();
        self.shards[at].locks.leave(ticket, &mut granted);
        for ticket in granted {
            let job = self.shards[at].waiting.remove(&ticket).expect("it waits for its claims");
            self.granted(env, at, ticket, job);
        }
    }

    // --- what a link applies

    /// Runs a batch behind those that came before it.
    pub fn apply(&mut self, env: &mut Env, at: usize, batch: Box<Batch>) {
        self.shards[at].applying.push_back(batch);
        self.apply_next(env, at);
    }

    fn apply_next(&mut self, env: &mut Env, at: usize) {
        let shard = &mut self.shards[at];
        if shard.is_applying {
            return;
        }
        let Some(batch) = shard.applying.pop_front() else { return };
        shard.is_applying = true;
        let applies = batch.applies.expect("it is of a primary");
        let applying = Applying { shard: at, applies, requests: requests_of(&batch) };
        self.next_request(env, at, Box::new(applying));
    }

    /// Goes on with a batch: `from` is where its last request ended.
    fn next_request(&mut self, env: &mut Env, from: usize, applying: Box<Applying>) {
        let Some(changes) = applying.requests.front() else {
            return self.applied(env, *applying);
        };
        let visits = self.visits_of(changes);
        let (mode, tickets) = (Mode::Exclusive, Vec::new());
        self.send_job(
            env,
            from,
            Box::new(Job { what: What::Apply(applying), mode, visits, tickets }),
        );
    }

    /// A batch is done.
    fn applied(&mut self, env: &mut Env, applying: Applying) {
        let Applying { shard: at, applies, .. } = applying;
        let to = match applies.source {
            Source::Relay => self.relay_thread(),
            Source::Flow { shard, .. } | Source::Barrier { shard } => shard,
        };
        let letter = match applies.source {
            Source::Relay => Letter::Applied(applies.number),
            Source::Flow { .. } | Source::Barrier { .. } => {
                Letter::Word(Word::Applied(applies, None))
            }
        };
        self.post.send(env, at, to, letter);
        self.shards[at].is_applying = false;
        self.apply_next(env, at);
    }

    fn apply_changes(&mut self, env: &mut Env, changes: &[Change]) {
        for change in changes {
            self.change(env, &[*change]);
            let track = self.track.as_mut().expect("what is applied is of something");
            env.checks.advance(track, *change, &self.image.values);
        }
        let half = self.image.half();
        assert!(half.is_empty(), "half of {half:?} is applied on node {}", self.run.node);
    }
}

/// What the requests of a batch do.
fn requests_of(batch: &Batch) -> VecDeque<Vec<Change>> {
    let mut db = batch.passport.db;
    if let At::Exec(exec) = &batch.at {
        let mut changes = Vec::new();
        for at in 0..exec.multi.len() {
            exec.multi.with(at, |_, args| match args {
                [b"SELECT", number] => db = usize::from(number[0] - b'0'),
                args => changes.extend(Change::of(db, args)),
            });
        }
        return VecDeque::from([changes]);
    }
    let change =
        |parsed| with_args(&batch.input, &batch.ranges, parsed, |args| Change::of(db, args));
    batch.requests.iter().map(change).collect()
}
