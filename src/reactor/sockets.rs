//! Listening and connected sockets: options, addresses, and errors that say what to do.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    self, AddressFamily, Backlog, MsgFlags, Shutdown, SockFlag, SockType, SockaddrStorage,
    UnixAddr, bind, getpeername, getsockname, setsockopt, sockopt,
};
use nix::sys::stat::{Mode, fchmod};

/// A TCP socket that listens on `address`. An IPv6 socket serves IPv6 only, so that `*` and `::*`
/// can both be bound, as in Valkey.
///
/// # Errors
/// The system's.
pub fn listen_tcp(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    listen_tcp_with(address, backlog, |_| Ok(()))
}

/// The same, beside own listening sockets whose addresses are in the way: these are to be closed.
///
/// # Errors
/// The system's. Then they are as before.
pub fn listen_tcp_beside(
    address: SocketAddr,
    backlog: i32,
    own: &[&OwnedFd],
) -> io::Result<OwnedFd> {
    let share = |socket: &OwnedFd, shares| setsockopt(socket, sockopt::ReusePort, &shares);
    let listening = own.iter().try_for_each(|socket| share(socket, true)).map_err(Into::into);
    let listening = listening.and_then(|()| {
        let socket = listen_tcp_with(address, backlog, |socket| Ok(share(socket, true)?))?;
        share(&socket, false)?;
        Ok(socket)
    });
    for socket in own {
        // What cannot be set back lets other processes of this user share the address.
        let _ = share(socket, false);
    }
    listening
}

fn listen_tcp_with(
    address: SocketAddr,
    backlog: i32,
    prepare: impl FnOnce(&OwnedFd) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = stream_socket(family)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    prepare(&socket)?;
    if family == AddressFamily::Inet6 {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// A unix socket that listens at `path`, with `permissions` from the first moment if given. A
/// socket file left over from an earlier run is replaced.
///
/// # Errors
/// The system's.
pub fn listen_unix(path: &Path, permissions: Option<u32>, backlog: i32) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    // A file that is not there is no error here, and one that must stay is one for `bind`.
    let _ = fs::remove_file(path);
    let socket = stream_socket(AddressFamily::Unix)?;
    // Between bind and chmod any process could connect. The file gets the mode that the socket has
    // when it is bound, so that closes the gap; a umask would be for other threads as well.
    if permissions.is_some() {
        fchmod(&socket, Mode::from_bits_truncate(0o600))?;
    }
    bind(socket.as_raw_fd(), &address)?;
    if let Some(permissions) = permissions {
        fs::set_permissions(path, Permissions::from_mode(permissions))?;
    }
    listen(&socket, backlog)?;
    Ok(socket)
}

/// A TCP socket on its way to `address`, which does not wait. What was sent is acknowledged within
/// so many milliseconds, or the system gives the connection up.
///
/// # Errors
/// The system's, if there is no way.
pub fn begin_to_connect(address: SocketAddr, silence_millis: u32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(family, SockType::Stream, flags, None)?;
    // An option that cannot be set costs latency or late detection, never correctness.
    let _ = setsockopt(&socket, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(&socket, sockopt::TcpUserTimeout, &silence_millis);
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Prepares an accepted TCP connection: no delay, and probes after `keepalive_seconds` of silence
/// (0: none), as Valkey spaces them.
pub fn prepare_tcp(socket: &impl AsFd, keepalive_seconds: u32) {
    // An option that cannot be set costs latency or late detection, never correctness.
    let _ = setsockopt(socket, sockopt::TcpNoDelay, &true);
    if 0 < keepalive_seconds {
        let _ = setsockopt(socket, sockopt::KeepAlive, &true);
        let _ = setsockopt(socket, sockopt::TcpKeepIdle, &keepalive_seconds);
        let _ = setsockopt(socket, sockopt::TcpKeepInterval, &(keepalive_seconds / 3).max(1));
        let _ = setsockopt(socket, sockopt::TcpKeepCount, &3);
    }
}

/// Has the system give a connection up when the peer has not acknowledged for so many milliseconds
/// what was sent.
pub fn give_up_after(socket: &impl AsFd, silence_millis: u32) {
    // An option that cannot be set costs late detection, never correctness.
    let _ = setsockopt(socket, sockopt::TcpUserTimeout, &silence_millis);
}

/// The other end of a connection; `None` for a unix socket.
pub fn peer(socket: &impl AsFd) -> Option<SocketAddr> {
    address(getpeername(socket.as_fd().as_raw_fd()))
}

/// Our end of a connection; `None` for a unix socket.
pub fn local(socket: &impl AsFd) -> Option<SocketAddr> {
    address(getsockname(socket.as_fd().as_raw_fd()))
}

fn address(name: nix::Result<SockaddrStorage>) -> Option<SocketAddr> {
    let name = name.ok()?;
    let v4 = name.as_sockaddr_in().map(|&v4| SocketAddr::V4(v4.into()));
    v4.or_else(|| name.as_sockaddr_in6().map(|&v6| SocketAddr::V6(v6.into())))
}

/// Writes `bytes` to a socket that is about to be closed, as far as it takes them at once.
pub fn send_now(socket: &OwnedFd, bytes: &[u8]) {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let _ = socket::send(socket.as_raw_fd(), bytes, flags);
}

/// Sends as much of `bytes` as the socket takes at once, which is nothing if it has no room.
///
/// # Errors
/// The system's: the peer takes no more.
pub fn send_some(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    match socket::send(socket.as_raw_fd(), bytes, flags) {
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        sent => Ok(sent?),
    }
}

/// Waits until one of these sockets has room or has failed, or the time is over. Signals end it
/// early.
pub fn wait_for_room<'s>(sockets: impl Iterator<Item = &'s OwnedFd>, millis: u64) {
    let mut polled: Vec<_> =
        sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLOUT)).collect();
    let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
    // The caller tries each of them anyway.
    let _ = poll(&mut polled, timeout);
}

/// Says to the peer that nothing more will be sent. What it sends can still be received.
pub fn shut_sending(socket: &OwnedFd) {
    // A peer that is gone need not be told.
    let _ = socket::shutdown(socket.as_raw_fd(), Shutdown::Write);
}

/// Ends both directions, also if another process holds the descriptor.
pub fn shut(socket: &OwnedFd) {
    let _ = socket::shutdown(socket.as_raw_fd(), Shutdown::Both);
}

/// Bytes that would be lost if the connection were reset now: those that the peer's system has not
/// acknowledged, of which the end of the stream is one. What is sent by a unix socket is the
/// peer's at once.
pub fn unacknowledged(socket: &OwnedFd) -> u64 {
    if local(socket).is_none() { 0 } else { untaken(socket) }
}

/// Bytes that were sent and that the peer has not taken: its system, or, from a unix socket, the
/// peer itself.
pub fn untaken(socket: &OwnedFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int, a local variable.
    unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    u64::try_from(bytes).unwrap_or(0)
}

fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?)
}

/// Listens. A backlog above the system's usual bound is the largest that the system allows.
fn listen(socket: &OwnedFd, backlog: i32) -> io::Result<()> {
    let backlog = Backlog::new(backlog.max(0)).unwrap_or(Backlog::MAXALLOWABLE);
    Ok(socket::listen(socket, backlog)?)
}
