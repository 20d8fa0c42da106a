//! What the process is to the world around it: the files it leaves there, who supervises it, and
//! its end.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::panic;
use std::path::PathBuf;

use crate::config::choices::Supervised;
use crate::log;
use crate::reactor::signals::{self, Request};

/// The Valkey whose commands, settings and messages are followed here.
pub const VALKEY_VERSION: &str = "9.1.2";
/// Keylane's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Lets a panic in any thread end the whole process: without one shard the others would serve a
/// part of the keys, and wait for answers that never come.
pub fn end_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        tell(info);
        log::warning(&format!("Keylane crashed, this is a bug: {info}"));
        std::process::abort()
    }));
}

/// This process. Made at start, then read by any thread.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// The program, as an absolute path.
    pub executable: PathBuf,
    /// The configuration file, as an absolute path.
    pub config_file: Option<PathBuf>,
    /// The file with the process's number, absolute: removed at the end.
    pub pid_file: Option<PathBuf>,
    /// The unix socket, absolute: removed at the end.
    pub unix_socket: Option<PathBuf>,
    /// Who wants to know whether the server is ready.
    pub supervisor: Supervisor,
    /// That a signal asks for the end.
    pub ending: Request,
    /// What kinds of sockets clients come by.
    pub listens: Vec<&'static str>,
}

impl Process {
    /// Says that clients are served from now on.
    pub fn tell_ready(&self) {
        for kind in &self.listens {
            log::notice(&format!("Ready to accept connections {kind}"));
        }
        self.supervisor.tell_ready();
    }

    /// Ends the process at once but tidily, because somebody asked for it: exit status 0. The
    /// caller logs who did. The kernel closes the sockets.
    pub fn stop(&self) -> ! {
        self.supervisor.tell("STOPPING=1\n");
        self.remove_files();
        log::warning("Keylane is now ready to exit, bye bye...");
        std::process::exit(0)
    }

    /// Ends the process because it cannot go on: exit status 1.
    pub fn fail(&self, why: &str) -> ! {
        log::warning(why);
        self.supervisor.tell("STOPPING=1\n");
        self.remove_files();
        std::process::exit(1)
    }

    /// Takes away what the process left in folders.
    pub fn remove_files(&self) {
        let files = [
            ("Removing the pid file.", &self.pid_file),
            ("Removing the unix socket file.", &self.unix_socket),
        ];
        for (message, file) in files {
            if let Some(file) = file {
                log::notice(message);
                // Somebody may have removed it before.
                let _ = fs::remove_file(file);
            }
        }
    }
}

/// Who started the process and wants to know when it is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Supervisor {
    /// Nobody.
    #[default]
    None,
    /// Systemd, by datagrams to this socket; a name that begins with `@` is no file.
    Systemd(OsString),
    /// Upstart, which waits until the process stops itself once.
    Upstart,
}

impl Supervisor {
    /// Finds the one that the setting asks for by what it left in the environment, and warns if
    /// it is not there.
    pub fn find(setting: Supervised) -> Self {
        let systemd = env::var_os("NOTIFY_SOCKET").map(Self::Systemd);
        let upstart = env::var_os("UPSTART_JOB").map(|_| Self::Upstart);
        match setting {
            Supervised::No => Self::None,
            Supervised::Auto => upstart.or(systemd).unwrap_or_default(),
            Supervised::Systemd => systemd.unwrap_or_else(|| {
                log::warning("systemd supervision error: NOTIFY_SOCKET not found!");
                Self::None
            }),
            Supervised::Upstart => upstart.unwrap_or_else(|| {
                log::warning("upstart supervision requested, but UPSTART_JOB not found!");
                Self::None
            }),
        }
    }

    /// Says that clients are served from now on.
    pub fn tell_ready(&self) {
        self.tell("STATUS=Ready to accept connections\nREADY=1\n");
        if *self == Self::Upstart {
            log::notice("supervised by upstart, will stop to signal readiness.");
            signals::stop_self();
        }
    }

    fn tell(&self, news: &str) {
        let Self::Systemd(socket) = self else { return };
        if let Err(error) = send(socket, news) {
            log::warning(&format!("systemd supervision error: {error}"));
        }
    }
}

/// The error in the system's words, without the number that Rust appends.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

fn send(socket: &OsString, news: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(news.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_on_its_socket() {
        let name = format!("keylane-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        let supervisor = Supervisor::Systemd(format!("@{name}").into());
        supervisor.tell_ready();
        let mut news = [0; 100];
        let len = systemd.recv(&mut news).unwrap();
        assert_eq!(&news[..len], b"STATUS=Ready to accept connections\nREADY=1\n");
    }

    #[test]
    fn a_supervisor_that_is_gone_is_no_trouble() {
        Supervisor::Systemd("/nosuch/socket".into()).tell_ready();
        Supervisor::None.tell_ready();
    }

    #[test]
    fn errors_are_told_without_numbers() {
        let error = io::Error::from_raw_os_error(libc::EADDRINUSE);
        assert_eq!(plain(&error), "Address already in use");
        assert_eq!(plain(&io::Error::other("by us")), "by us");
    }
}
