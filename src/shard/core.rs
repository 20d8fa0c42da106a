//! One shard thread's everything, but for its ring. What it does with all this stands in the files
//! beside this one; what belongs to one room alone is that room's.

use std::collections::VecDeque;
use std::sync::Arc;

use shards::base::random::Random;
use shards::base::slot::Slot;
use shards::base::time::UnixMs;
use shards::effects::Reader;
use shards::shard::Shard;

use crate::batches::batch::Batch;
use crate::batches::claims::Claims;
use crate::blocking::waits::Waits;
use crate::clients::all::Clients;
use crate::clients::client::Client;
use crate::clients::ctx::ClientCommands;
use crate::clients::leaving::Leaving;
use crate::clients::totals::Totals;
use crate::flows::served::Served;
use crate::mail::connection::{Connection, Listeners};
use crate::mail::flows::{Connect, Follow};
use crate::mail::mailbox::Mailbox;
use crate::mail::to_shard::ToShard;
use crate::reactor::clock::{Monotonic, cycles};
use crate::reactor::ring::Token;
use crate::routing::node::Node;
use crate::routing::slots::Peer;
use crate::shard::ending::EndPart;
use crate::shard::journeys::fencing::Fence;
use crate::shard::journeys::handing_over::Handovers;
use crate::shard::messages::monitoring::Monitors;
use crate::shard::messages::publishing::PubSub;
use crate::shard::messages::tracking::Copies;
use crate::shard::quiesce::Quiesce;
use crate::shard::room::Room;
use crate::shard::spare::Spare;
use crate::shard::streams::applying::Applying;
use crate::shard::streams::incoming::Flows;
use crate::stats::counters::Counters;
use crate::stats::notable::Serving;
use crate::stats::observers::Observers;
use crate::stats::samples::Samples;

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
    /// Let it go with its connection open: another thread serves it from now on.
    LetGo(Token, Box<Leaving>),
    /// Send a replica the log by this connection.
    Send(Box<Connect>),
    /// Apply a log of the primary that comes by a connection.
    Follow(Box<Follow>),
    /// Accept on other addresses.
    Listen(Listeners),
    /// Accept no more connections.
    CloseListeners,
}

/// One shard thread: its shard, its clients, its mail.
#[derive(Debug)]
pub struct Core {
    /// Its keys.
    pub shard: Shard,
    /// Where commands run whose entries are of several shards. Empty between commands.
    pub(crate) visitors: Shard,
    /// Its clients.
    pub clients: Clients,
    /// How many bytes of replies may wait for one of them before limits are looked at.
    pub(crate) calm_bytes: usize,
    /// What they hold together.
    pub(crate) client_totals: Totals,
    /// Its mail.
    pub mailbox: Mailbox<ToShard>,
    /// What it knows of the node.
    pub node: Node,
    /// What commands about their own clients do.
    pub client_commands: &'static ClientCommands,
    /// What it counted.
    pub counters: Counters,
    /// Rates of the last moments.
    pub(crate) samples: Samples,
    /// What is told of commands to the command logs, to LATENCY, and to those who count.
    pub(crate) observers: Observers,
    /// What this shard has logged, and who reads it.
    pub(crate) own_log: Option<Served>,
    /// Claims on its keys.
    pub(crate) claims: Claims,
    /// What holds requests back, and those that are held back.
    pub(crate) quiesce: Quiesce,
    /// Memory for what commands write.
    pub(crate) room: Room,
    /// Requests that wait for keys.
    pub(crate) waits: Waits,
    /// What its clients listen to.
    pub pubsub: PubSub,
    /// Which clients may have copies of its keys.
    pub copies: Copies,
    /// Which clients are shown what others do.
    pub monitors: Monitors,
    /// What it runs of a primary's stream.
    pub(crate) applying: Applying,
    /// What it applies of a primary's logs.
    pub(crate) flows: Flows,
    /// Whether it refuses writes since no majority answers this node.
    pub(crate) fence: Fence,
    /// Slots of other nodes of a cluster whose keys are being deleted.
    pub(crate) lost: Vec<Slot>,
    /// Its part in the end of the process, while that is under way.
    pub(crate) end: Option<Box<EndPart>>,
    /// For the loop to do.
    pub socket_requests: Vec<SocketRequest>,
    /// What other servers take of its clients' keys.
    pub(crate) handovers: Handovers,
    /// Batches that can go on.
    pub(crate) resumed: VecDeque<Box<Batch>>,
    /// Watched keys that existed when the databases went on loan as a whole.
    pub(crate) lent_watched: Vec<(usize, u64)>,
    /// The client for whom commands run.
    pub(crate) serving: Serving,
    /// The same client, if it is told when keys change that it reads.
    pub(crate) reading: Option<Reader>,
    /// The command that runs has waited: it is not shown to monitors again.
    pub(crate) resumes: bool,
    /// The time-stamp counter when the last command ended.
    pub(crate) lap_start: u64,
    /// Batches that came in this turn, and whether for the first time; kept for its room.
    pub(crate) arrived: Vec<(Box<Batch>, bool)>,
    pub(crate) spare: Spare,
    number: u16,
}

impl Core {
    /// The core of the shard whose mailbox this is.
    pub fn new(
        mailbox: Mailbox<ToShard>,
        node: Node,
        client_commands: &'static ClientCommands,
        mut random: Random,
    ) -> Self {
        let databases = usize::try_from(node.config.database_count()).expect("a 32-bit number");
        let mut shard = Shard::new(databases, node.seed, Random::new(random.bits()));
        let number = u16::try_from(mailbox.me()).expect("shards are few");
        shard.keyspace.slots = node.slots.range(number);
        let mut visitors = Shard::new(databases, node.seed, random);
        visitors.effects.keeps_touched = true;
        visitors.effects.by_key = true;
        visitors.effects.keeps_notes = true;
        let shards = usize::from(node.slots.shards());
        let config = Arc::clone(&node.config);
        let handovers = Handovers::new(mailbox.bell().clone());
        let mut core = Self {
            shard,
            visitors,
            clients: Clients::default(),
            calm_bytes: 0,
            client_totals: Totals::default(),
            mailbox,
            counters: Counters::new(node.table.ids, node.config.latency_tracking),
            samples: Samples::new(node.now),
            observers: Observers::default(),
            own_log: None,
            claims: Claims::default(),
            quiesce: Quiesce::default(),
            room: Room::default(),
            waits: Waits::default(),
            pubsub: PubSub::new(shards),
            copies: Copies::new(shards),
            monitors: Monitors::default(),
            applying: Applying::default(),
            flows: Flows::new(number.into(), &node),
            fence: Fence::default(),
            lost: Vec::new(),
            end: None,
            node,
            client_commands,
            socket_requests: Vec::new(),
            handovers,
            resumed: VecDeque::new(),
            lent_watched: Vec::new(),
            serving: Serving::default(),
            reading: None,
            resumes: false,
            lap_start: 0,
            arrived: Vec::new(),
            spare: Spare::default(),
            number,
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

    /// The other shards.
    pub(crate) fn other_shards(&self) -> impl Iterator<Item = Peer> + use<> {
        let me = self.me();
        (0..self.mailbox.shards()).filter(move |shard| *shard != me)
    }

    /// The control thread's number.
    #[inline]
    pub fn control(&self) -> Peer {
        self.mailbox.control()
    }

    /// Begins a turn: everything in it happens at this time.
    pub fn begin_turn(&mut self, now: Monotonic, wall: UnixMs) {
        self.node.now = now;
        self.shard.keyspace.now = wall;
        self.visitors.keyspace.now = wall;
        self.lap_start = cycles();
        self.counters.turns += 1;
        self.mailbox.own_board().turns.set(self.counters.turns);
        self.look_for_room();
        self.end_late_waits();
        self.end_late_pause();
    }

    /// Counts the time since the time-stamp counter stood there as time at work.
    #[inline]
    pub fn worked_since(&mut self, started: u64) {
        let worked = cycles().wrapping_sub(started);
        self.counters.busy_cycles = self.counters.busy_cycles.wrapping_add(worked);
    }

    /// Whether no request is under way or waits here, and nothing is claimed.
    pub fn is_at_rest(&self) -> bool {
        let batches = self.quiesce.epochs.is_empty() && self.quiesce.held() == 0;
        batches && self.claims.idle() && self.clients.listed.is_empty()
    }

    /// The client behind a token, unless it is gone.
    #[inline]
    pub fn client(&mut self, token: Token) -> Option<&mut Client> {
        self.clients.get(token)
    }

    /// Takes a client out while it is worked on; [`Self::put_client`] brings it back.
    #[inline]
    pub(crate) fn take_client(&mut self, token: Token) -> Option<Box<Client>> {
        self.clients.take(token)
    }

    /// Puts a client back that was worked on: what its session is now decides what its requests
    /// have to pass.
    #[inline]
    pub(crate) fn put_client(&mut self, mut client: Box<Client>) {
        client.renew(self.node.guards());
        self.clients.put(client);
    }
}
