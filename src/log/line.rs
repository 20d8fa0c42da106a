//! The shapes of a log line: Valkey's text, `logfmt` and JSON, with each of its timestamps.

use std::fmt::Write as _;

use shards::base::time::UnixMs;

use crate::config::choices::{LogFormat, LogLevel, LogTime};
use crate::reactor::clock::LocalTime;

/// Bytes of one message that are written.
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;
/// Months as all logs write them.
pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What stands in front of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// The process.
    pub pid: u32,
    /// When it is.
    pub time: UnixMs,
    /// How severe it is.
    pub level: LogLevel,
}

/// A message as a line, with its end.
pub(super) fn line(format: LogFormat, time: LogTime, head: Head, message: &str) -> String {
    let shown = timestamp(time, head.time, &LocalTime::of(head.time));
    match format {
        LogFormat::Text => text(head, &shown, message),
        LogFormat::Logfmt => logfmt(head, &shown, message),
        LogFormat::Json => json(head, &shown, message),
    }
}

fn timestamp(format: LogTime, time: UnixMs, local: &LocalTime) -> String {
    let LocalTime { year, month, day, hour, minute, second, millis, offset_minutes } = local;
    match format {
        LogTime::Legacy => {
            let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month));
            let month = month.unwrap_or(&"???");
            format!("{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{millis:03}")
        }
        LogTime::Iso8601 => {
            let sign = if *offset_minutes < 0 { '-' } else { '+' };
            let (hours, minutes) = (offset_minutes.abs() / 60, offset_minutes.abs() % 60);
            format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}\
                 {sign}{hours:02}:{minutes:02}"
            )
        }
        LogTime::Milliseconds => time.0.to_string(),
    }
}

/// Valkey's own form. The `M` says that this is a primary.
fn text(head: Head, time: &str, message: &str) -> String {
    let mut line = format!("{}:M {time} {} ", head.pid, mark(head.level));
    for letter in letters(message) {
        // A line feed in a message could pretend to be another message.
        if letter.is_control() {
            write!(line, "\\u{:04x}", u32::from(letter)).expect("a string takes everything");
        } else {
            line.push(letter);
        }
    }
    line.push('\n');
    line
}

fn logfmt(head: Head, time: &str, message: &str) -> String {
    let (pid, level) = (head.pid, word(head.level));
    let mut line = format!("pid={pid} role=primary timestamp=\"{time}\" level={level} message=\"");
    for letter in letters(message) {
        line.push(match letter {
            '"' => '\'',
            letter if letter.is_control() => ' ',
            letter => letter,
        });
    }
    line.push_str("\"\n");
    line
}

fn json(head: Head, time: &str, message: &str) -> String {
    let (pid, level) = (head.pid, word(head.level));
    let mut line = format!(
        "{{\"pid\":{pid},\"role\":\"primary\",\"timestamp\":\"{time}\",\"level\":\"{level}\",\
         \"message\":\""
    );
    for letter in letters(message) {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            letter if letter.is_control() => {
                write!(line, "\\u{:04x}", u32::from(letter)).expect("a string takes everything");
            }
            letter => line.push(letter),
        }
    }
    line.push_str("\"}\n");
    line
}

/// The letters of a message, cut at the limit.
pub(super) fn letters(message: &str) -> impl Iterator<Item = char> + '_ {
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].chars()
}

fn word(level: LogLevel) -> &'static str {
    let known = LogLevel::WORDS.iter().find(|(_, listed)| *listed == level);
    known.expect("every level has a word").0
}

fn mark(level: LogLevel) -> char {
    match level {
        LogLevel::Debug => '.',
        LogLevel::Verbose => '-',
        LogLevel::Notice => '*',
        LogLevel::Warning | LogLevel::Nothing => '#',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: Head = Head { pid: 7, time: UnixMs(1_795_248_615_009), level: LogLevel::Notice };
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
    fn times_have_valkeys_forms() {
        let check = |format, expected| {
            assert_eq!(timestamp(format, NOTICE.time, &TIME), expected);
        };
        check(LogTime::Legacy, "01 Nov 2026 08:00:05.009");
        check(LogTime::Iso8601, "2026-11-01T08:00:05.009-03:30");
        check(LogTime::Milliseconds, "1795248615009");
    }

    #[test]
    fn a_line_has_valkeys_form() {
        let line = |level| text(Head { level, ..NOTICE }, "now", "Server initialized");
        assert_eq!(line(LogLevel::Notice), "7:M now * Server initialized\n");
        let marks = [LogLevel::Debug, LogLevel::Verbose, LogLevel::Notice, LogLevel::Warning];
        let marks: Vec<_> = marks.map(|level| line(level).chars().nth(8)).into();
        assert_eq!(marks, [Some('.'), Some('-'), Some('*'), Some('#')]);
    }

    #[test]
    fn a_line_can_be_for_programs() {
        let message = "say \"a\\b\"\n\u{1}é";
        assert_eq!(
            json(NOTICE, "now", message),
            "{\"pid\":7,\"role\":\"primary\",\"timestamp\":\"now\",\"level\":\"notice\",\
             \"message\":\"say \\\"a\\\\b\\\"\\n\\u0001é\"}\n"
        );
        assert_eq!(
            logfmt(NOTICE, "now", message),
            "pid=7 role=primary timestamp=\"now\" level=notice message=\"say 'a\\b'  é\"\n"
        );
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let line = text(NOTICE, "now", "a\n8:M forged\r\u{7f}");
        assert!(line.ends_with(" * a\\u000a8:M forged\\u000d\\u007f\n"), "{line}");
        for format in [text, logfmt, json] {
            let long = format(NOTICE, "now", &"é".repeat(MESSAGE_BYTES_MAX));
            assert!(long.len() < MESSAGE_BYTES_MAX + 100);
            assert_eq!(format(NOTICE, "now", "\n\r\u{85}").matches('\n').count(), 1);
        }
    }
}
