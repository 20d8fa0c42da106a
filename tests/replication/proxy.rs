//! A TCP proxy between a replica and its primary that treats connections ill: it cuts them at a
//! random byte, closes one direction, stands still, comes late, or lets little through.

use std::io::{self, ErrorKind, Read, Write};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use shards::base::random::Random;
use socket2::SockRef;

/// What happens to bytes from now on, also on connections that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Clear,
    /// Each connection ends behind a random byte of the primary, at most this many on: in the
    /// middle of a command, of a number, of a reply of the handshake.
    Cuts(u64),
    /// Likewise, but one direction only is closed: now the one, now the other.
    HalfCloses(u64),
    /// No byte comes through.
    Freeze,
    /// Every byte comes this much later.
    Delay(Duration),
    /// So many bytes a second of the primary come through on each connection.
    Throttle(u64),
}

/// A running proxy; its threads last as long as its connections.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    weather: Mutex<Weather>,
    random: Mutex<Random>,
    /// Connections that were cut or half-closed.
    ended: AtomicU64,
    gone: AtomicBool,
}

/// How often a thread looks whether the weather has changed.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes of the primary that may be on their way through a connection.
const TAKEN_BYTES: usize = 256 << 10;
/// A throttled connection takes so many turns a second.
const TURNS: u32 = 100;

impl Proxy {
    /// Starts one in front of the server at `address`; chance is decided by `seed`.
    pub fn start(address: &str, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let own = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            weather: Mutex::new(Weather::Clear),
            random: Mutex::new(Random::new(seed)),
            ended: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        });
        let (target, given) = (address.to_owned(), Arc::clone(&shared));
        thread::Builder::new().spawn(move || {
            for replica in listener.incoming().map_while(Result::ok) {
                if given.gone.load(Ordering::Relaxed) {
                    return;
                }
                // A primary that is gone refuses: so does the proxy.
                let _ = join(replica, &target, &given);
            }
        })?;
        Ok(Self { address: own, shared })
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().expect("no holder panics") = weather;
    }

    /// How many connections it has cut or half-closed.
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    #[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        // The listening thread looks at the flag when the next connection comes.
        drop(TcpStream::connect(&self.address));
    }
}

#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn join(replica: TcpStream, target: &str, shared: &Arc<Shared>) -> io::Result<()> {
    let primary = TcpStream::connect(target)?;
    // What the system takes for the proxy has not come through.
    SockRef::from(&primary).set_recv_buffer_size(TAKEN_BYTES)?;
    for stream in [&replica, &primary] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
    }
    let fate = shared.fate();
    let (up, down) = ((replica.try_clone()?, primary.try_clone()?), (primary, replica));
    let (above, below) = (Arc::clone(shared), Arc::clone(shared));
    thread::Builder::new().spawn(move || drop(copy(up.0, &up.1, &above, None)))?;
    thread::Builder::new().spawn(move || drop(copy(down.0, &down.1, &below, Some(fate))))?;
    Ok(())
}

/// What chance holds ready for a connection.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Which part of the bytes that may pass at most do pass, in 2^64ths.
    share: u64,
    /// Whether it is the primary that hears of a half-close.
    upwards: bool,
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().expect("no holder panics")
    }

    fn fate(&self) -> Fate {
        let mut random = self.random.lock().expect("no holder panics");
        let share = random.bits();
        // Every fourth connection ends within its handshake, if the limit is large enough.
        let share = if random.below(4) == 0 { share >> 8 } else { share };
        Fate { share, upwards: random.below(2) == 0 }
    }
}

/// Copies from one side to the other until either ends. Only the primary's bytes have a fate.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
fn copy(
    mut from: TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
    fate: Option<Fate>,
) -> io::Result<()> {
    let mut chunk = [0; 1 << 14];
    let mut passed = 0;
    loop {
        let weather = shared.weather();
        if weather == Weather::Freeze {
            if shared.gone.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::park_timeout(LOOK);
            continue;
        }
        let room = match (weather, fate) {
            (Weather::Cuts(most) | Weather::HalfCloses(most), Some(fate)) => {
                let product = u128::from(fate.share) * u128::from(most);
                let limit = u64::try_from(product >> 64).expect("a part of 64 bits");
                if limit <= passed {
                    shared.ended.fetch_add(1, Ordering::Relaxed);
                    return end(&from, to, weather, fate);
                }
                limit - passed
            }
            (Weather::Throttle(bytes), Some(_)) => bytes.div_ceil(TURNS.into()).max(1),
            _ => chunk.len() as u64,
        };
        let room = chunk.len().min(usize::try_from(room).unwrap_or(chunk.len()));
        match from.read(&mut chunk[..room]) {
            Ok(0) => return to.shutdown(Shutdown::Write),
            Ok(count) => {
                match weather {
                    Weather::Delay(time) => park_until(Instant::now() + time),
                    Weather::Throttle(_) if fate.is_some() => {
                        park_until(Instant::now() + Duration::from_secs(1) / TURNS);
                    }
                    _ => {}
                }
                let sent = to.write_all(&chunk[..count]);
                if sent.is_err() {
                    // The other side has to learn of it.
                    from.shutdown(Shutdown::Both)?;
                    return sent;
                }
                passed += count as u64;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => {
                to.shutdown(Shutdown::Both)?;
                return Err(error);
            }
        }
    }
}

/// Ends a connection whose primary and replica these are, as the weather wants it.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn end(primary: &TcpStream, replica: &TcpStream, weather: Weather, fate: Fate) -> io::Result<()> {
    if !matches!(weather, Weather::HalfCloses(_)) {
        primary.shutdown(Shutdown::Both)?;
        return replica.shutdown(Shutdown::Both);
    }
    // The other one hears of it by what it sends: this thread carries no byte any more.
    if fate.upwards { primary } else { replica }.shutdown(Shutdown::Write)
}

#[expect(clippy::disallowed_methods, reason = "tests look at servers from outside")]
fn park_until(end: Instant) {
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        thread::park_timeout(left);
    }
}
