//! Readers of a replica: they never see half of a transaction, of a command over several keys or
//! databases, while the link to its primary comes late, is cut, and is begun anew, and while the
//! replica is made a primary.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use shards::base::random::Random;

use crate::client::{Client, Reply};
use crate::history::brief;
use crate::proxy::{Proxy, Weather};
use crate::roles::{self, Sides};
use crate::servers::{Ends, Server, setting, start_keylane_with};
use crate::workload::Clock;
use crate::{TURN, flush};

/// What each client does in a round.
const ACTS: usize = 300;
/// Looks of a test that waits for a replica, and the time between two.
const LOOKS: usize = 12_000;
const LOOK: Duration = Duration::from_millis(5);
/// A link is cut within so many bytes of its primary.
const CUT_BYTES: u64 = 30_000;
/// Of so many changes of the weather one makes a primary of the replica for a while.
const PROMOTIONS: u64 = 12;

#[test]
fn readers_of_a_replica_see_whole_transactions() {
    hold_on(3, 2, "no");
}

#[test]
fn readers_of_a_replica_of_more_shards_see_whole_transactions() {
    hold_on(1, 4, "no");
}

#[test]
fn readers_of_a_replica_that_takes_each_log_by_itself_see_whole_transactions() {
    hold_on(3, 2, "yes");
}

/// A primary, its replica, and the proxy between them.
struct Scene {
    primary: Server,
    replica: Server,
    proxy: Proxy,
}

fn hold_on(above: usize, below: usize, native: &str) {
    let _turn = TURN.lock();
    let seed = setting("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let nanos = setting("SECONDS").unwrap_or(20) * 1_000_000_000 / 3;
    let sync = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "64mb"];
    let options = [&sync[..], &["--repl-native", native]].concat();
    let [primary, replica] = [above, below].map(|shards| start_keylane_with(shards, &options));
    let proxy = Proxy::start(&primary.addr, seed).expect("there is a free port");
    let scene = Scene { primary, replica, proxy };
    let clock = Clock::start();
    let (mut rounds, mut looks, mut promotions) = (0, 0, 0);
    while rounds == 0 || clock.now() < nanos {
        let round = setting("ROUND").unwrap_or(rounds);
        let played = scene.play(Random::new(seed.wrapping_add(round << 32)).bits());
        let (seen, promoted) = played.unwrap_or_else(|text| {
            let outputs = [&scene.primary, &scene.replica].map(Server::output);
            panic!("SEED={seed} ROUND={round}\n{text}\n{}\n{}", outputs[0], outputs[1])
        });
        (rounds, looks, promotions) = (rounds + 1, looks + seen, promotions + promoted);
    }
    let [full, partial] = ["sync_full", "sync_partial_ok"].map(|name| scene.counter(name));
    let ended = scene.proxy.ended();
    writeln!(
        io::stderr(),
        "consistency: replica with {below} shards of {above}, native {native}: SEED={seed}: \
         {rounds} rounds, {looks} looks, {ended} cuts, {promotions} promotions, {full} full and \
         {partial} partial syncs"
    )
    .expect("the terminal takes a line");
}

impl Scene {
    /// Plays a round. Gives how many looks and how many promotions there were.
    fn play(&self, seed: u64) -> Result<(usize, u64), String> {
        let plain = |error: io::Error| error.to_string();
        flush(&self.primary.addr).map_err(plain)?;
        roles::prepare(&self.primary.addr).map_err(plain)?;
        self.proxy.set(Weather::Clear);
        self.follow()?;
        self.await_sync()?;
        let ends = &AtomicBool::new(false);
        let (looks, promotions) = thread::scope(|scope| {
            let weather = scope.spawn(move || self.ill_treat(seed, ends));
            let sides = Sides { writers: &self.primary.addr, readers: &self.replica.addr };
            let looks = {
                // The weather ends, too, if this fails.
                let _ends = Ends(ends);
                roles::run(sides, seed, ACTS)
            };
            (looks, weather.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let (looks, promotions) = (looks?, promotions?);
        self.proxy.set(Weather::Clear);
        self.await_sync()?;
        let digests =
            [&self.primary, &self.replica].map(|server| call(server, &["DEBUG", "DIGEST"]));
        if digests[0] != digests[1] {
            return Err(format!("primary and replica differ: {digests:?}"));
        }
        Ok((looks, promotions))
    }

    /// Changes the weather until told to end, and makes a primary of the replica now and then. How
    /// often.
    fn ill_treat(&self, seed: u64, ends: &AtomicBool) -> Result<u64, String> {
        let mut random = Random::new(!seed);
        let mut promotions = 0;
        while !ends.load(Ordering::Relaxed) {
            if random.below(PROMOTIONS) == 0 {
                self.must_take(&["REPLICAOF", "NO", "ONE"])?;
                promotions += 1;
                thread::park_timeout(Duration::from_millis(random.below(20)));
                self.proxy.set(Weather::Clear);
                self.follow()?;
                // A snapshot that breaks off has to wait for the next.
                self.await_link()?;
            }
            self.proxy.set(match random.below(8) {
                0..3 => Weather::Delay(Duration::from_millis(1 + random.below(20))),
                3 | 4 => Weather::Cuts(CUT_BYTES),
                5 => Weather::HalfCloses(CUT_BYTES),
                6 => Weather::Throttle(100_000),
                _ => Weather::Freeze,
            });
            thread::park_timeout(Duration::from_millis(1 + random.below(40)));
        }
        Ok(promotions)
    }

    fn follow(&self) -> Result<(), String> {
        let (host, port) = self.proxy.address.rsplit_once(':').expect("an address has a port");
        self.must_take(&["REPLICAOF", host, port])
    }

    fn must_take(&self, words: &[&str]) -> Result<(), String> {
        let said = call(&self.replica, words);
        // It may follow already, and then says so.
        if said.starts_with("+OK") { Ok(()) } else { Err(format!("{words:?}: {said}")) }
    }

    fn await_link(&self) -> Result<(), String> {
        self.until("the link is up", || {
            field(&self.replica, "replication", "master_link_status") == "up"
        })
    }

    /// Waits until the replica has all that was written.
    fn await_sync(&self) -> Result<(), String> {
        self.await_link()?;
        self.until("the replica has all", || {
            let written = field(&self.primary, "replication", "master_repl_offset");
            written == field(&self.replica, "replication", "slave_repl_offset")
        })
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) -> Result<(), String> {
        for _ in 0..LOOKS {
            if condition() {
                return Ok(());
            }
            thread::park_timeout(LOOK);
        }
        Err(format!("{what}: not in {:?}", LOOK * u32::try_from(LOOKS).expect("few")))
    }

    fn counter(&self, name: &str) -> String {
        field(&self.primary, "stats", name)
    }
}

fn call(server: &Server, words: &[&str]) -> String {
    let reply = Client::connect(&server.addr).and_then(|mut client| client.call(words));
    reply.map_or_else(|error| error.to_string(), |reply| brief(&reply))
}

/// A field of INFO.
fn field(server: &Server, section: &str, name: &str) -> String {
    let Ok(Reply::Bulk(text)) = server.client().call(&["INFO", section]) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(field, _)| *field == name).map_or_else(String::new, |(_, value)| value.to_owned())
}
