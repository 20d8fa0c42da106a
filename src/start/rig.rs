//! A bench for tests: the shards of a server in one thread, with clients that have no sockets. Each
//! turn is made by hand, so a test says what comes first.

mod redirection;

use std::sync::Arc;

use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::time::UnixMs;

use crate::clients::client::Client;
use crate::cluster::machine::bench::Bench;
use crate::cluster::ownership::Ownership;
use crate::commands::table;
use crate::config::choices::Allowed;
use crate::config::table::Config;
use crate::mail::mailbox::{self, Ends, Mailbox};
use crate::mail::query::Query;
use crate::mail::to_control::ToControl;
use crate::mail::to_shard::ToShard;
use crate::reactor::buffers::Buffers;
use crate::reactor::clock::{CycleRate, Monotonic};
use crate::reactor::ring::Token;
use crate::routing::node::{Condition, Node};
use crate::routing::slots::SlotMap;
use crate::shard::core::Core;
use crate::shard::requests::pipeline::Pipeline;

/// Rounds of turns after which nothing is under way: no journey of a test is longer.
const ROUNDS: usize = 40;

/// Shards, and what they share.
pub struct Rig {
    pub cores: Vec<Core>,
    pipelines: Vec<Pipeline>,
    control: Mailbox<ToControl>,
    buffers: Buffers,
    clients: u32,
    /// Questions of control, and how many shards have answered the last one.
    questions: u64,
    pub answers: usize,
}

/// A client, and the shard that is its home.
#[derive(Clone, Copy)]
pub struct Seat {
    home: usize,
    token: Token,
}

/// A copy for nodes that are told as in [`Bench::of`], for a cluster that serves.
pub fn ownership(nodes: &str) -> Ownership {
    let mut ownership = Bench::of(nodes).machine.ownership(1);
    ownership.is_ok = true;
    ownership
}

impl Rig {
    /// So many shards of a node of a cluster.
    pub fn new(shards: u16, ownership: Ownership) -> Self {
        let config = Config {
            cluster_enabled: true,
            cluster_databases: 4,
            enable_debug_command: Allowed::Yes,
            ..Config::default()
        };
        let commands = table::build(&[]).expect("nothing is renamed");
        let commands = Box::leak(Box::new(commands));
        let now = Monotonic::now();
        let node = Node {
            slots: SlotMap::configured(shards, &config),
            config: Arc::new(config),
            table: &commands.table,
            cluster: Some(Arc::new(ownership)),
            seed: HashSeed(1),
            cycle_rate: CycleRate::measure(),
            condition: Condition::default(),
            started: now,
            now,
        };
        let ends = mailbox::connect(usize::from(shards)).expect("there are eventfds");
        let Ends { shards: boxes, control, relay: _ } = ends;
        let core = |mailbox| Core::new(mailbox, node.clone(), &commands.of_clients, Random::new(1));
        let cores: Vec<Core> = boxes.into_iter().map(core).collect();
        let pipelines = cores.iter().map(|_| Pipeline::default()).collect();
        let buffers = Buffers::new().expect("there is memory");
        Self { cores, pipelines, control, buffers, clients: 0, questions: 0, answers: 0 }
    }

    /// A client of a shard.
    pub fn client(&mut self, home: usize) -> Seat {
        let number = self.clients;
        self.clients += 1;
        let token = Token::from_bits(u64::from(number));
        let client = Client::new(u64::from(number) + 1, token, 0, Monotonic::now());
        self.cores[home].add_client(Box::new(client));
        Seat { home, token }
    }

    /// Has a client send lines; what it is answered comes with [`Self::replies`].
    pub fn send(&mut self, seat: Seat, lines: &[&str]) {
        let core = &mut self.cores[seat.home];
        let client = core.clients.get(seat.token).expect("it is connected");
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let mut request = format!("*{}\r\n", words.len());
            words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
            client.query.append(request.as_bytes(), 0);
        }
        core.clients.list_at(seat.token);
    }

    /// Lets one shard have a turn.
    pub fn turn(&mut self, shard: usize) {
        let core = &mut self.cores[shard];
        core.begin_turn(Monotonic::now(), UnixMs(1_000_000));
        core.read_mail();
        self.pipelines[shard].run(core, &self.buffers);
        core.answer_quiesced();
        core.mailbox.flush();
        while let Some(letter) = self.control.receive(shard) {
            self.answers += usize::from(matches!(letter, ToControl::Answer(number, _)
                if number == self.questions));
        }
    }

    /// Lets all shards have turns until nothing is under way.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            (0..self.cores.len()).for_each(|shard| self.turn(shard));
        }
    }

    /// What a client was sent since the last call, in one line.
    pub fn replies(&mut self, seat: Seat) -> String {
        let client = self.cores[seat.home].clients.get(seat.token).expect("it is connected");
        let bytes = std::mem::take(&mut client.out);
        String::from_utf8_lossy(&bytes).trim_end().replace("\r\n", " ")
    }

    /// Has a client send lines, and waits for the replies.
    pub fn call(&mut self, seat: Seat, lines: &[&str]) -> String {
        self.send(seat, lines);
        self.settle();
        self.replies(seat)
    }

    /// Tells some shards who owns what: they know it from their next turn on.
    pub fn tell(&mut self, shards: &[usize], ownership: &Ownership) {
        self.questions += 1;
        self.answers = 0;
        for &shard in shards {
            let query = Query::Own(Arc::new(ownership.clone()));
            self.control.send(shard, ToShard::Query(self.questions, query));
        }
        self.control.flush();
    }

    /// Tells all shards, and waits until they have answered.
    pub fn tell_all(&mut self, ownership: &Ownership) {
        let all: Vec<usize> = (0..self.cores.len()).collect();
        self.tell(&all, ownership);
        self.settle();
        assert_eq!(self.answers, self.cores.len());
    }
}
