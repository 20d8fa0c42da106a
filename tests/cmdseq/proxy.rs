//! A proxy that plants a fault between client and server, to see that it is found.

use std::io::{self, Read, Write};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::{Shutdown, TcpListener, TcpStream};
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
    /// The client sees a close instead of replies, once it has half-closed behind this text.
    CutsHalfClosed(&'static str),
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
    let (request, reply) = match fault {
        Fault::Request(from, to) => (Some((from, to)), None),
        Fault::Reply(from, to) => (None, Some((from, to))),
        Fault::None | Fault::KeepsOpen | Fault::CutsHalfClosed(_) => (None, None),
    };
    let back = to_client.try_clone()?;
    thread::Builder::new().spawn(move || {
        copy(from_client, &to_server, request, |bytes, mut client| match fault {
            Fault::CutsHalfClosed(text) if find(bytes, text).is_some() => {
                // No reply gets ahead of the half-close: the server has not got the requests.
                let _ = client.read_to_end(bytes);
                let _ = back.shutdown(Shutdown::Both);
            }
            _ => {}
        });
        if fault == Fault::KeepsOpen {
            // Forgotten, it stays open: the other thread has it, too.
            std::mem::forget(to_server);
        } else {
            let _ = to_server.shutdown(Shutdown::Write);
        }
    })?;
    thread::Builder::new().spawn(move || {
        copy(from_server, &to_client, reply, |_, _| {});
        let _ = to_client.shutdown(Shutdown::Both);
    })?;
    Ok(())
}

/// Copies until either side ends, and replaces a text once. What was read is seen before.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
fn copy(
    mut from: TcpStream,
    mut to: &TcpStream,
    mut replaced: Option<(&str, &str)>,
    see: impl Fn(&mut Vec<u8>, &TcpStream),
) {
    let mut chunk = [0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let mut bytes = chunk[..count].to_vec();
        see(&mut bytes, &from);
        if let Some((old, new)) = replaced
            && let Some(at) = find(&bytes, old)
        {
            bytes.splice(at..at + old.len(), new.bytes());
            replaced = None;
        }
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|part| part == text.as_bytes())
}
