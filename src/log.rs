//! The log: one line per message, as Valkey writes them or as JSON, on standard output or in a
//! file.
//!
//! Any thread may write at any time: a line is one `write(2)` to a file opened for appending, so
//! lines do not mix and nothing is left to flush. The file is opened for each line, as Valkey
//! does: whoever rotates logs only has to rename it. Nothing here is for the data path.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::config::choices::{LogFormat, LogLevel};
use crate::reactor::clock::{self, LocalTime};

/// Bytes of one message that are written.
const MESSAGE_BYTES_MAX: usize = 4096;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The least severe level that is written.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static FORMAT: AtomicU8 = AtomicU8::new(LogFormat::Text as u8);
/// Where lines go; not set for standard output.
static FILE: OnceLock<PathBuf> = OnceLock::new();

/// Writes into `file` from now on. It is told once, at start.
///
/// # Errors
/// If the file cannot be opened for writing.
pub fn use_file(file: &Path) -> io::Result<()> {
    open(file)?;
    FILE.set(file.to_path_buf()).expect("the log file is told once, at start");
    Ok(())
}

/// Uses this level and format from now on.
pub fn set(level: LogLevel, format: LogFormat) {
    LEVEL.store(level as u8, Ordering::Relaxed);
    FORMAT.store(format as u8, Ordering::Relaxed);
}

/// Whether messages of this level are written: ask before building a costly one.
pub fn writes(level: LogLevel) -> bool {
    LEVEL.load(Ordering::Relaxed) <= level as u8
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

/// What somebody should look at.
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
    let (pid, time) = (std::process::id(), LocalTime::of(clock::wall()));
    let line = if FORMAT.load(Ordering::Relaxed) == LogFormat::Json as u8 {
        json_line(pid, &time, level, message)
    } else {
        text_line(pid, &time, level, message)
    };
    // A log that cannot be written is no reason to stop serving, and there is nowhere to say so.
    let _ = match FILE.get() {
        Some(path) => open(path).and_then(|mut file| file.write_all(line.as_bytes())),
        None => io::stdout().lock().write_all(line.as_bytes()),
    };
}

fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Valkey's form. The `M` says that this is a primary.
fn text_line(pid: u32, time: &LocalTime, level: LogLevel, message: &str) -> String {
    let LocalTime { year, day, hour, minute, second, millis, .. } = time;
    let month = usize::try_from(time.month - 1).ok().and_then(|month| MONTHS.get(month));
    let (month, mark) = (month.unwrap_or(&"???"), mark(level));
    let mut line = format!(
        "{pid}:M {day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{millis:03} {mark} "
    );
    // A line feed in a message could pretend to be another message.
    escape(&mut line, message, |_| false);
    line.push('\n');
    line
}

fn json_line(pid: u32, time: &LocalTime, level: LogLevel, message: &str) -> String {
    let LocalTime { year, month, day, hour, minute, second, millis, offset_minutes } = time;
    let sign = if *offset_minutes < 0 { '-' } else { '+' };
    let (ahead_hours, ahead_minutes) = (offset_minutes.abs() / 60, offset_minutes.abs() % 60);
    let level = LogLevel::WORDS.iter().find(|(_, listed)| *listed == level);
    let (level, _) = level.expect("every level has a word");
    let mut line = format!(
        "{{\"time\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}\
         {sign}{ahead_hours:02}:{ahead_minutes:02}\",\"level\":\"{level}\",\"pid\":{pid},\
         \"role\":\"primary\",\"message\":\""
    );
    escape(&mut line, message, |letter| matches!(letter, '"' | '\\'));
    line.push_str("\"}\n");
    line
}

fn mark(level: LogLevel) -> char {
    match level {
        LogLevel::Debug => '.',
        LogLevel::Verbose => '-',
        LogLevel::Notice => '*',
        LogLevel::Warning | LogLevel::Nothing => '#',
    }
}

/// Appends `message`, cut at the limit, with control characters as `\u000a` and a backslash
/// before letters that need one.
fn escape(line: &mut String, message: &str, needs_backslash: fn(char) -> bool) {
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    for letter in message.chars() {
        if letter.is_control() {
            write!(line, "\\u{:04x}", u32::from(letter)).expect("a string takes everything");
        } else {
            if needs_backslash(letter) {
                line.push('\\');
            }
            line.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: LocalTime = LocalTime {
        year: 2026,
        month: 11,
        day: 1,
        hour: 8,
        minute: 0,
        second: 5,
        millis: 9,
        offset_minutes: -210,
    };

    #[test]
    fn a_line_has_valkeys_form() {
        let line = |level| text_line(7, &TIME, level, "Server initialized");
        assert_eq!(line(LogLevel::Notice), "7:M 01 Nov 2026 08:00:05.009 * Server initialized\n");
        let marks = [LogLevel::Debug, LogLevel::Verbose, LogLevel::Notice, LogLevel::Warning];
        let marks: Vec<_> = marks.map(|level| line(level).chars().nth(29)).into();
        assert_eq!(marks, [Some('.'), Some('-'), Some('*'), Some('#')]);
    }

    #[test]
    fn a_line_can_be_json() {
        assert_eq!(
            json_line(7, &TIME, LogLevel::Warning, "say \"a\\b\"\n"),
            "{\"time\":\"2026-11-01T08:00:05.009-03:30\",\"level\":\"warning\",\"pid\":7,\
             \"role\":\"primary\",\"message\":\"say \\\"a\\\\b\\\"\\u000a\"}\n"
        );
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let line = text_line(7, &TIME, LogLevel::Notice, "a\n8:M forged\r\u{7f}");
        assert!(line.ends_with(" * a\\u000a8:M forged\\u000d\\u007f\n"), "{line}");
        let long = text_line(7, &TIME, LogLevel::Notice, &"é".repeat(MESSAGE_BYTES_MAX));
        assert!(long.len() < MESSAGE_BYTES_MAX + 64);
    }
}
