//! A connection of a courier. It waits for its target until the time is over, or until the courier
//! is let go.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use shards::effects::handover::{Failure, Target};

use crate::reactor::clock::Monotonic;
use crate::reactor::streams::{Stream, Tried};
use crate::reactor::system::names;
use crate::reactor::wake::{Awaited, Wake};

/// Bytes of a reply that are kept: longer ones are cut.
const LINE_BYTES_MAX: usize = 1024;
/// Milliseconds for which what was sent may stay unacknowledged.
const SILENCE_MILLIS: u32 = 60_000;
const READ_BYTES: usize = 16 << 10;

/// What a courier is told while it waits for its target.
pub trait Orders {
    /// What wakes it.
    fn wake(&self) -> &Wake;
    /// Whether it is let go.
    fn are_withdrawn(&mut self) -> bool;
}

/// A connection to a target.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// The target knows who this is.
    pub is_known: bool,
    /// The database that is selected; `None` if that was not said.
    pub db: Option<i64>,
    /// What has come of a line that is not complete.
    line: Vec<u8>,
}

/// A reply.
#[derive(Debug)]
pub enum Line {
    /// It is done.
    Fine,
    /// It is not, for this reason.
    Error(Vec<u8>),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// That there is no connection when the time is over.
    pub fn open(
        target: &Target,
        due: Monotonic,
        orders: &mut impl Orders,
    ) -> Result<Self, Failure> {
        let addresses = resolve(target, due, orders)?;
        let mut failure = Failure::Connecting;
        for address in addresses {
            let Ok(stream) = Stream::connect(address, SILENCE_MILLIS) else { continue };
            loop {
                let left = time_left(due, orders).ok_or(Failure::Connecting)?;
                match stream.is_connected() {
                    Ok(true) => {
                        return Ok(Self { stream, is_known: false, db: None, line: Vec::new() });
                    }
                    Ok(false) => {}
                    // So Valkey calls it, which finds out when it writes.
                    Err(_) => {
                        failure = Failure::Writing;
                        break;
                    }
                }
                let wait = orders.wake().wait([Awaited::Writable(stream.as_fd())], left);
                wait.map_err(|_| Failure::Connecting)?;
            }
        }
        Err(failure)
    }

    /// Whether it can be used once more: the target has neither ended it nor said anything.
    pub fn is_at_rest(&self) -> bool {
        self.line.is_empty() && self.stream.is_at_rest()
    }

    /// Sends requests, and takes so many replies, each of which is a line.
    ///
    /// # Errors
    /// What `take` says; or that something was not sent or read when the connection ended, or the
    /// time.
    pub fn exchange(
        &mut self,
        mut requests: &[u8],
        replies: usize,
        due: Monotonic,
        orders: &mut impl Orders,
        mut take: impl FnMut(Line) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if 0 < replies && !self.is_at_rest() {
            // Whose reply that is, nothing tells.
            return Err(Failure::Reading);
        }
        let mut left = replies;
        let mut bytes = vec![0; READ_BYTES];
        while 0 < left {
            let broken = if requests.is_empty() { Failure::Reading } else { Failure::Writing };
            let Some(patience) = time_left(due, orders) else { return Err(broken) };
            let read = match self.stream.read(&mut bytes) {
                Tried::Moved(len) => len,
                Tried::Later => 0,
                Tried::Over => return Err(broken),
            };
            for &byte in &bytes[..read] {
                // What comes behind the last reply stays, so the connection is not used again.
                if byte != b'\n' || left == 0 {
                    if self.line.len() < LINE_BYTES_MAX {
                        self.line.push(byte);
                    }
                    continue;
                }
                left -= 1;
                take(read_line(&std::mem::take(&mut self.line)).ok_or(Failure::Reading)?)?;
            }
            let written = match self.stream.write_some(requests) {
                Tried::Moved(len) => len,
                Tried::Later => 0,
                Tried::Over => return Err(broken),
            };
            requests = &requests[written..];
            if left == 0 || 0 < read + written {
                continue;
            }
            let fd = self.stream.as_fd();
            let write = (!requests.is_empty()).then_some(Awaited::Writable(fd));
            let awaited = [Awaited::Readable(fd)].into_iter().chain(write);
            orders.wake().wait(awaited, patience).map_err(|_| broken)?;
        }
        Ok(())
    }
}

/// What a line says; `None` if it is no reply to what was asked.
fn read_line(line: &[u8]) -> Option<Line> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.split_first()? {
        (b'+', _) => Some(Line::Fine),
        (b'-', text) => Some(Line::Error(text.to_vec())),
        (_, _) => None,
    }
}

/// How long there is still; `None` if the time is over, or the courier is let go.
fn time_left(due: Monotonic, orders: &mut impl Orders) -> Option<Duration> {
    let left = Monotonic::now().until(due);
    (!left.is_zero() && !orders.are_withdrawn()).then_some(left)
}

/// The addresses of a target.
fn resolve(
    target: &Target,
    due: Monotonic,
    orders: &mut impl Orders,
) -> Result<Vec<SocketAddr>, Failure> {
    let host = str::from_utf8(&target.host).map_err(|_| Failure::Connecting)?.to_owned();
    let port = target.port;
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let told = names::look_up(host, port, orders.wake().clone());
    let told = told.map_err(|_| Failure::Connecting)?;
    loop {
        let left = time_left(due, orders).ok_or(Failure::Connecting)?;
        match told.try_recv() {
            Ok(found) => return found.map_err(|_| Failure::Connecting),
            Err(TryRecvError::Disconnected) => return Err(Failure::Connecting),
            Err(TryRecvError::Empty) => {}
        }
        orders.wake().wait([], left).map_err(|_| Failure::Connecting)?;
    }
}
