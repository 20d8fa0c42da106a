//! Sockets that never block, for the few connections that a thread serves beside its own work.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
#[expect(clippy::disallowed_types, reason = "this is where sockets live")]
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::TcpStreamExt;

use crate::reactor::sockets::begin_to_connect;

/// A listening socket that does not wait for connections.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// A connection that waits neither for bytes nor for room.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "this is where sockets live")]
pub struct Stream(TcpStream);

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// So many bytes were read or written, at least one.
    Moved(usize),
    /// Nothing can be done now.
    Later,
    /// The other end is gone, or has said all it had to say.
    Over,
}

impl Listener {
    /// Takes over a socket that listens.
    ///
    /// # Errors
    /// The system's, if it cannot be made to not block.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// The next connection; `None` if there is none now.
    ///
    /// # Errors
    /// The system's, for want of descriptors as a rule.
    pub fn accept(&self) -> io::Result<Option<Stream>> {
        match self.0.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(Some(Stream(stream)))
            }
            Err(error) if is_passing(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Stream {
    /// Has the system acknowledge now what has come, instead of waiting until something is sent. A
    /// peer that sends small pieces without `TCP_NODELAY` waits for that before the next one
    /// (RFC 896), and a system may take 40 ms to acknowledge by itself.
    pub fn acknowledge(&self) {
        // What cannot be set costs latency.
        let _ = self.0.set_quickack(true);
    }

    /// Takes over a connection.
    ///
    /// # Errors
    /// The system's, if it cannot be made to not block.
    #[expect(clippy::disallowed_types, reason = "this is where sockets live")]
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(Self(stream))
    }

    /// Begins to connect; [`Self::is_connected`] says when it is done. The system gives the
    /// connection up when the peer has not acknowledged for `silence_millis` what was sent.
    ///
    /// # Errors
    /// The system's, if there is no way.
    pub fn connect(address: SocketAddr, silence_millis: u32) -> io::Result<Self> {
        Self::new(begin_to_connect(address, silence_millis)?)
    }

    /// Whether it is connected by now.
    ///
    /// # Errors
    /// Why it will not be.
    pub fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The connection, for a ring: its requests wait by themselves.
    ///
    /// # Errors
    /// The system's, if it cannot be made to block.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        self.0.set_nonblocking(false)?;
        Ok(self.0.into())
    }

    /// Ends the connection both ways, for all who have a descriptor of it.
    pub fn end(&self) {
        // Who is gone need not be told.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Reads what is there.
    pub fn read(&mut self, into: &mut [u8]) -> Tried {
        tried(self.receive(into))
    }

    /// Writes as much as there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> Tried {
        tried(self.send(bytes))
    }

    /// Whether nothing has come that was not read, and the other end has not closed.
    pub fn is_at_rest(&self) -> bool {
        matches!(passing(self.0.peek(&mut [0])), Ok(None))
    }

    /// The same as [`Self::write`]; there may be nothing to write.
    pub fn write_some(&mut self, bytes: &[u8]) -> Tried {
        if bytes.is_empty() { Tried::Later } else { self.write(bytes) }
    }

    /// Reads what is there: `None` if that is nothing now, 0 bytes if the other end has said all.
    ///
    /// # Errors
    /// How the connection has ended.
    pub fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        passing(self.0.read(into))
    }

    /// Writes as much as there is room for: `None` if that is none now.
    ///
    /// # Errors
    /// How the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        passing(self.0.write(bytes))
    }

    /// Says that nothing more will be written.
    pub fn end_writing(&self) {
        // Who is gone need not be told.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn tried(result: io::Result<Option<usize>>) -> Tried {
    match result {
        Ok(Some(0)) | Err(_) => Tried::Over,
        Ok(Some(bytes)) => Tried::Moved(bytes),
        Ok(None) => Tried::Later,
    }
}

fn passing(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Err(error) if is_passing(error.kind()) => Ok(None),
        result => result.map(Some),
    }
}

/// Whether trying again later may help: nothing is there, a signal came, or a client went away
/// before it was accepted.
fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::sockets::{listen_tcp, local};

    /// Tries until something comes of it.
    fn patiently(mut attempt: impl FnMut() -> Tried) -> Tried {
        loop {
            match attempt() {
                Tried::Later => std::thread::yield_now(),
                tried => return tried,
            }
        }
    }

    #[test]
    fn nothing_waits_and_the_end_is_seen() {
        let socket = listen_tcp("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = local(&socket).unwrap();
        let listener = Listener::new(socket).unwrap();
        assert!(listener.accept().unwrap().is_none());
        #[expect(clippy::disallowed_types, reason = "the other end of the socket under test")]
        let mut client = TcpStream::connect(address).unwrap();
        let mut stream = loop {
            if let Some(stream) = listener.accept().unwrap() {
                break stream;
            }
        };
        let mut bytes = [0; 8];
        assert_eq!(stream.read(&mut bytes), Tried::Later);
        client.write_all(b"hello").unwrap();
        assert_eq!(patiently(|| stream.read(&mut bytes)), Tried::Moved(5));
        assert_eq!(stream.write(b"all"), Tried::Moved(3));
        let much = vec![0; 1 << 20];
        while stream.write(&much) != Tried::Later {}
        drop(client);
        assert_eq!(patiently(|| stream.read(&mut bytes)), Tried::Over);
    }
}
