//! Clients that wait at servers for keys and messages while a primary ends: which of them are cut.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::measurements::leaving::cluster::Cluster;
use crate::measurements::leaving::mix::Form;
use crate::measurements::leaving::node::wait;
use crate::measurements::leaving::slots::keys;
use crate::servers::client::write_request;

/// How long a client may take until it waits, is woken, or is closed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long is read where nothing is expected.
const GLANCE: Duration = Duration::from_millis(1);

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// An element of a list, at a primary.
    Element,
    /// An entry of a stream, at a replica.
    Entry,
    /// A message.
    Message,
}

/// A client that waits.
#[derive(Debug)]
struct Waiter {
    place: usize,
    range: usize,
    wish: Wish,
    /// Its key or channel.
    name: String,
    stream: TcpStream,
}

/// All clients that wait.
#[derive(Debug, Default)]
pub struct Waiters(Vec<Waiter>);

/// What happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Those at servers that stayed which were told or cut though nothing had happened, or were not
    /// woken afterwards; and those at the server that ended whose connections were reset.
    pub wrongly: u64,
    /// Those for an element at the server that ended which were closed without a reply.
    pub untold: u64,
}

/// What a connection holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Text(String),
    Closed,
    Reset,
}

impl Waiters {
    /// Has two clients wait at each server.
    pub fn start(cluster: &Cluster) -> Result<Self, String> {
        let mut waiters = Vec::new();
        let names = keys("waited:", 1, cluster.ranges);
        for (range, names) in names.iter().enumerate() {
            let owner = cluster.owner(range)?;
            let mut at = |place: usize, wish: Wish| {
                let port = cluster.nodes[place].port;
                let name = match wish {
                    Wish::Element => names[0].clone(),
                    // Of two replicas each has its own: what wakes one must not wake the other.
                    Wish::Entry => format!("{{{}}}:{port}", names[0]),
                    Wish::Message => format!("channel:{port}"),
                };
                waiters.push(Waiter::start((place, range), port, wish, name, cluster.form)?);
                Ok::<(), String>(())
            };
            at(owner, Wish::Element)?;
            at(owner, Wish::Message)?;
            for replica in cluster.replicas(owner)? {
                at(replica, Wish::Entry)?;
                at(replica, Wish::Message)?;
            }
        }
        wait("clients do not wait", PATIENCE, || {
            for node in &cluster.nodes {
                if node.connect()?.info_number("clients", "blocked_clients")? != 1 {
                    return Err(format!("none is blocked at {}", node.name()));
                }
            }
            Ok(true)
        })?;
        Ok(Self(waiters))
    }

    /// Looks at all, wakes those that should wait still, and says what was wrong.
    pub fn end(mut self, cluster: &Cluster, leaver: usize) -> Result<Cut, String> {
        let mut cut = Cut::default();
        for waiter in &mut self.0 {
            if waiter.place == leaver {
                waiter.judge_end(&mut cut);
                continue;
            }
            let heard = waiter.hear(GLANCE);
            if heard != Heard::Nothing {
                eprintln!("waits for {} at a server that stays: {heard:?}", waiter.name);
                cut.wrongly += 1;
            } else if cluster.nodes[waiter.place].answers() && !waiter.is_woken(cluster)? {
                eprintln!("waits for {} and is not woken", waiter.name);
                cut.wrongly += 1;
            }
        }
        for waiter in self.0.into_iter().filter(|waiter| waiter.wish != Wish::Message) {
            cluster.remove(waiter.range, &[waiter.name])?;
        }
        Ok(cut)
    }
}

impl Waiter {
    fn start(
        (place, range): (usize, usize),
        port: u16,
        wish: Wish,
        name: String,
        form: Form,
    ) -> Result<Self, String> {
        let problem = |error: std::io::Error| format!("port {port}: {error}");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(problem)?;
        let mut requests = Vec::new();
        match wish {
            Wish::Element => write_request(&mut requests, &["BLPOP", &name, "0"]),
            Wish::Message => write_request(&mut requests, &["SUBSCRIBE", &name]),
            Wish::Entry => {
                if form == Form::Cluster {
                    write_request(&mut requests, &["READONLY"]);
                }
                write_request(&mut requests, &["XREAD", "BLOCK", "0", "STREAMS", &name, "$"]);
            }
        }
        stream.write_all(&requests).map_err(problem)?;
        let mut waiter = Self { place, range, wish, name, stream };
        let expected = match wish {
            Wish::Element => None,
            Wish::Message => Some(waiter.name.clone()),
            Wish::Entry => (form == Form::Cluster).then(|| "OK".to_owned()),
        };
        if let Some(expected) = expected {
            let heard = waiter.hear(PATIENCE);
            if !matches!(&heard, Heard::Text(text) if text.contains(&expected)) {
                return Err(format!("port {port}: a client that is to wait hears {heard:?}"));
            }
        }
        Ok(waiter)
    }

    fn hear(&mut self, patience: Duration) -> Heard {
        let mut bytes = [0; 1024];
        if self.stream.set_read_timeout(Some(patience)).is_err() {
            return Heard::Reset;
        }
        match self.stream.read(&mut bytes) {
            Ok(0) => Heard::Closed,
            Ok(count) => Heard::Text(String::from_utf8_lossy(&bytes[..count]).into_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Heard::Nothing
            }
            Err(_) => Heard::Reset,
        }
    }

    /// Its server has ended: the connection is closed, and an element was answered before.
    fn judge_end(&mut self, cut: &mut Cut) {
        let (mut is_told, began) = (false, Instant::now());
        loop {
            match self.hear(PATIENCE) {
                Heard::Text(_) if began.elapsed() < PATIENCE => is_told = true,
                Heard::Closed => break,
                heard => {
                    eprintln!("waits for {} at the server that ended: {heard:?}", self.name);
                    cut.wrongly += 1;
                    return;
                }
            }
        }
        cut.untold += u64::from(self.wish == Wish::Element && !is_told);
    }

    /// Whether it gets what it waits for.
    fn is_woken(&mut self, cluster: &Cluster) -> Result<bool, String> {
        let node = match self.wish {
            Wish::Message => self.place,
            Wish::Element | Wish::Entry => cluster.owner(self.range)?,
        };
        let words: &[&str] = match self.wish {
            Wish::Element => &["RPUSH", &self.name, "woken"],
            Wish::Entry => &["XADD", &self.name, "*", "woken", "yes"],
            Wish::Message => &["PUBLISH", &self.name, "woken"],
        };
        cluster.nodes[node].ask(words)?;
        let heard = self.hear(PATIENCE);
        Ok(matches!(heard, Heard::Text(text) if text.contains("woken")))
    }
}
