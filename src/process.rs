//! What the process is to the world around it: the files it leaves there, who supervises it, and
//! its end.

pub mod listening;

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
use crate::reactor::own_path::OwnPath;
use crate::reactor::signals::{self, Request};
use crate::reactor::{clock, crash, system};

/// The Valkey whose commands, settings and messages are followed here.
pub const VALKEY_VERSION: &str = "9.1.2";
/// Keylane's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Lets a panic in any thread end the whole process: without one shard the others would serve a
/// part of the keys, and wait for answers that never come.
///
/// What else may crash a thread, a wrong access to memory above all, is reported from now on too.
pub fn end_on_crash() {
    crash::install(format!(
        "keylane_version:{VERSION}\nvalkey_version:{VALKEY_VERSION}\nprocess_id:{}\n\
         started_at:{}\nos:{}\n",
        std::process::id(),
        clock::wall().seconds(),
        system::name()
    ));
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        tell(info);
        crash::report_panic(info);
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
    /// The file with the process's number.
    pub pid_file: Option<OwnFile>,
    /// Where the unix socket is, absolute.
    pub unix_socket: OwnPath,
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

    /// Ends the process because a signal or SHUTDOWN asked: exit status 0. All but what serves to
    /// the very end was closed before.
    pub fn stop(&self) -> ! {
        log::warning("Keylane is now ready to exit, bye bye...");
        self.supervisor.close();
        log::close();
        // The descriptor of signals goes with the thread that reads it.
        std::process::exit(0)
    }

    /// Ends the process at once, because a second SIGINT does not wait for the end: exit status 1.
    /// Removes only files that would be in the way.
    pub fn give_up(&self) -> ! {
        log::warning("You insist... exiting now.");
        self.remove_files();
        // The working folder is that of snapshots. A child ends with its parent, and leaves this.
        let _ = fs::remove_file(snapshot_temp());
        log::close();
        std::process::exit(1)
    }

    /// Ends the process because it cannot go on: exit status 1.
    pub fn fail(&self, why: &str) -> ! {
        log::warning(why);
        self.supervisor.tell("STOPPING=1\n");
        self.remove_files();
        log::close();
        std::process::exit(1)
    }

    /// Takes away what the process left in folders.
    pub fn remove_files(&self) {
        self.unix_socket_file().iter().chain(&self.pid_file).for_each(OwnFile::close);
    }

    /// The unix socket.
    pub fn unix_socket_file(&self) -> Option<OwnFile> {
        self.unix_socket.get().map(|path| OwnFile { path, name: "unix socket" })
    }
}

/// The name of a snapshot that this process has not finished, in the folder of snapshots.
pub fn snapshot_temp() -> String {
    format!("temp-{}.rdb", std::process::id())
}

/// The name of a file that this process has not finished, beside the one whose place it is to take.
pub fn temp_beside(name: &str) -> String {
    format!("{name}.{}.tmp", std::process::id())
}

/// A file that means nothing without the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFile {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// What it is, for the log.
    pub name: &'static str,
}

impl OwnFile {
    /// Removes it.
    pub fn close(&self) {
        log::notice(&format!("Removing the {} file.", self.name));
        // An administrator may have removed it before.
        let _ = fs::remove_file(&self.path);
    }
}

/// Who started the process and wants to know when it is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Supervisor {
    /// No supervisor.
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

    /// Says that the end has come to this stage.
    pub fn tell_stopping(&self, stage: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS=Shutting down: {stage}\n"));
    }

    /// Says that the end may take so many milliseconds more.
    pub fn extend(&self, millis: u64) {
        self.tell(&format!("EXTEND_TIMEOUT_USEC={}\n", millis.saturating_mul(1000)));
    }

    /// Says that there is no end after all.
    pub fn tell_resumed(&self) {
        self.tell("READY=1\nSTATUS=Ready to accept connections; a shutdown was aborted\n");
    }

    /// Says that nothing more will be said.
    pub fn close(&self) {
        self.tell("STOPPING=1\nSTATUS=Exiting\n");
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
