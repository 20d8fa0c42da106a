//! Messages to the system's log: datagrams to its socket, as RFC 3164 writes them.
//!
//! Nothing here waits: a message that the socket does not take at once is lost.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use shards::base::time::UnixMs;

use crate::config::choices::{LogLevel, SyslogFacility};
use crate::log::line::{MONTHS, letters};
use crate::reactor::clock::LocalTime;

/// Where the system takes messages.
pub(super) const SOCKET: &str = "/dev/log";

/// Who writes, and where to.
#[derive(Clone, Debug)]
pub(super) struct Syslog {
    /// The socket.
    pub socket: PathBuf,
    /// What the process calls itself.
    pub ident: String,
    /// What kind of program it is.
    pub facility: SyslogFacility,
    /// The process.
    pub pid: u32,
}

impl Syslog {
    /// Writes a message.
    ///
    /// # Errors
    /// The system's: no process listens there, or its queue is full.
    pub fn write(&self, level: LogLevel, time: UnixMs, message: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        send(&socket, &self.socket, &self.datagram(level, &LocalTime::of(time), message))
    }

    fn datagram(&self, level: LogLevel, time: &LocalTime, message: &str) -> String {
        let priority = self.facility.number() * 8 + severity(level);
        let month = usize::try_from(time.month - 1).ok().and_then(|month| MONTHS.get(month));
        let LocalTime { day, hour, minute, second, .. } = time;
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        format!(
            "<{priority}>{} {day:2} {hour:02}:{minute:02}:{second:02} {}[{}]: {}",
            month.unwrap_or(&"Jan"),
            self.ident,
            self.pid,
            letters(message).map(plain).collect::<String>()
        )
    }
}

fn send(socket: &UnixDatagram, to: &Path, datagram: &str) -> io::Result<()> {
    socket.send_to(datagram.as_bytes(), to).map(drop)
}

/// The system's number for a level.
fn severity(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 7,
        LogLevel::Verbose => 6,
        LogLevel::Notice => 5,
        LogLevel::Warning | LogLevel::Nothing => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_in_the_systems_form() {
        let name = format!("keylane-syslog-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let system = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog {
            socket: path.clone(),
            ident: "valkey".into(),
            facility: SyslogFacility::Local0,
            pid: 7,
        };
        syslog.write(LogLevel::Warning, UnixMs(1_795_248_615_009), "out\nof memory").unwrap();
        let mut bytes = [0; 200];
        let len = system.recv(&mut bytes).unwrap();
        let text = str::from_utf8(&bytes[..len]).unwrap();
        // 16 is local0, 4 a warning.
        assert!(text.starts_with("<132>Nov 21 "), "{text}");
        assert!(text.ends_with(" valkey[7]: out of memory"), "{text}");
        std::fs::remove_file(&path).unwrap();
        assert!(syslog.write(LogLevel::Notice, UnixMs(0), "x").is_err());
    }
}
