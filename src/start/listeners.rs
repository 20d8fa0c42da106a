//! The sockets that the server listens on.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use crate::cluster::frame::header::BUS_PORT_BEHIND;
use crate::config::table::Config;
use crate::control::clustering::settings::bus_port;
use crate::log;
use crate::process::listening::{addresses, errno, is_missing, warn};
use crate::reactor::clock::Monotonic;
use crate::reactor::sockets;
use crate::start::{Failure, plain};

/// How long an address may stay in use before that is taken for another process's doing.
const IN_USE_MILLIS: u64 = 200;
/// Scrapes that may wait to be accepted.
const METRICS_BACKLOG: i32 = 64;
/// The greatest port for clients that leaves one for the bus.
const CLIENT_PORT_MAX: u16 = u16::MAX - BUS_PORT_BEHIND;
const BUS_PORT: &str = "Valkey port number too high. Cluster communication port is 10,000 port \
    numbers higher than your Valkey port. Your Valkey port number must be 55535 or less.";
const IN_USE_PAUSE: Duration = Duration::from_millis(5);

/// Listening sockets.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For addresses of the network.
    pub tcp: Vec<OwnedFd>,
    /// On this machine only.
    pub unix: Option<OwnedFd>,
    /// For readers of the metrics.
    pub metrics: Vec<OwnedFd>,
    /// For other nodes of a cluster.
    pub bus: Vec<OwnedFd>,
}

impl Listeners {
    /// Listens on everything that the configuration names; `unix_socket` is its absolute path.
    ///
    /// # Errors
    /// If any of it cannot be had, or there is nothing to listen on.
    pub fn open(config: &Config, unix_socket: Option<&Path>) -> Result<Self, Failure> {
        let backlog = i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX);
        let mut listeners = Self::default();
        if config.port != 0 {
            warn_of_small_backlog(config.tcp_backlog);
            listeners.tcp = listen_tcp(&config.bind, config.port, backlog)?;
        }
        if let Some(path) = unix_socket {
            let permissions = Some(config.unixsocketperm).filter(|&permissions| permissions != 0);
            let socket = sockets::listen_unix(path, permissions, backlog).map_err(|error| {
                let (path, error) = (path.display(), plain(&error));
                Failure::Log(format!(
                    "Failed opening Unix socket: bind: {error}. Choose another place than {path} \
                     by `unixsocket`, or make its folder writable."
                ))
            })?;
            listeners.unix = Some(socket);
        }
        if listeners.tcp.is_empty() && listeners.unix.is_none() {
            let text = "Configured to not listen anywhere, exiting. Set `port` and `bind`, or \
                `unixsocket`.";
            return Err(Failure::Log(text.into()));
        }
        if config.metrics_port != 0 {
            listeners.metrics =
                listen_tcp(&config.metrics_bind, config.metrics_port, METRICS_BACKLOG)?;
        }
        if config.cluster_enabled && !config.is_topology_external() {
            if config.cluster_port == 0 && CLIENT_PORT_MAX < config.port {
                return Err(Failure::Log(BUS_PORT.into()));
            }
            listeners.bus = listen_tcp(&config.bind, bus_port(config), backlog)?;
        }
        Ok(listeners)
    }
}

fn listen_tcp(bind: &[String], port: u16, backlog: i32) -> Result<Vec<OwnedFd>, Failure> {
    let mut listening = Vec::new();
    for address in bind {
        let name = address.strip_prefix('-').unwrap_or(address);
        match listen(name, port, backlog) {
            Ok(socket) => listening.push(socket),
            Err(error) => {
                warn(name, port, &error);
                if !(address.starts_with('-') && is_missing(&error)) {
                    return Err(Failure::Log(format!(
                        "Failed listening on port {port} (tcp), aborting. {}",
                        advice(&error)
                    )));
                }
            }
        }
    }
    Ok(listening)
}

fn listen(name: &str, port: u16, backlog: i32) -> io::Result<OwnedFd> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "Name or service not known");
    for address in addresses(name, port)? {
        match retry_in_use(|| sockets::listen_tcp(address, backlog)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Tries again for a while if the address is in use. A process of several threads that was killed
/// takes some milliseconds to end, and with them go its sockets: one that is started meanwhile, by
/// a script that does not wait for the end, should not fail (1 of 100 did, measured). After the end
/// of a process nothing is in use any more.
#[expect(clippy::disallowed_methods, reason = "the kernel does not say when an address is free")]
fn retry_in_use(mut listen: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let start = Monotonic::now();
    loop {
        match listen() {
            Err(error)
                if errno(&error) == Errno::EADDRINUSE
                    && Monotonic::now().millis_since(start) < IN_USE_MILLIS =>
            {
                std::thread::sleep(IN_USE_PAUSE);
            }
            listening => return listening,
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match errno(error) {
        Errno::EADDRINUSE => "End the process that uses the port, or choose another `port`.",
        Errno::EACCES => "Choose a `port` above 1023, or allow the process to take this one.",
        _ => "Name addresses of this machine in `bind`, with `-` before one that may be missing.",
    }
}

fn warn_of_small_backlog(backlog: u32) {
    // Where it cannot be read, nothing is known to be wrong.
    let text = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if let Ok(allowed) = text.trim().parse::<u32>()
        && allowed < backlog
    {
        log::warning(&format!(
            "WARNING: The TCP backlog setting of {backlog} cannot be enforced because \
             /proc/sys/net/core/somaxconn is set to the lower value of {allowed}."
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_may_be_missing_is_left_out() {
        // 192.0.2.0/24 is for examples in documents: no machine has it.
        let bind = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            listen_tcp(&names, 0, 1).map(|listening| listening.len())
        };
        assert_eq!(bind(&["127.0.0.1", "-192.0.2.1"]).ok(), Some(1));
        assert!(bind(&["127.0.0.1", "192.0.2.1"]).is_err());
        assert_eq!(bind(&[]).ok(), Some(0));
    }
}
