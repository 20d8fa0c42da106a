//! A connection to a primary: its name is looked up, it is connected, written to and read from,
//! and nothing of that makes the relay wait.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::TryRecvError;

use crate::clients::client::Figures;
use crate::clients::leaving::Known;
use crate::mail::board::Traffic;
use crate::process::plain;
use crate::reactor::clock::Monotonic;
use crate::reactor::sockets;
use crate::reactor::streams::{Stream, Tried};
use crate::reactor::system::names::{self, Found};
use crate::reactor::wake::{Awaited, Wake};
use crate::replication::address::Address;
use crate::replication::link::events::Generation;

/// Milliseconds for which what was sent may stay unacknowledged. Acknowledgements are sent each
/// second, so a primary that is gone is noticed in that time.
const SILENCE_MILLIS: u32 = 5000;
/// Connections to primaries have ids from here on, where no client has one: those count from 1.
const IDS_MIN: u64 = 1 << 62;
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
    began: Monotonic,
    /// When the primary last sent something.
    heard: Monotonic,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Debug)]
enum State {
    /// Its name is being looked up.
    Resolving(Found, Wake),
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
        let (began, out) = (Monotonic::now(), Vec::new());
        let (heard, bytes_in, bytes_out) = (began, 0, 0);
        Ok(Self { generation, state, out, is_full: false, began, heard, bytes_in, bytes_out })
    }

    /// The connection as CLIENT LIST shows it.
    pub fn known(&self) -> Option<Known> {
        let State::Open { stream, .. } = &self.state else { return None };
        let Self { generation, began, heard, bytes_in, bytes_out, .. } = *self;
        Some(Known {
            id: IDS_MIN + generation.0,
            fd: stream.as_fd().as_raw_fd(),
            peer: sockets::peer(stream),
            local: sockets::local(stream),
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_ver: Vec::new(),
            figures: Figures {
                connected: began,
                active: heard,
                bytes_in,
                bytes_out,
                commands: 0,
                last_command: "NULL",
            },
        })
    }

    /// Goes on to connect. True when it has just been connected.
    ///
    /// # Errors
    /// Why it will not be.
    pub fn go_on(&mut self) -> Result<bool, String> {
        if let State::Resolving(answer, _) = &self.state {
            match answer.try_recv() {
                Ok(found) => self.state = connect(found.map_err(|error| plain(&error))?)?,
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
    pub fn write(&mut self, traffic: &mut Traffic) -> bool {
        let State::Open { stream, is_connected: true, .. } = &mut self.state else { return true };
        self.is_full = false;
        while !self.out.is_empty() {
            match stream.write(&self.out) {
                Tried::Moved(bytes) => {
                    self.bytes_out += bytes as u64;
                    traffic.written_to_primary(bytes);
                    self.out.drain(..bytes);
                }
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
    pub fn read(&mut self, into: &mut [u8], traffic: &mut Traffic) -> Tried {
        let State::Open { stream, is_connected: true, .. } = &mut self.state else {
            return Tried::Later;
        };
        let tried = stream.read(into);
        if let Tried::Moved(bytes) = tried {
            self.bytes_in += bytes as u64;
            traffic.read_from_primary(bytes);
            self.heard = Monotonic::now();
        }
        tried
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

    /// The connection, for a ring: its requests wait by themselves.
    ///
    /// # Errors
    /// The system's, or that there is none yet.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        match self.state {
            State::Open { stream, is_connected: true, .. } => stream.into_blocking(),
            State::Resolving(..) | State::Open { .. } => Err(ErrorKind::NotConnected.into()),
        }
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

/// Has a name looked up.
fn resolve(host: String, port: u16) -> io::Result<State> {
    let news = Wake::new()?;
    Ok(State::Resolving(names::look_up(host, port, news.clone())?, news))
}
