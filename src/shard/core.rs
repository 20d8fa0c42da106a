//! One shard thread's everything, but for its ring: what runs when input or mail comes.

use crate::mail::to_control::ToControl;
use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use shards::base::random::Random;
use shards::commands::spec::{Command, Flag};
use shards::effects::Reader;
use shards::resp::error::Error;
use shards::shard::{Request, Shard};

use crate::batches::batch::{Batch, Passport};
use crate::blocking::waits::Waits;
use crate::clients::client::Client;
use crate::clients::ctx::ClientCommands;
use crate::mail::connection::Connection;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_shard::ToShard;
use crate::reactor::allocator::used_memory;
use crate::reactor::clock::{Monotonic, ticks};
use crate::reactor::crash::at_work;
use crate::reactor::ring::Token;
use crate::routing::call::Call;
use crate::routing::node::Node;
use crate::routing::request::Parsed;
use crate::routing::request::Route;
use crate::routing::slots::Peer;
use crate::shard::leaving::Leaving;
use crate::shard::messages::monitoring::Monitors;
use crate::shard::messages::publishing::PubSub;
use crate::shard::messages::tracking::{Copies, note_reads};
use crate::shard::pausing::Pause;
use crate::stats::command_log::SlowEntry;
use crate::stats::counters::Counters;
use crate::stats::hot_keys::HotKeys;
use crate::stats::notable::Notable;
use crate::stats::notable::Serving;
use crate::stats::samples::Samples;
use crate::stats::slot_stats::SlotStats;
use crate::transactions::locks::{Locks, Ticket};

/// Letters taken from one peer before the next has its turn.
const LETTERS_PER_PEER: usize = 256;
/// Reply buffers kept for reuse, and the largest that is kept.
const SPARE_BUFFERS: usize = 64;
const SPARE_BYTES_MAX: usize = 64 << 10;

/// What the loop is to do with sockets after this turn.
#[derive(Debug)]
pub enum SocketRequest {
    /// Take a connection over.
    Add(Box<Connection>),
    /// Close it now.
    Close(Token),
    /// Stop reading from it.
    Pause(Token),
    /// Read from it again.
    Resume(Token),
    /// Close it when its peer has everything it was sent.
    Finish(Token),
    /// Accept no more connections.
    CloseListeners,
}

/// One shard thread: its shard, its clients, its mail.
#[derive(Debug)]
pub struct Core {
    /// Its keys.
    pub shard: Shard,
    /// Its clients, by the index of their sockets.
    pub clients: Vec<Option<Box<Client>>>,
    /// Its mail.
    pub mailbox: Mailbox<ToShard>,
    /// Claims on its keys.
    pub locks: Locks,
    /// What it knows of the node.
    pub node: Node,
    /// What commands about their own clients do.
    pub client_commands: &'static ClientCommands,
    /// What it counted.
    pub counters: Counters,
    /// Clients with replies to send.
    pub dirty: Vec<Token>,
    /// Clients whose query buffer is to be looked at.
    pub listed: VecDeque<Token>,
    /// For the loop to do.
    pub socket_requests: Vec<SocketRequest>,
    /// Memory is short: commands that need more are refused, or keys evicted.
    pub memory_short: bool,
    /// Requests are held back.
    pub(crate) pause: Option<Pause>,
    /// Batches held back by the pause.
    pub(crate) held: Vec<Box<Batch>>,
    /// The end of the process, while it is under way.
    pub(crate) leaving: Option<Box<Leaving>>,
    /// Of which commands somebody wants to know.
    pub(crate) notable: Notable,
    /// Of which commands the command logs and LATENCY want to know.
    pub(crate) loggable: Notable,
    /// Who monitors.
    pub monitors: Monitors,
    /// What each slot costs, if that is wanted.
    pub slot_stats: SlotStats,
    /// The keys that are asked for most, if that is wanted.
    pub hot_keys: HotKeys,
    /// Watched keys that existed when the databases went on loan as a whole.
    pub(crate) lent_watched: Vec<(usize, u64)>,
    /// Batches that wait for a ticket here.
    pub(crate) parked: HashMap<Ticket, Box<Batch>>,
    /// Batches that can go on.
    pub(crate) resumed: VecDeque<Box<Batch>>,
    /// Where commands run whose entries are of several shards. Empty between commands.
    pub(crate) visitors: Shard,
    /// The time-stamp counter when the last command ended.
    pub(crate) tick: u64,
    /// Who listens to what.
    pub pubsub: PubSub,
    /// Who may have copies of its keys.
    pub copies: Copies,
    /// The client that is being served, if it is told when keys change that it reads.
    pub(crate) reading: Option<Reader>,
    /// Rates of the last moments.
    pub(crate) samples: Samples,
    /// The client for whom commands run.
    pub(crate) serving: Serving,
    /// The command that runs has waited: it is not shown to monitors again.
    pub(crate) resumes: bool,
    /// Entries for the command logs whose client is being worked on.
    pub(crate) unsigned: Vec<Box<SlowEntry>>,
    /// Batches that came in this turn, and whether for the first time; kept for its room.
    arrived: Vec<(Box<Batch>, bool)>,
    /// Requests that wait for keys.
    pub(crate) waits: Waits,
    /// Claims on keys that are offered to requests which wait for them.
    pub(crate) offers: HashSet<Ticket>,
    /// Transactions that ended here.
    pub(crate) releases: u64,
    number: u16,
    spare: Vec<Vec<u8>>,
    spare_batches: Vec<Box<Batch>>,
}

impl Core {
    /// The core of the shard whose mailbox this is.
    pub fn new(
        mailbox: Mailbox<ToShard>,
        node: Node,
        client_commands: &'static ClientCommands,
        mut random: Random,
    ) -> Self {
        let databases = usize::try_from(node.config.databases).expect("a 32-bit number");
        let mut shard = Shard::new(databases, node.seed, Random::new(random.bits()));
        let number = u16::try_from(mailbox.me()).expect("shards are few");
        shard.keyspace.slots = node.slots.range(number);
        let mut visitors = Shard::new(databases, node.seed, random);
        visitors.effects.keeps_touched = true;
        visitors.effects.keeps_notes = true;
        let counters = Counters::new(node.table.ids, node.config.latency_tracking);
        let samples = Samples::new(node.now);
        let shards = usize::from(node.slots.shards());
        let (pubsub, copies) = (PubSub::new(shards), Copies::new(shards));
        let config = Arc::clone(&node.config);
        let mut core = Self {
            shard,
            clients: Vec::new(),
            mailbox,
            locks: Locks::default(),
            node,
            client_commands,
            counters,
            dirty: Vec::new(),
            listed: VecDeque::new(),
            socket_requests: Vec::new(),
            memory_short: false,
            pause: None,
            held: Vec::new(),
            leaving: None,
            notable: Notable::default(),
            loggable: Notable::default(),
            monitors: Monitors::default(),
            slot_stats: SlotStats::default(),
            hot_keys: HotKeys::default(),
            resumes: false,
            lent_watched: Vec::new(),
            parked: HashMap::new(),
            resumed: VecDeque::new(),
            visitors,
            tick: 0,
            pubsub,
            copies,
            reading: None,
            samples,
            serving: Serving::default(),
            unsigned: Vec::new(),
            arrived: Vec::new(),
            waits: Waits::default(),
            offers: HashSet::new(),
            releases: 0,
            number,
            spare: Vec::new(),
            spare_batches: Vec::new(),
        };
        core.configure(config);
        core
    }

    /// This shard's number.
    #[inline]
    pub fn me(&self) -> Peer {
        self.mailbox.me()
    }

    /// This shard's number as slots know it.
    #[inline]
    pub fn shard_number(&self) -> u16 {
        self.number
    }

    /// The control thread's number: the last one.
    #[inline]
    pub fn control(&self) -> Peer {
        self.mailbox.control()
    }

    /// Begins a turn: everything in it happens at this time.
    pub fn begin_turn(&mut self, now: Monotonic, wall: shards::base::time::UnixMs) {
        self.node.now = now;
        self.shard.keyspace.now = wall;
        self.visitors.keyspace.now = wall;
        self.tick = ticks();
        self.counters.turns += 1;
        let limit = self.node.config.maxmemory;
        self.memory_short = limit != 0 && limit < used_memory();
    }

    /// The client behind a token, unless it is gone.
    #[inline]
    pub fn client(&mut self, token: Token) -> Option<&mut Client> {
        let client = self.clients.get_mut(token.index as usize)?.as_deref_mut()?;
        (client.token == token).then_some(client)
    }

    /// Takes a client out while it is worked on; [`Self::put_client`] brings it back.
    #[inline]
    pub(crate) fn take_client(&mut self, token: Token) -> Option<Box<Client>> {
        let place = self.clients.get_mut(token.index as usize)?;
        if place.as_ref().is_some_and(|client| client.token == token) { place.take() } else { None }
    }

    #[inline]
    pub(crate) fn put_client(&mut self, client: Box<Client>) {
        let index = client.token.index as usize;
        self.clients[index] = Some(client);
    }

    /// A buffer for replies, with room from an earlier use if there is one.
    #[inline]
    pub fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a buffer for reuse.
    #[inline]
    pub fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// An empty batch, with room from an earlier journey if there is one.
    pub(crate) fn new_batch(&mut self, client: &Client) -> Box<Batch> {
        let mut batch = self.spare_batches.pop().unwrap_or_default();
        batch.home = self.me();
        batch.token = client.token;
        batch.client = client.id;
        batch.peer = client.peer;
        batch.passport = client.passport();
        batch
    }

    /// Keeps a batch that is home for its room.
    pub(crate) fn recycle(&mut self, mut batch: Box<Batch>) {
        if self.spare_batches.len() < SPARE_BUFFERS && batch.clear(SPARE_BYTES_MAX) {
            self.spare_batches.push(batch);
        }
    }

    /// Pass 1 of a batch of requests: starts loading the bucket of a request's key.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, db: usize, parsed: &Parsed) {
        if parsed.first_key.0 != 0 {
            self.shard.keyspace.dbs[db].table().prefetch_bucket(parsed.first_key.1);
        }
    }

    /// Pass 2: starts loading the entries that may be the key's.
    #[inline]
    pub(crate) fn prefetch_record(&self, db: usize, parsed: &Parsed) {
        if parsed.first_key.0 != 0 {
            self.shard.keyspace.dbs[db].table().prefetch_record(parsed.first_key.1);
        }
    }

    /// Marks a client as having something to send.
    #[inline]
    pub fn mark_dirty(&mut self, client: &mut Client) {
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(client.token);
        }
    }

    /// Marks a client as having input to look at.
    pub(crate) fn list(&mut self, client: &mut Client) {
        if !client.listed {
            client.listed = true;
            self.listed.push_back(client.token);
        }
    }

    /// Runs a command on this shard's keys, timed and counted.
    #[inline]
    pub(crate) fn run_engine(
        &mut self,
        call: &Call,
        command: &'static Command,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) {
        if self.memory_short && command.spec.flags.has(Flag::DenyOom) && !self.make_room() {
            self.counters.rejected(call.id);
            self.refuse(&Error::Oom, out);
            return;
        }
        let written = out.len();
        let work = at_work(call.spec.name, request.args);
        let result = self.shard.execute(command, request, out);
        drop(work);
        if self.shard.effects.wait.is_some() {
            // It counts when it is answered.
            out.truncate(written);
            self.lap();
            return self.observe_wait(call, request.args);
        }
        if let Some(reader) = self.reading {
            note_reads(&mut self.shard.effects, call, request.args, reader);
        }
        if let Err(error) = &result {
            self.counters.erred(error);
        }
        let took = self.count(call, result.is_err());
        self.observe(call, request.args, took, out.len() - written);
    }

    /// Answers an error.
    #[cold]
    pub(crate) fn refuse(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.counters.erred(error);
        error.write(out);
    }

    /// Counts a command that ran since the last tick; returns the ticks it took.
    #[inline]
    pub(crate) fn count(&mut self, call: &Call, failed: bool) -> u64 {
        let took = self.lap();
        self.counters.ran(call.id, took, failed);
        took
    }

    /// The ticks since the last lap.
    #[inline]
    pub(crate) fn lap(&mut self) -> u64 {
        let now = ticks();
        let took = now.wrapping_sub(self.tick);
        self.tick = now;
        took
    }

    /// Reads mail and acts on it.
    pub fn read_mail(&mut self) {
        let mut arrived = std::mem::take(&mut self.arrived);
        let mut words = Vec::new();
        for peer in self.mailbox.peers() {
            for _ in 0..LETTERS_PER_PEER {
                let Some(letter) = self.mailbox.receive(peer) else { break };
                match letter {
                    ToShard::Batch(mut batch) => {
                        let first = batch.prefetched_at(self.me());
                        if first {
                            let ours = self.ours(&batch);
                            ours.for_each(|parsed| self.prefetch_bucket(batch.passport.db, parsed));
                        }
                        arrived.push((batch, first));
                    }
                    ToShard::Release(release) => self.release(*release),
                    ToShard::Unwatch(keys) => self.unwatch(&keys),
                    ToShard::Connection(connection) => {
                        self.socket_requests.push(SocketRequest::Add(connection));
                    }
                    ToShard::Query(number, query) => {
                        let answer = self.answer(query);
                        self.mailbox.tell_control(ToControl::Answer(number, answer));
                    }
                    ToShard::Logged(entry) => self.sign(entry),
                    ToShard::Wait(word) => self.hear_of_wait(peer, word),
                    ToShard::Disk(word) => self.hear_of_disk(word),
                    ToShard::End(word) => self.hear_of_end(word),
                    // A message follows the replies to what caused it.
                    ToShard::PubSub(word) => words.push((peer, word)),
                }
            }
        }
        for (batch, _) in arrived.iter().filter(|(_, first)| *first) {
            let ours = self.ours(batch);
            ours.for_each(|parsed| self.prefetch_record(batch.passport.db, parsed));
        }
        for (batch, _) in arrived.drain(..) {
            self.advance(batch);
        }
        self.arrived = arrived;
        words.into_iter().for_each(|(peer, word)| self.listen(peer, word));
        self.settle();
    }

    /// The requests still to run in a batch whose keys live here: also those behind requests for
    /// other shards, because the batch will be back soon.
    fn ours<'a>(&self, batch: &'a Batch) -> impl Iterator<Item = &'a Parsed> + use<'a> {
        let here = Route::Shard(self.number);
        batch.requests[batch.next..].iter().filter(move |parsed| parsed.route == here)
    }

    /// Lets batches go on that were waiting for what has happened meanwhile.
    pub(crate) fn settle(&mut self) {
        self.end_turn(None);
        loop {
            while let Some(batch) = self.resumed.pop_front() {
                self.advance(batch);
            }
            let Some(batch) = self.pubsub.told.pop_front() else { break };
            self.told(batch);
        }
        if !self.shard.effects.notes.is_empty() {
            self.settle_notes();
        }
        self.publish_events(None);
        self.send_messages();
        self.send_lines();
    }

    fn unwatch(&mut self, keys: &[(usize, u64)]) {
        for &(db, hash) in keys {
            self.shard.keyspace.watches.unwatch(db, hash);
        }
    }

    /// Ends a client's watches, wherever their keys live.
    pub(crate) fn forget_watches(&mut self, client: &mut Client) {
        let mut by_owner: HashMap<u16, Vec<(usize, u64)>> = HashMap::new();
        for watch in client.watched.drain(..) {
            let owner = self.node.slots.owner(watch.hash);
            by_owner.entry(owner).or_default().push((watch.db, watch.hash));
        }
        for (owner, keys) in by_owner {
            if usize::from(owner) == self.me() {
                self.unwatch(&keys);
            } else {
                self.mailbox.send(owner.into(), ToShard::Unwatch(keys));
            }
        }
    }

    /// Takes a client in.
    pub fn add_client(&mut self, client: Box<Client>) {
        let index = client.token.index as usize;
        if self.clients.len() <= index {
            self.clients.resize_with(index + 1, || None);
        }
        self.counters.clients_opened += 1;
        self.clients[index] = Some(client);
    }

    /// Removes a client; its socket is closed by the loop. A batch of it that is under way comes
    /// home to nobody.
    pub fn remove_client(&mut self, token: Token) {
        self.dismiss_client(token, SocketRequest::Close(token));
    }

    /// Likewise, but its socket is closed when it has all that was sent to it.
    pub(crate) fn finish_client(&mut self, token: Token) {
        self.dismiss_client(token, SocketRequest::Finish(token));
    }

    fn dismiss_client(&mut self, token: Token, request: SocketRequest) {
        let Some(mut client) = self.take_client(token) else { return };
        self.forget_watches(&mut client);
        client.blocked.into_iter().for_each(|id| self.give_up_wait(id));
        let mut changes = Vec::new();
        self.end_subscriptions(&mut client, &mut changes);
        self.announce(changes, token, None);
        self.counters.clients_closed += 1;
        self.mailbox.publish_closed(self.counters.clients_closed);
        self.socket_requests.push(request);
    }

    /// A request of a traveller, as the engine takes it.
    #[inline]
    pub(crate) fn engine_request<'a>(
        args: &'a [&'a [u8]],
        passport: Passport,
        first_key: (u32, u64),
    ) -> Request<'a> {
        Request {
            args,
            db: passport.db,
            protocol: passport.protocol,
            no_touch: passport.no_touch,
            first_key: (first_key.0 as usize, first_key.1),
        }
    }
}
