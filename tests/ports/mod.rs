//! Ports for servers under test.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first port that is taken, and how many there are. None of those that the system gives to
/// clients that connect, nor of those 10000 above, which are for the bus of a cluster.
const FIRST: u32 = 10_000;
const PORTS: u32 = 10_000;

/// What says to other tests that a port is taken, for as long as this process lives.
static TAKEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port that no process uses now, and no other test will.
pub fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Tests of several processes begin at different ones.
        let number = std::process::id() * 97 + ASKED.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + number % PORTS).expect("it is below 2^16");
        let name = format!("keylane-test-port-{port}");
        let address = SocketAddr::from_abstract_name(name).expect("the name is short");
        let Ok(taken) = UnixListener::bind_addr(&address) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            TAKEN.lock().expect("no holder panics").push(taken);
            return port;
        }
    }
}
