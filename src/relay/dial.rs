//! A connection to a primary: its name is looked up, it is connected, written to and read from,
//! and nothing of that makes the relay wait.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::Builder;

use crate::process::plain;
use crate::reactor::streams::{Stream, Tried};
use crate::reactor::wake::{Awaited, Wake};
use crate::replication::address::Address;
use crate::replication::link::events::Generation;

/// Milliseconds for which what was sent may stay unacknowledged. Acknowledgements are sent each
/// second, so a primary that is gone is noticed in that time.
const SILENCE_MILLIS: u32 = 5000;
const NO_ADDRESS: &str = "its name has no address";

/// A connection, or one that is to be.
#[derive(Debug)]
pub struct Dial {
    /// The attempt that it belongs to.
    pub generation: Generation,
    state: State,
    /// What is to be written.
    out: Vec<u8>,
    is_full: bool,
}

#[derive(Debug)]
enum State {
    /// Its name is being looked up.
    Resolving(Receiver<Result<Vec<SocketAddr>, String>>, Arc<Wake>),
    /// A socket, and addresses to try if it cannot be connected.
    Open { stream: Stream, is_connected: bool, others: Vec<SocketAddr> },
}

impl Dial {
    /// Begins to connect.
    ///
    /// # Errors
    /// Why there is no way.
    pub fn begin(generation: Generation, primary: &Address) -> Result<Self, String> {
        let Address { host, port } = primary;
        let state = match host.parse::<IpAddr>() {
            Ok(ip) => connect(vec![SocketAddr::new(ip, *port)])?,
            Err(_) => resolve(host.clone(), *port).map_err(|error| plain(&error))?,
        };
        Ok(Self { generation, state, out: Vec::new(), is_full: false })
    }

    /// Goes on to connect. True when it has just been connected.
    ///
    /// # Errors
    /// Why it will not be.
    pub fn go_on(&mut self) -> Result<bool, String> {
        if let State::Resolving(answer, _) = &self.state {
            match answer.try_recv() {
                Ok(addresses) => self.state = connect(addresses?)?,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(NO_ADDRESS.to_owned()),
            }
        }
        let State::Open { stream, is_connected, others } = &mut self.state else {
            return Ok(false);
        };
        if *is_connected {
            return Ok(false);
        }
        match stream.is_connected() {
            Ok(connected) => *is_connected = connected,
            Err(error) if others.is_empty() => return Err(plain(&error)),
            Err(_) => {
                let others = std::mem::take(others);
                self.state = connect(others)?;
                return Ok(false);
            }
        }
        Ok(*is_connected)
    }

    /// Writes this as soon as there is room.
    pub fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes what there is room for. False if the connection has ended.
    pub fn write(&mut self) -> bool {
        let State::Open { stream, is_connected: true, .. } = &mut self.state else { return true };
        self.is_full = false;
        while !self.out.is_empty() {
            match stream.write(&self.out) {
                Tried::Moved(bytes) => drop(self.out.drain(..bytes)),
                Tried::Later => {
                    self.is_full = true;
                    return true;
                }
                Tried::Over => return false,
            }
        }
        true
    }

    /// Reads what has come.
    pub fn read(&mut self, into: &mut [u8]) -> Tried {
        match &mut self.state {
            State::Open { stream, is_connected: true, .. } => stream.read(into),
            State::Resolving(..) | State::Open { .. } => Tried::Later,
        }
    }

    /// What is waited for; bytes only if they are wanted.
    pub fn awaited(&self, reads: bool) -> impl Iterator<Item = Awaited<'_>> {
        let (read, write) = match &self.state {
            State::Resolving(_, news) => (Some(Awaited::Readable(news.fd())), None),
            State::Open { stream, is_connected: false, .. } => {
                (None, Some(Awaited::Writable(stream.as_fd())))
            }
            State::Open { stream, .. } => {
                let read = reads.then(|| Awaited::Readable(stream.as_fd()));
                (read, self.is_full.then(|| Awaited::Writable(stream.as_fd())))
            }
        };
        [read, write].into_iter().flatten()
    }

    /// Shuts it, whatever it is at.
    pub fn end(self) {
        if let State::Open { stream, .. } = self.state {
            stream.end();
        }
    }
}

/// Begins to connect to the first of these to which there is a way.
fn connect(addresses: Vec<SocketAddr>) -> Result<State, String> {
    let mut others = addresses;
    let mut why = NO_ADDRESS.to_owned();
    while !others.is_empty() {
        match Stream::connect(others.remove(0), SILENCE_MILLIS) {
            Ok(stream) => return Ok(State::Open { stream, is_connected: false, others }),
            Err(error) => why = plain(&error),
        }
    }
    Err(why)
}

/// Has a name looked up by a thread of its own: the system may take its time.
fn resolve(host: String, port: u16) -> io::Result<State> {
    let (answers, answer) = channel();
    let news = Arc::new(Wake::new()?);
    let rings = Arc::clone(&news);
    let work = move || {
        let found = (host.as_str(), port).to_socket_addrs();
        let found = found.map(Iterator::collect).map_err(|error| plain(&error));
        // An attempt that was given up wants no answer.
        let _ = answers.send(found);
        rings.ring();
    };
    Builder::new().name("resolve".to_owned()).spawn(work)?;
    Ok(State::Resolving(answer, news))
}
