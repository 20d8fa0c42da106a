//! Clients that ask for the stream and leave their shards, with real sockets, on several shards in
//! one thread.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use keylane::clients::client::{Life, State};
use keylane::clients::leaving::Known;
use keylane::commands::table::{Commands, build};
use keylane::config::table::Config;
use keylane::mail::connection::Connection;
use keylane::mail::mailbox::{Ends, Mailbox, connect};
use keylane::mail::query::Query;
use keylane::mail::replica::{Arrival, Arrived};
use keylane::mail::to_control::ToControl;
use keylane::mail::to_shard::ToShard;
use keylane::pubsub::kind::Kind;
use keylane::reactor::clock::{CycleRate, Monotonic};
use keylane::reactor::ring::{Completion, DataRing, Token};
use keylane::replication::address::Address;
use keylane::replication::greeting::Greeting;
use keylane::replication::psync::{Request, Stream, Wanted};
use keylane::routing::node::{Condition, Holds, Node};
use keylane::routing::slots::SlotMap;
use keylane::shard::core::{Core, SocketRequest};
use keylane::shard::turns::Loop;
use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::resp::error::Error;

/// Rounds of turns after which something that was to happen will not.
const ROUNDS_MAX: usize = 100_000;
/// The client's home.
const HOME: usize = 0;

struct World {
    shards: Vec<(Loop, DataRing, Vec<Completion>)>,
    control: Mailbox<ToControl>,
    arrived: Vec<Arrival>,
}

impl World {
    fn new(shards: u16, config: Config) -> Self {
        let commands: &'static Commands =
            Box::leak(Box::new(build(&[]).expect("nothing is renamed")));
        let node = Node {
            cluster: None,
            config: Arc::new(config),
            table: &commands.table,
            slots: SlotMap::even(shards),
            seed: HashSeed(1),
            cycle_rate: CycleRate::measure(),
            condition: Condition::default(),
            started: Monotonic::now(),
            now: Monotonic::now(),
        };
        let Ends { shards: mailboxes, control, .. } =
            connect(shards.into()).expect("there are descriptors");
        let shard = |mailbox: Mailbox<ToShard>| {
            let ring = DataRing::new(mailbox.bell()).expect("a ring can be made");
            let core = Core::new(mailbox, node.clone(), &commands.of_clients, Random::new(1));
            (Loop::new(core), ring, Vec::new())
        };
        let shards = mailboxes.into_iter().map(shard).collect();
        Self { shards, control, arrived: Vec::new() }
    }

    fn home(&mut self) -> &mut Core {
        &mut self.shards[HOME].0.core
    }

    /// A new client.
    fn client(&mut self) -> UnixStream {
        let (near, far) = UnixStream::pair().expect("there are descriptors");
        far.set_nonblocking(true).expect("it is open");
        let connection = Connection { fd: near.into(), id: 7, peer: None, local: None };
        self.home().socket_requests.push(SocketRequest::Add(Box::new(connection)));
        self.round();
        far
    }

    fn token(&mut self) -> Token {
        self.home().clients.tokens(|_| true)[0]
    }

    /// Control gives the client's home an order.
    fn order(&mut self, query: Query) {
        self.control.send(HOME, ToShard::Query(0, query));
        self.control.flush();
        self.round();
    }

    /// One turn of each shard, and what control got.
    fn round(&mut self) {
        for (loop_, ring, done) in &mut self.shards {
            ring.turn(None, done).expect("the ring works");
            loop_.turn(ring, done);
        }
        for shard in self.control.peers() {
            while let Some(letter) = self.control.receive(shard) {
                if let ToControl::Arrived(Arrived::Stream(arrival)) = letter {
                    self.arrived.push(*arrival);
                }
            }
        }
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        for _ in 0..ROUNDS_MAX {
            if is_so(self) {
                return;
            }
            self.round();
        }
        panic!("{what}");
    }

    /// Many rounds, in which nothing is to happen.
    fn rest(&mut self) {
        (0..20).for_each(|_| self.round());
    }

    fn arrival(&mut self) -> Arrival {
        self.until("it arrives", |world| !world.arrived.is_empty());
        self.arrived.pop().expect("it has arrived")
    }

    /// Nothing is left of any client.
    fn is_left_empty(&mut self) {
        for (loop_, ring, _) in &mut self.shards {
            assert_eq!(loop_.core.clients.iter().count(), 0);
            assert_eq!(ring.sockets_open(), 0);
            let counters = &loop_.core.counters;
            assert_eq!(counters.clients_opened, counters.clients_closed);
            assert_eq!(loop_.core.mailbox.own_board().closed.get(), counters.clients_closed);
        }
    }
}

/// What there is to read now.
fn read(from: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match from.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if error.kind() == ErrorKind::WouldBlock => bytes,
        Err(error) => panic!("{error}"),
    }
}

/// Whether the other end is closed, and all before it was read.
fn is_closed(from: &mut UnixStream) -> bool {
    matches!(from.read(&mut [0]), Ok(0))
}

fn resp(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

fn inline(line: &str) -> Vec<u8> {
    format!("{line}\r\n").into_bytes()
}

const GREETING: &[&str] = &[
    "SET a 1",
    "REPLCONF listening-port 6400 capa eof",
    "REPLCONF ack 5",
    "MGET a b c d e f",
    "REPLCONF capa psync2 version 9.1.2",
    "INCR n",
    "PSYNC ? -1",
];
const REPLIES: &[u8] =
    b"+OK\r\n+OK\r\n*6\r\n$1\r\n1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n+OK\r\n:1\r\n";
const BEHIND: &[&str] = &["REPLCONF ack 0", "INCR n", "PSYNC ? -1"];

/// What arrives if the bytes come in two pieces with so many rounds between them.
fn check_cut(world: &mut World, form: fn(&str) -> Vec<u8>, cut: usize, rounds: usize) {
    let case = format!("{} shards, cut {cut}, {rounds} rounds", world.shards.len());
    let front: Vec<u8> = GREETING.iter().flat_map(|line| form(line)).collect();
    let behind: Vec<u8> = BEHIND.iter().flat_map(|line| form(line)).chain(*b"*2\r\n$3").collect();
    let all = [front, behind.clone()].concat();
    let mut far = world.client();
    far.write_all(&all[..cut]).expect("it fits");
    (0..rounds).for_each(|_| world.round());
    far.write_all(&all[cut..]).expect("it fits");
    let Arrival { socket, mut unread, greeting, request, known, .. } = world.arrival();
    let Known { id: client, peer, .. } = known;
    let mut near = UnixStream::from(socket);
    near.set_nonblocking(true).expect("it is open");
    unread.extend(read(&mut near));
    let text = String::from_utf8_lossy(&unread);
    assert_eq!(text, String::from_utf8_lossy(&behind), "{case}");
    assert_eq!(String::from_utf8_lossy(&read(&mut far)), String::from_utf8_lossy(REPLIES));
    assert_eq!((client, peer), (7, None));
    let wanted = Wanted { stream: Stream::None, offset: Some(-1) };
    assert_eq!(request, Request::Psync(wanted), "{case}");
    assert_eq!(greeting.address("host"), Address { host: "host".into(), port: 6400 });
    assert!(greeting.knows_psync2() && greeting.version().is_some(), "{case}");
    near.write_all(b"+CONTINUE").expect("it fits");
    assert_eq!(read(&mut far), b"+CONTINUE", "{case}");
    drop(near);
    assert!(is_closed(&mut far), "{case}");
    assert!(world.arrived.is_empty(), "{case}");
    world.is_left_empty();
    // The next client finds what this one has found.
    let mut cleaner = world.client();
    cleaner.write_all(b"DEL a n\r\n").expect("it fits");
    world.until("the keys are gone", |_| read(&mut cleaner) == b":2\r\n");
    drop(cleaner);
    world.until("it is closed", |world| world.home().clients.iter().count() == 0);
    world.until("its socket is", |world| world.shards[HOME].1.sockets_open() == 0);
}

#[test]
fn what_stands_behind_psync_goes_along_wherever_its_bytes_are_cut() {
    for shards in [1, 2, 3] {
        let mut world = World::new(shards, Config::default());
        for form in [inline, resp] {
            let lines = GREETING.iter().chain(BEHIND);
            let len = lines.map(|line| form(line).len()).sum::<usize>() + 6;
            for cut in 0..=len {
                check_cut(&mut world, form, cut, [0, 1, 2, 8][cut % 4]);
                check_cut(&mut world, form, cut, [8, 0, 1, 2][cut % 4]);
            }
        }
    }
}

#[test]
fn sync_asks_without_a_greeting() {
    let mut world = World::new(2, Config::default());
    let mut far = world.client();
    far.write_all(b"SYNC\r\n").expect("it fits");
    let arrival = world.arrival();
    assert_eq!((arrival.request, *arrival.greeting), (Request::Sync, Greeting::default()));
    assert_eq!(arrival.unread, b"");
    world.is_left_empty();
}

/// A client that was answered more than its socket takes, has asked for the stream and said more.
fn slow_client(world: &mut World) -> UnixStream {
    let mut far = world.client();
    let value = "v".repeat(100 << 10);
    far.set_nonblocking(false).expect("it is open");
    let gets = "GET k\r\n".repeat(8).into_bytes();
    let requests = [resp(&format!("SET k {value}")), gets, b"SYNC\r\nSET k w\r\n".to_vec()];
    let requests = requests.concat();
    let mut requests = &requests[..];
    while !requests.is_empty() {
        let piece = requests.len().min(16 << 10);
        far.write_all(&requests[..piece]).expect("it fits");
        requests = &requests[piece..];
        world.rest();
    }
    far.set_nonblocking(true).expect("it is open");
    world.rest();
    assert!(world.arrived.is_empty());
    let token = world.token();
    let client = world.home().client(token).expect("it is a client");
    assert_eq!((client.life, client.state, client.is_read), (Life::Leaving, State::Home, false));
    assert_ne!(client.sending, 0);
    far
}

#[test]
fn a_socket_leaves_when_its_client_has_all_replies() {
    let mut world = World::new(2, Config::default());
    let mut far = slow_client(&mut world);
    let mut replies = Vec::new();
    world.until("it arrives", |world| {
        replies.extend(read(&mut far));
        !world.arrived.is_empty()
    });
    replies.extend(read(&mut far));
    let value = format!("$102400\r\n{}\r\n", "v".repeat(100 << 10));
    assert!(replies == ["+OK\r\n", &value.repeat(8)].concat().into_bytes());
    assert_eq!(world.arrival().unread, b"SET k w\r\n");
    world.is_left_empty();
}

#[test]
fn a_client_that_is_killed_while_it_leaves_does_not_arrive() {
    let mut world = World::new(2, Config::default());
    let mut far = slow_client(&mut world);
    let token = world.token();
    world.home().remove_client(token);
    world.until("its socket is closed", |world| world.shards[HOME].1.sockets_open() == 0);
    while !read(&mut far).is_empty() {}
    assert!(is_closed(&mut far));
    world.rest();
    assert!(world.arrived.is_empty());
    world.is_left_empty();
}

#[test]
fn a_client_that_goes_while_it_leaves_does_not_arrive() {
    let mut world = World::new(2, Config::default());
    drop(slow_client(&mut world));
    world.until("its socket is closed", |world| world.shards[HOME].1.sockets_open() == 0);
    world.rest();
    assert!(world.arrived.is_empty());
    world.is_left_empty();
}

#[test]
fn a_client_that_goes_when_it_has_asked_arrives_or_is_closed() {
    for rounds in 0..6 {
        let mut world = World::new(2, Config::default());
        let mut far = world.client();
        far.write_all(b"SYNC\r\n").expect("it fits");
        (0..rounds).for_each(|_| world.round());
        drop(far);
        world.rest();
        // Whoever gets the socket finds its end.
        for arrival in world.arrived.drain(..) {
            assert!(is_closed(&mut UnixStream::from(arrival.socket)));
        }
        world.is_left_empty();
    }
}

#[test]
fn what_the_client_listens_to_and_watches_ends() {
    let mut world = World::new(2, Config::default());
    let mut far = world.client();
    let lines = ["HELLO 3", "SUBSCRIBE a", "CLIENT TRACKING ON", "WATCH a b c d", "PSYNC x 9"];
    far.write_all(&lines.map(inline).concat()).expect("it fits");
    let wanted = Wanted { stream: Stream::Nonsense, offset: Some(9) };
    assert_eq!(world.arrival().request, Request::Psync(wanted));
    world.rest();
    for (loop_, ..) in &mut world.shards {
        assert_eq!(loop_.core.pubsub.registry.count(Kind::Channel, b"a"), 0);
        assert!(loop_.core.shard.keyspace.watches.is_empty());
    }
    world.is_left_empty();
}

#[test]
fn a_pause_of_writes_is_nothing_to_psync_and_one_of_all_holds_it_back() {
    for (holds, is_held) in [(Holds::Writes, false), (Holds::All, true)] {
        let mut world = World::new(2, Config::default());
        let mut far = world.client();
        world.order(Query::Pause { millis: u64::MAX, holds });
        far.write_all(b"SYNC\r\nPING\r\n").expect("it fits");
        world.rest();
        assert_eq!(world.arrived.is_empty(), is_held, "{holds:?}");
        world.order(Query::Unpause);
        assert_eq!(world.arrival().unread, b"PING\r\n");
        world.is_left_empty();
    }
}

/// Who asks, what is set before and what is answered to the request. All of them stay clients.
const REFUSED: &[(&str, &str, &[u8])] = &[
    ("MULTI", "SYNC", b"-ERR Command 'sync' not allowed inside a transaction\r\n"),
    ("CLIENT REPLY OFF", "PSYNC ?", b""),
    ("REPLCONF rdb-filter-only ''", "SYNC", b"-ERR Filtered replica requires EOF capability\r\n"),
    ("MONITOR", "SYNC", b""),
    ("GET a", "PSYNC ?", b"-ERR wrong number of arguments for 'psync' command\r\n"),
];

#[test]
fn a_client_whose_request_is_refused_stays() {
    for (before, request, answer) in REFUSED {
        let mut world = World::new(2, Config::default());
        let mut far = world.client();
        far.write_all(&inline(before)).expect("it fits");
        world.rest();
        read(&mut far);
        far.write_all(&inline(request)).expect("it fits");
        world.rest();
        assert_eq!(read(&mut far), *answer, "{before}, {request}");
        assert!(world.arrived.is_empty());
        let token = world.token();
        assert_eq!(world.home().client(token).expect("it is a client").state, State::Home);
    }
}

#[test]
fn a_client_without_a_password_does_not_leave() {
    let config = Config { requirepass: b"secret".to_vec(), ..Config::default() };
    let mut world = World::new(1, config);
    let mut far = world.client();
    far.write_all(b"REPLCONF capa eof\r\nSYNC\r\nAUTH secret\r\nSYNC\r\n").expect("it fits");
    world.arrival();
    let noauth = "-NOAUTH Authentication required.\r\n";
    assert_eq!(
        String::from_utf8(read(&mut far)).expect("it is text"),
        [noauth, noauth, "+OK\r\n"].concat()
    );
}

#[test]
fn a_client_that_wants_no_replies_leaves_all_the_same() {
    for mode in ["OFF", "SKIP"] {
        let mut world = World::new(2, Config::default());
        let mut far = world.client();
        far.write_all(format!("CLIENT REPLY {mode}\r\nSYNC\r\nPING\r\n").as_bytes())
            .expect("it fits");
        assert_eq!(world.arrival().unread, b"PING\r\n");
        assert_eq!(read(&mut far), b"");
    }
}

#[test]
fn nothing_is_streamed_while_keys_are_loaded() {
    let mut world = World::new(2, Config::default());
    world.home().node.condition.loading = true;
    let mut far = world.client();
    far.write_all(b"REPLCONF capa eof\r\nSYNC\r\n").expect("it fits");
    world.rest();
    let mut answer = b"+OK\r\n".to_vec();
    Error::Loading.write(&mut answer);
    assert_eq!(read(&mut far), answer);
    assert!(world.arrived.is_empty());
}
