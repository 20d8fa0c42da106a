//! Clients that do random things to few keys, all at once, and write down what they saw.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shards::base::random::Random;
use shards::base::slot::{SLOTS, Slot};

use crate::client::{Client, Reply};
use crate::history::{Event, Words, brief};

/// How long a server may take for a reply: nothing may hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a round is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mostly commands on single keys; judged key by key, which allows many of them.
    Registers,
    /// Commands on several keys of one database; judged together.
    Keys,
    /// Commands on whole databases too; judged together.
    Databases,
}

/// Everything that decides what the clients of a round ask for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub seed: u64,
    pub clients: usize,
    pub acts: usize,
}

/// One step of a client.
#[derive(Clone, Debug)]
enum Act {
    /// A command; its reply is awaited.
    Alone(Words),
    /// Commands in one write.
    Pipeline(Vec<Words>),
    /// WATCH and GET of some keys, then a transaction.
    Exec { watch: Vec<String>, unit: Vec<Words>, in_one_write: bool },
    /// Commands are sent and the connection is closed at once.
    Vanish(Vec<Words>),
    /// Likewise a transaction.
    VanishInExec(Vec<Words>),
}

/// Nanoseconds since the start, for all clients of a round alike.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts.
    #[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time.
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a test ends within centuries")
    }
}

/// What each client is doing: told when one gets no answer.
#[derive(Debug)]
pub struct Board {
    doing: Vec<Mutex<String>>,
    failed: AtomicBool,
}

impl Board {
    /// A board for so many clients.
    pub fn new(clients: usize) -> Self {
        let doing = (0..clients).map(|_| Mutex::default()).collect();
        Self { doing, failed: AtomicBool::new(false) }
    }

    /// Says what a client is about to do. False if another one failed: then it may stop.
    pub fn write(&self, client: usize, doing: String) -> bool {
        *self.doing[client].lock().expect("writers do not panic") = doing;
        !self.failed.load(Ordering::Relaxed)
    }

    /// What to say of a failure: also what all others are doing.
    pub fn failure(&self, client: usize, error: &io::Error) -> String {
        self.failed.store(true, Ordering::Relaxed);
        let line = |(at, doing): (usize, &Mutex<String>)| {
            format!("    client {at}: {}\n", doing.lock().expect("writers do not panic"))
        };
        let lines: String = self.doing.iter().enumerate().map(line).collect();
        format!("client {client}: {error}; what each did last:\n{lines}")
    }
}

/// Names of keys whose slots lie evenly over all slots.
pub fn spread_keys(prefix: &str, count: usize) -> Vec<String> {
    let part = |key: &str| usize::from(Slot::of(key.as_bytes()).number()) * count;
    let key = |at: usize| {
        let mut names = (0..).map(|n: u32| format!("{prefix}{at}.{n}"));
        names.find(|name| part(name) / usize::from(SLOTS) == at).expect("every slot has a name")
    };
    (0..count).map(key).collect()
}

/// Runs a round, with the server empty before it. The events are those of all clients, by call.
pub fn run(address: &str, plan: Plan) -> Result<Vec<Event>, String> {
    let clock = Clock::start();
    let board = Board::new(plan.clients);
    let histories = at_once(plan.clients, |number| {
        let actor = Actor::new(address, plan, number, clock, &board);
        actor.map_err(|error| board.failure(number, &error))?.act_all()
    });
    let histories: Result<_, String> = histories.into_iter().collect();
    histories.map(crate::history::merged)
}

/// Runs clients, each in a thread of its own, and gives what they give.
pub fn at_once<T: Send>(clients: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let act = &act;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|at| scope.spawn(move || act(at))).collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// A client.
struct Actor<'a> {
    address: &'a str,
    plan: Plan,
    number: usize,
    /// Its name in the history: another one after it left without waiting.
    alias: usize,
    db: usize,
    clock: Clock,
    board: &'a Board,
    wishes: Wishes,
    client: Client,
    history: Vec<Event>,
}

impl<'a> Actor<'a> {
    fn new(
        address: &'a str,
        plan: Plan,
        number: usize,
        clock: Clock,
        board: &'a Board,
    ) -> io::Result<Self> {
        let db = if plan.kind == Kind::Databases { 1 + number % 2 } else { 0 };
        Ok(Self {
            address,
            plan,
            number,
            alias: number,
            db,
            clock,
            board,
            wishes: Wishes::new(plan, number),
            client: connect(address, db)?,
            history: Vec::new(),
        })
    }

    fn act_all(mut self) -> Result<Vec<Event>, String> {
        for _ in 0..self.plan.acts {
            let act = self.wishes.act();
            if !self.board.write(self.number, format!("{act:?}")) {
                break;
            }
            self.act(act).map_err(|error| self.board.failure(self.number, &error))?;
        }
        self.board.write(self.number, "is done".into());
        Ok(self.history)
    }

    fn act(&mut self, act: Act) -> io::Result<()> {
        match act {
            Act::Alone(words) => self.pipeline(vec![words]),
            Act::Pipeline(commands) => self.pipeline(commands),
            Act::Exec { watch, unit, in_one_write } => self.exec(watch, unit, in_one_write),
            Act::Vanish(commands) => {
                let called = self.clock.now();
                self.client.send_raw(&encoded(&commands))?;
                for words in commands {
                    self.note(called, None, Vec::new(), vec![words], Vec::new());
                }
                self.vanish()
            }
            Act::VanishInExec(unit) => {
                let called = self.clock.now();
                self.client.send_raw(&encoded(&transaction(&unit)))?;
                self.note(called, None, Vec::new(), unit, Vec::new());
                self.vanish()
            }
        }
    }

    fn vanish(&mut self) -> io::Result<()> {
        self.alias += self.plan.clients;
        self.client = connect(self.address, self.db)?;
        Ok(())
    }

    fn pipeline(&mut self, commands: Vec<Words>) -> io::Result<()> {
        let called = self.clock.now();
        self.client.send_raw(&encoded(&commands))?;
        for words in commands {
            let reply = self.client.receive()?;
            let returned = Some(self.clock.now());
            self.note(called, returned, Vec::new(), vec![words], vec![reply]);
        }
        Ok(())
    }

    fn exec(&mut self, watch: Vec<String>, unit: Vec<Words>, in_one_write: bool) -> io::Result<()> {
        let mut guard = Vec::new();
        if !watch.is_empty() {
            self.client.call(&list("WATCH", &watch))?;
            for key in watch {
                self.pipeline(vec![vec!["GET".into(), key.clone()]])?;
                let seen = self.history.last().expect("it was just read").replies[0].clone();
                guard.push((key, seen));
            }
        }
        let commands = transaction(&unit);
        let mut called = self.clock.now();
        if in_one_write {
            self.client.send_raw(&encoded(&commands))?;
            for _ in 1..commands.len() {
                self.client.receive()?;
            }
        } else {
            for words in &commands[..commands.len() - 1] {
                self.client.call(words)?;
            }
            called = self.clock.now();
            self.client.send(&["EXEC"])?;
        }
        match self.client.receive()? {
            Reply::Group('*', replies) => {
                let returned = Some(self.clock.now());
                self.note(called, returned, guard, unit, replies);
            }
            Reply::NullArray if !guard.is_empty() => {}
            other => {
                let text = format!("EXEC of {unit:?} gave {}", brief(&other));
                return Err(io::Error::other(text));
            }
        }
        Ok(())
    }

    fn note(
        &mut self,
        called: u64,
        returned: Option<u64>,
        guard: Vec<(String, Reply)>,
        unit: Vec<Words>,
        mut replies: Vec<Reply>,
    ) {
        for (words, reply) in unit.iter().zip(&mut replies) {
            if words[0] == "KEYS"
                && let Reply::Group(_, members) = reply
            {
                members.sort_by_key(brief);
            }
        }
        let (client, db) = (self.alias, self.db);
        self.history.push(Event { client, db, called, returned, guard, unit, replies });
    }
}

/// A connection to one of the server's databases.
pub fn connect(address: &str, db: usize) -> io::Result<Client> {
    let mut client = Client::connect(address)?;
    client.set_patience(PATIENCE)?;
    if db != 0 {
        let reply = client.call(&["SELECT", &db.to_string()])?;
        if reply != Reply::Simple(b"OK".to_vec()) {
            return Err(io::Error::other(format!("SELECT {db}: {}", brief(&reply))));
        }
    }
    Ok(client)
}

/// The commands of a transaction with what stands around them.
fn transaction(unit: &[Words]) -> Vec<Words> {
    let mut commands = vec![vec!["MULTI".to_string()]];
    commands.extend(unit.iter().cloned());
    commands.push(vec!["EXEC".into()]);
    commands
}

/// Commands as they are sent.
pub fn encoded(commands: &[Words]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for words in commands {
        bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }
    bytes
}

/// What a client wants, by chance.
pub struct Wishes {
    kind: Kind,
    random: Random,
    keys: Vec<String>,
    /// Every value written is a new one, so that a read tells which write it saw.
    value: u64,
    /// How often it may still leave without waiting: each time widens the search.
    vanishings: u32,
}

impl Wishes {
    /// Those of a plan's client with this number.
    pub fn new(plan: Plan, number: usize) -> Self {
        let count = if plan.kind == Kind::Registers { 8 } else { 4 };
        let few = plan.kind == Kind::Registers || number == 0;
        let number = u64::try_from(number).expect("clients are few");
        Self {
            kind: plan.kind,
            random: Random::new(plan.seed ^ (number + 1).wrapping_mul(0x5851_F42D_4C95_7F2D)),
            keys: spread_keys("k", count),
            value: number * 1_000_000,
            vanishings: u32::from(few),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        let below = self.random.below(u64::try_from(limit).expect("small"));
        usize::try_from(below).expect("below a usize")
    }

    fn act(&mut self) -> Act {
        match self.below(100) {
            0 if 0 < self.vanishings => {
                self.vanishings -= 1;
                let unit = self.commands(2);
                if self.below(2) == 0 { Act::Vanish(unit) } else { Act::VanishInExec(unit) }
            }
            0..60 => Act::Alone(self.command()),
            60..80 => Act::Pipeline(self.commands(6)),
            _ => {
                let watched = self.below(3);
                let watch = self.some_keys(watched);
                let in_one_write = self.below(2) == 0;
                Act::Exec { watch, unit: self.commands(4), in_one_write }
            }
        }
    }

    /// Up to one more than `max` commands.
    pub fn commands(&mut self, max: usize) -> Vec<Words> {
        (0..=self.below(max)).map(|_| self.command()).collect()
    }

    fn key(&mut self) -> String {
        let at = self.below(self.keys.len());
        self.keys[at].clone()
    }

    /// Different keys, in any order.
    fn some_keys(&mut self, count: usize) -> Vec<String> {
        let mut keys = self.keys.clone();
        while count < keys.len() {
            let at = self.below(keys.len());
            keys.swap_remove(at);
        }
        keys
    }

    fn value(&mut self) -> String {
        self.value += 100;
        self.value.to_string()
    }

    fn command(&mut self) -> Words {
        let (many, whole) = match self.kind {
            Kind::Registers => (15, 0),
            Kind::Keys => (60, 0),
            Kind::Databases => (40, 25),
        };
        match self.below(100) {
            chance if chance < whole => self.on_databases(),
            chance if chance < whole + many && self.kind == Kind::Registers => self.on_registers(),
            chance if chance < whole + many => self.on_keys(),
            _ => self.on_one_key(),
        }
    }

    fn on_one_key(&mut self) -> Words {
        let (key, value) = (self.key(), self.value());
        match self.below(24) {
            0..8 => words(&["GET", &key]),
            8..12 => words(&["SET", &key, &value]),
            12..15 => words(&["INCR", &key]),
            15 => words(&["INCRBY", &key, "-7"]),
            16 => words(&["GETSET", &key, &value]),
            17 => words(&["APPEND", &key, &value[..1]]),
            18 => words(&["SETNX", &key, &value]),
            19 => words(&["GETDEL", &key]),
            20 => words(&["STRLEN", &key]),
            21 => words(&["DEL", &key]),
            22 => words(&["SET", &key, &value, "NX"]),
            _ => words(&["SET", &key, &value, "XX"]),
        }
    }

    /// Commands that can be judged key by key.
    fn on_registers(&mut self) -> Words {
        let count = 2 + self.below(4);
        let keys = self.some_keys(count);
        if self.below(3) == 0 { self.pairs("MSET", &keys) } else { list("MGET", &keys) }
    }

    fn on_keys(&mut self) -> Words {
        let count = 2 + self.below(3);
        let keys = self.some_keys(count);
        match self.below(20) {
            0..6 => list("MGET", &keys),
            6..9 => self.pairs("MSET", &keys),
            9..11 => self.pairs("MSETNX", &keys),
            11 => list("DEL", &keys),
            12 => list("UNLINK", &keys),
            13 => list("EXISTS", &keys),
            14 => list("RENAME", &keys[..2]),
            15 => list("RENAMENX", &keys[..2]),
            16 => list("COPY", &keys[..2]),
            17 => words(&["COPY", &keys[0], &keys[1], "REPLACE"]),
            _ => {
                let operation = if self.below(2) == 0 { "OR" } else { "AND" };
                let mut command = words(&["BITOP", operation]);
                command.extend(keys);
                command
            }
        }
    }

    fn on_databases(&mut self) -> Words {
        let key = self.key();
        match self.below(12) {
            0..3 => words(&["SWAPDB", "1", "2"]),
            3 => words(&["FLUSHDB"]),
            4 => words(&["FLUSHALL"]),
            5..7 => words(&["DBSIZE"]),
            7 => words(&["KEYS", "*"]),
            8 => words(&["RANDOMKEY"]),
            9 => words(&["MOVE", &key, "3"]),
            10 => words(&["COPY", &key, &self.key(), "DB", "3"]),
            _ => words(&["SWAPDB", "3", "1"]),
        }
    }

    fn pairs(&mut self, name: &str, keys: &[String]) -> Words {
        let mut command = words(&[name]);
        for key in keys {
            command.extend([key.clone(), self.value()]);
        }
        command
    }
}

/// A command of these words.
pub fn words(words: &[&str]) -> Words {
    words.iter().map(|word| (*word).to_string()).collect()
}

/// A command of a name and keys.
pub fn list(name: &str, keys: &[String]) -> Words {
    std::iter::once(name.to_string()).chain(keys.iter().cloned()).collect()
}
