//! The log: one line per message, as Valkey writes them, on standard output or in a file, and in
//! the system's log if that is wanted.
//!
//! Any thread may write at any time: a line is one `write(2)` to a file opened for appending, so
//! lines do not mix and nothing is left to flush. The file is opened for each line, as Valkey
//! does: to rotate logs, an operator only renames it, and need not tell the server. Nothing here is
//! for the data path.

mod line;
mod syslog;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::config::choices::{LogFormat, LogLevel, LogTime};
use crate::config::table::Config;
use crate::log::line::{Head, line};
use crate::log::syslog::Syslog;
use crate::reactor::{clock, crash};

/// The least severe level that is written.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static FORMAT: AtomicU8 = AtomicU8::new(LogFormat::Text as u8);
static TIME: AtomicU8 = AtomicU8::new(LogTime::Legacy as u8);
/// Where lines go; not set for standard output.
static FILE: OnceLock<PathBuf> = OnceLock::new();
/// The system's log; not set unless it is wanted.
static SYSLOG: OnceLock<Syslog> = OnceLock::new();

/// Writes into `file` from now on. It is told once, at start.
///
/// # Errors
/// If the file cannot be opened for writing.
pub fn use_file(file: &Path) -> io::Result<()> {
    open(file)?;
    crash::use_file(file);
    FILE.set(file.to_path_buf()).expect("the log file is told once, at start");
    Ok(())
}

/// Writes to the system's log too, if the configuration says so. It is asked once, at start.
pub fn use_syslog(config: &Config) {
    if config.syslog_enabled {
        let (ident, facility) = (config.syslog_ident.clone(), config.syslog_facility);
        let (socket, pid) = (syslog::SOCKET.into(), std::process::id());
        let syslog = Syslog { socket, ident, facility, pid };
        SYSLOG.set(syslog).expect("the system's log is asked for once, at start");
    }
}

/// Uses the level and shapes of this configuration from now on, also for reports of crashes.
pub fn configure(config: &Config) {
    LEVEL.store(config.loglevel as u8, Ordering::Relaxed);
    FORMAT.store(config.log_format as u8, Ordering::Relaxed);
    crash::configure(config.crash_log_enabled, config.hide_user_data_from_log);
    TIME.store(config.log_timestamp_format as u8, Ordering::Relaxed);
}

/// Whether messages of this level are written: ask before building a costly one.
pub fn writes(level: LogLevel) -> bool {
    LEVEL.load(Ordering::Relaxed) <= level as u8
}

/// Writes a message of this level; none of [`LogLevel::Nothing`].
pub fn at(level: LogLevel, message: &str) {
    if level != LogLevel::Nothing {
        write(level, message);
    }
}

/// What only a developer asks for.
pub fn debug(message: &str) {
    write(LogLevel::Debug, message);
}

/// What is seldom asked for.
pub fn verbose(message: &str) {
    write(LogLevel::Verbose, message);
}

/// What matters in production.
pub fn notice(message: &str) {
    write(LogLevel::Notice, message);
}

/// What an operator should look at.
pub fn warning(message: &str) {
    write(LogLevel::Warning, message);
}

/// Has everything on its way that was written: the process is about to end.
pub fn close() {
    // A log that cannot be written is no reason not to end.
    let _ = io::stdout().flush();
}

fn write(level: LogLevel, message: &str) {
    if !writes(level) {
        return;
    }
    let time = clock::wall();
    let head = Head { pid: std::process::id(), time, level };
    let line = line(format(), timestamp(), head, message);
    // A log that cannot be written is no reason to stop serving, and there is nowhere to say so.
    let _ = match FILE.get() {
        Some(path) => open(path).and_then(|mut file| file.write_all(line.as_bytes())),
        None => io::stdout().lock().write_all(line.as_bytes()),
    };
    if let Some(syslog) = SYSLOG.get() {
        let _ = syslog.write(level, time, message);
    }
}

fn format() -> LogFormat {
    let stored = FORMAT.load(Ordering::Relaxed);
    let all = [LogFormat::Text, LogFormat::Logfmt, LogFormat::Json];
    all.into_iter().find(|format| *format as u8 == stored).unwrap_or(LogFormat::Text)
}

fn timestamp() -> LogTime {
    let stored = TIME.load(Ordering::Relaxed);
    let all = [LogTime::Legacy, LogTime::Iso8601, LogTime::Milliseconds];
    all.into_iter().find(|time| *time as u8 == stored).unwrap_or(LogTime::Legacy)
}

fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}
