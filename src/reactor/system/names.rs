//! Names of other machines, each looked up by a thread of its own: the system may take its time.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, channel};
use std::thread::Builder;

use crate::reactor::allocator;
use crate::reactor::wake::Wake;

/// What has come of it, once it has.
pub type Found = Receiver<io::Result<Vec<SocketAddr>>>;

/// Has the addresses of a name looked up, and rings when they are there. It may be given up: then
/// the answer goes nowhere.
///
/// # Errors
/// The system's, if it has no room for a thread.
pub fn look_up(host: String, port: u16, rings: Wake) -> io::Result<Found> {
    let (answers, answer) = channel();
    let work = move || {
        allocator::share_counter();
        let found = (host.as_str(), port).to_socket_addrs();
        let _ = answers.send(found.map(Iterator::collect));
        rings.ring();
    };
    Builder::new().name("resolve".to_owned()).spawn(work)?;
    Ok(answer)
}
