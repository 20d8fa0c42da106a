//! A proxy that plants a fault between client and server, to see that it is found.

use std::io::{self, Read, Write};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// These bytes of the server are replaced by others, once on each connection.
    Reply(&'static str, &'static str),
    /// Likewise bytes of the client.
    Request(&'static str, &'static str),
    /// The server does not learn that the client has closed.
    KeepsOpen,
    /// The client sees a close instead of what comes behind its half-close.
    CutsHalfClosed,
}

/// Starts a proxy to `server`, which lasts as long as the process. Gives its address.
pub fn start(server: &str, fault: Fault) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let server = server.to_owned();
    thread::Builder::new().spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // A server that is gone refuses: so does the proxy.
            let _ = join(client, &server, fault);
        }
    })?;
    Ok(address)
}

#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn join(client: TcpStream, server: &str, fault: Fault) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let (from_client, to_client) = (client.try_clone()?, client);
    let (to_server, from_server) = (server.try_clone()?, server);
    let half_closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&half_closed);
    let (request, reply) = match fault {
        Fault::Request(from, to) => (Some((from, to)), None),
        Fault::Reply(from, to) => (None, Some((from, to))),
        Fault::None | Fault::KeepsOpen | Fault::CutsHalfClosed => (None, None),
    };
    let back = to_client.try_clone()?;
    thread::Builder::new().spawn(move || {
        copy(from_client, &to_server, request, || true);
        seen.store(true, Ordering::SeqCst);
        if fault == Fault::CutsHalfClosed {
            let _ = back.shutdown(Shutdown::Both);
        }
        if fault == Fault::KeepsOpen {
            // Forgotten, it stays open: the other thread has it, too.
            std::mem::forget(to_server);
        } else {
            let _ = to_server.shutdown(Shutdown::Write);
        }
    })?;
    thread::Builder::new().spawn(move || {
        let goes_on = || fault != Fault::CutsHalfClosed || !half_closed.load(Ordering::SeqCst);
        copy(from_server, &to_client, reply, goes_on);
        let _ = to_client.shutdown(Shutdown::Both);
    })?;
    Ok(())
}

/// Copies until either side ends, and replaces a text once.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn copy(
    mut from: TcpStream,
    mut to: &TcpStream,
    mut replaced: Option<(&str, &str)>,
    goes_on: impl Fn() -> bool,
) {
    let mut chunk = [0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let mut bytes = chunk[..count].to_vec();
        if let Some((old, new)) = replaced
            && let Some(at) = bytes.windows(old.len()).position(|part| part == old.as_bytes())
        {
            bytes.splice(at..at + old.len(), new.bytes());
            replaced = None;
        }
        if !goes_on() || to.write_all(&bytes).is_err() {
            return;
        }
    }
}
