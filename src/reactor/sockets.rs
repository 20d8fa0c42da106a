//! Listening and connected sockets: options, addresses, and errors that say what to do.

use std::ffi::CString;
use std::io;
use std::mem::size_of_val;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A TCP socket that listens on `address`. An IPv6 socket serves IPv6 only, so that `*` and `::*`
/// can both be bound, as in Valkey.
pub fn listen_tcp(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = stream_socket(family)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if family == libc::AF_INET6 {
        set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    match address {
        SocketAddr::V4(address) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::sa_family_t::try_from(family).expect("a small constant"),
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                sin_zero: [0; 8],
            };
            bind(&socket, &raw)?;
        }
        SocketAddr::V6(address) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::sa_family_t::try_from(family).expect("a small constant"),
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            bind(&socket, &raw)?;
        }
    }
    listen(&socket, backlog)?;
    Ok(socket)
}

/// A unix socket that listens at `path`, with `permissions` from the first moment if given. A
/// socket file left over from an earlier run is replaced.
pub fn listen_unix(path: &Path, permissions: Option<u32>, backlog: i32) -> io::Result<OwnedFd> {
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: all zeroes are a valid sockaddr_un.
    let mut raw: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    if raw.sun_path.len() <= bytes.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is too long"));
    }
    raw.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).expect("a small constant");
    for (to, from) in raw.sun_path.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let name = CString::new(bytes)?;
    // SAFETY: a valid C string. A file that is not there is no error here.
    unsafe { libc::unlink(name.as_ptr()) };
    let socket = stream_socket(libc::AF_UNIX)?;
    // Between bind and chmod anybody could connect: the mask closes that gap. Only the thread that
    // starts the process makes files at this time.
    // SAFETY: no pointers.
    let mask = permissions.map(|_| unsafe { libc::umask(0o177) });
    let bound = bind(&socket, &raw);
    if let Some(mask) = mask {
        // SAFETY: no pointers.
        unsafe { libc::umask(mask) };
    }
    bound?;
    if let Some(permissions) = permissions {
        // SAFETY: a valid C string.
        if unsafe { libc::chmod(name.as_ptr(), permissions) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    listen(&socket, backlog)?;
    Ok(socket)
}

/// Prepares an accepted TCP connection: no delay, and probes after `keepalive_seconds` of silence
/// (0: none), as Valkey spaces them.
pub fn prepare_tcp(socket: &OwnedFd, keepalive_seconds: u32) {
    // An option that cannot be set costs latency or late detection, never correctness.
    let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    if 0 < keepalive_seconds {
        let idle = i32::try_from(keepalive_seconds).unwrap_or(i32::MAX);
        let _ = set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
        let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle);
        let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (idle / 3).max(1));
        let _ = set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3);
    }
}

/// The other end of a connection; `None` for a unix socket.
pub fn peer(socket: &OwnedFd) -> Option<SocketAddr> {
    address(socket, libc::getpeername)
}

/// Our end of a connection; `None` for a unix socket.
pub fn local(socket: &OwnedFd) -> Option<SocketAddr> {
    address(socket, libc::getsockname)
}

type NameCall =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn address(socket: &OwnedFd, call: NameCall) -> Option<SocketAddr> {
    // SAFETY: all zeroes are a valid sockaddr_storage.
    let mut raw: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut len = libc::socklen_t::try_from(size_of_val(&raw)).expect("a small constant");
    // SAFETY: `raw` and `len` describe valid memory for the call to fill.
    if unsafe { call(socket.as_raw_fd(), (&raw mut raw).cast(), &mut len) } != 0 {
        return None;
    }
    match i32::from(raw.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which member the storage holds.
            let v4 = unsafe { &*(&raw const raw).cast::<libc::sockaddr_in>() };
            let ip = IpAddr::from(u32::from_be(v4.sin_addr.s_addr).to_be_bytes());
            Some(SocketAddr::new(ip, u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says which member the storage holds.
            let v6 = unsafe { &*(&raw const raw).cast::<libc::sockaddr_in6>() };
            Some(SocketAddr::new(v6.sin6_addr.s6_addr.into(), u16::from_be(v6.sin6_port)))
        }
        _ => None,
    }
}

/// Writes `bytes` to a socket that is about to be closed, as far as it takes them at once.
pub fn send_now(socket: &OwnedFd, bytes: &[u8]) {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and length are those of a slice.
    unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
}

/// Says to the peer that nothing more will be sent. What it sends can still be received.
pub fn shut_sending(socket: &OwnedFd) {
    // SAFETY: no pointers.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
}

/// Bytes that would be lost if the connection were reset now: those that the peer's system has not
/// acknowledged, of which the end of the stream is one. What is sent by a unix socket is the
/// peer's at once.
pub fn unacknowledged(socket: &OwnedFd) -> u64 {
    let (mut domain, mut bytes) = (0 as libc::c_int, 0 as libc::c_int);
    let mut len = libc::socklen_t::try_from(size_of_val(&domain)).expect("a small constant");
    let to = (&raw mut domain).cast();
    // SAFETY: pointer and length are those of a local variable.
    unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN, to, &mut len);
    }
    if domain == libc::AF_UNIX {
        return 0;
    }
    // SAFETY: the request writes one int, a local variable.
    unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    u64::try_from(bytes).unwrap_or(0)
}

fn stream_socket(family: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; the result is checked.
    let fd: RawFd = unsafe { libc::socket(family, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_option(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of_val(&value)).expect("a small constant");
    // SAFETY: pointer and length are those of a local variable.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind<A>(socket: &OwnedFd, address: &A) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of_val(address)).expect("a small structure");
    // SAFETY: `address` is one of the sockaddr structures, with its length.
    let result = unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(address).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn listen(socket: &OwnedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::listen(socket.as_raw_fd(), backlog) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
