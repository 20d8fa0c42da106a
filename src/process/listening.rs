//! The addresses that clients connect to, and how CONFIG SET changes them.
//!
//! The first shard accepts, control opens. A change opens what is new before anything is closed:
//! if that fails nothing has changed. What was listened on before and still is stays open.

use std::fs::{self, Metadata};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::config::table::Config;
use crate::log;
use crate::process::plain;
use crate::reactor::own_path::OwnPath;
use crate::reactor::sockets;

/// The listening sockets of the network, as control knows them: other descriptors of the sockets
/// that the first shard accepts on.
#[derive(Debug, Default)]
pub struct Listening {
    open: Vec<(SocketAddr, OwnedFd)>,
}

/// What is to change: new sockets, which listen already, and the addresses that are given up.
#[derive(Debug, Default)]
pub struct Change {
    opened: Vec<(SocketAddr, OwnedFd)>,
    closed: Vec<SocketAddr>,
    unix: Option<UnixChange>,
}

/// The unix socket changes: the new one, unless there is to be none.
type UnixChange = Option<(PathBuf, OwnedFd)>;

/// What the shard that accepts is to do: new sockets, and the addresses of those that it closes,
/// where `None` stands for the unix socket.
type Orders = (Vec<OwnedFd>, Vec<Option<SocketAddr>>);

/// What a name in `bind` led to.
enum Found {
    /// An address that is listened on before and after.
    Open(SocketAddr),
    /// A new socket.
    New(SocketAddr, OwnedFd),
}

impl Listening {
    /// Of sockets that were opened at start; those of this machine only are left out.
    ///
    /// # Errors
    /// The system's, for want of descriptors.
    pub fn of(sockets: &[OwnedFd]) -> io::Result<Self> {
        let with_address = sockets.iter().filter_map(|it| Some((sockets::local(it)?, it)));
        let open = with_address.map(|(address, socket)| Ok((address, socket.try_clone()?)));
        Ok(Self { open: open.collect::<io::Result<_>>()? })
    }

    /// Opens what the configuration names and is not open. `None` if some of it cannot be had, for
    /// a reason that was logged: then everything is as before.
    pub fn prepare(&self, config: &Config, unix_socket: Option<&Path>) -> Option<Change> {
        let mut change = self.prepare_tcp(config)?;
        let path = absolute(&config.unixsocket);
        if path.as_deref() != unix_socket {
            change.unix = Some(match path {
                None => None,
                Some(path) => Some(open_unix(path, config)?),
            });
        }
        Some(change)
    }

    fn prepare_tcp(&self, config: &Config) -> Option<Change> {
        let backlog = i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX);
        let bind = if config.port == 0 { &[][..] } else { &config.bind };
        let (mut kept, mut opened) = (Vec::new(), Vec::new());
        for address in bind {
            let name = address.strip_prefix('-').unwrap_or(address);
            match self.find(name, config.port, backlog) {
                Ok(Found::Open(address)) => kept.push(address),
                Ok(Found::New(address, socket)) => opened.push((address, socket)),
                Err(error) => {
                    warn(name, config.port, &error);
                    if !(address.starts_with('-') && is_missing(&error)) {
                        return None;
                    }
                }
            }
        }
        // Sockets share an address only until the old one is closed.
        let stays = |address: &SocketAddr| {
            let others = kept.iter().chain(opened.iter().map(|(other, _)| other));
            others.filter(|other| overlap(other, address)).count()
        };
        if let Some((address, _)) = opened.iter().find(|(address, _)| 1 < stays(address)) {
            warn(&address.ip().to_string(), config.port, &Errno::EADDRINUSE.into());
            return None;
        }
        let closed = self.open.iter().map(|(address, _)| *address);
        let closed = closed.filter(|address| !kept.contains(address)).collect();
        Some(Change { opened, closed, unix: None })
    }

    /// Puts a change in force here, and says what the shard that accepts is to do.
    ///
    /// # Errors
    /// The system's, for want of descriptors: then nothing has changed.
    pub fn commit(&mut self, change: Change, file: &OwnPath) -> io::Result<Orders> {
        let Change { opened, closed, unix } = change;
        let copies = opened.iter().map(|(_, socket)| socket.try_clone());
        let mut copies = copies.collect::<io::Result<Vec<_>>>()?;
        self.open.retain(|(address, _)| !closed.contains(address));
        self.open.extend(opened);
        let mut closed: Vec<_> = closed.into_iter().map(Some).collect();
        if let Some(unix) = unix {
            let (path, socket) = unix.unzip();
            copies.extend(socket);
            if let Some(old) = file.replace(path) {
                closed.push(None);
                // An administrator may have removed it before.
                let _ = fs::remove_file(old);
            }
        }
        Ok((copies, closed))
    }

    /// Lets go of all sockets.
    pub fn close(&mut self) {
        self.open.clear();
    }

    fn find(&self, name: &str, port: u16, backlog: i32) -> io::Result<Found> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "Name or service not known");
        for address in addresses(name, port)? {
            if self.open.iter().any(|(open, _)| *open == address) {
                return Ok(Found::Open(address));
            }
            match self.listen(address, backlog) {
                Ok(socket) => return Ok(Found::New(address, socket)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Listens on an address. One that an own socket is in the way of, all addresses for one of
    /// them or the other way round, is shared with it.
    fn listen(&self, address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
        let listening = sockets::listen_tcp(address, backlog);
        let own: Vec<_> =
            self.open.iter().filter(|(open, _)| overlap(open, &address)).map(|it| &it.1).collect();
        match listening {
            Err(error) if errno(&error) == Errno::EADDRINUSE && !own.is_empty() => {
                sockets::listen_tcp_beside(address, backlog, &own)
            }
            listening => listening,
        }
    }
}

impl Change {
    /// Nothing changes after all.
    pub fn undo(self) {
        if let Some(Some((path, _))) = self.unix {
            let _ = fs::remove_file(path);
        }
    }
}

/// A unix socket in a new place. A file there is only replaced if it is a socket, too. At start the
/// operator who names the path may write there; CONFIG SET comes from a client.
fn open_unix(path: PathBuf, config: &Config) -> Option<(PathBuf, OwnedFd)> {
    let backlog = i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX);
    let permissions = Some(config.unixsocketperm).filter(|&permissions| permissions != 0);
    let is_other = |file: &Metadata| !file.file_type().is_socket();
    let opened = match fs::symlink_metadata(&path) {
        Ok(file) if is_other(&file) => Err(Errno::EEXIST.into()),
        Ok(_) | Err(_) => sockets::listen_unix(&path, permissions, backlog),
    };
    match opened {
        Ok(socket) => Some((path, socket)),
        Err(error) => {
            let (path, error) = (path.display(), plain(&error));
            log::warning(&format!("Failed opening Unix socket {path}: bind: {error}"));
            None
        }
    }
}

/// `path` from the root; `None` if it is empty.
pub fn absolute(path: &Path) -> Option<PathBuf> {
    if path.as_os_str().is_empty() {
        return None;
    }
    Some(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
}

/// What a name in `bind` stands for, in the order to try.
pub fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(match name {
        "*" => vec![(Ipv4Addr::UNSPECIFIED, port).into()],
        "::*" => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        _ => {
            let mut found: Vec<_> = (name, port).to_socket_addrs()?.collect();
            found.sort_by_key(SocketAddr::is_ipv6);
            found
        }
    })
}

/// Whether the machine has no such address or no such network at all.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(
        errno(error),
        Errno::EADDRNOTAVAIL
            | Errno::EAFNOSUPPORT
            | Errno::EPFNOSUPPORT
            | Errno::ENOPROTOOPT
            | Errno::EPROTONOSUPPORT
            | Errno::ESOCKTNOSUPPORT
    )
}

/// The system's error, if it is one of the system's.
pub fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// Logs that a name cannot be listened on.
pub fn warn(name: &str, port: u16, error: &io::Error) {
    log::warning(&format!(
        "Warning: Could not create server TCP listening socket {name}:{port}: bind: {}",
        plain(error)
    ));
}

/// Whether connections to one address may be for a socket on the other.
fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    let same_net = one.is_ipv4() == other.is_ipv4() && one.port() == other.port();
    same_net && (any || one.ip() == other.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, first: &str) {
        assert_eq!(addresses(name, 7000).unwrap()[0].to_string(), first);
    }

    #[test]
    fn names_stand_for_addresses() {
        check("*", "0.0.0.0:7000");
        check("::*", "[::]:7000");
        check("::1", "[::1]:7000");
        check("10.0.0.1", "10.0.0.1:7000");
        check("localhost", "127.0.0.1:7000");
    }

    #[test]
    fn a_change_keeps_what_stays_and_opens_the_rest_first() {
        let first = sockets::listen_tcp("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let port = sockets::local(&first).unwrap().port();
        let mut listening = Listening::of(&[first]).unwrap();
        let mut change = |bind: &str| {
            let bind = bind.split(' ').map(str::to_owned).collect();
            let config = Config { bind, port, ..Config::default() };
            let change = listening.prepare(&config, None)?;
            let (opened, closed) = listening.commit(change, &OwnPath::default()).unwrap();
            Some((opened.len(), closed.len(), listening.open.len()))
        };
        assert_eq!(change("127.0.0.1"), Some((0, 0, 1)));
        assert_eq!(change("127.0.0.1 127.0.0.2"), Some((1, 0, 2)));
        assert_eq!(change("127.0.0.1 192.0.2.1"), None);
        assert_eq!(change("127.0.0.2 -192.0.2.1"), Some((0, 1, 1)));
        assert_eq!(change("127.0.0.3 127.0.0.3"), None);
        // All addresses for one of them, and back.
        assert_eq!(change("*"), Some((1, 1, 1)));
        assert_eq!(change("127.0.0.1"), Some((1, 1, 1)));
        assert_eq!(change("127.0.0.1 *"), None);
        // A socket that another process might have is not shared.
        let config = Config { bind: vec!["127.0.0.1".into()], port, ..Config::default() };
        assert!(Listening::default().prepare(&config, None).is_none());
        let config = Config { port: 0, ..Config::default() };
        assert_eq!(listening.prepare(&config, None).map(|change| change.closed.len()), Some(1));
    }
}
