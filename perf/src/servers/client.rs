//! A small client: one connection, the replies the measurements need, and the fill.

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::Duration;

/// Bytes of every value written.
pub const VALUE_BYTES: usize = 64;

/// A connection to a server on this machine.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// A reply, as far as the measurements look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`, `:1`: the text behind the sign.
    Line(String),
    /// Likewise of an error.
    Error(String),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// No value.
    Null,
}

impl Connection {
    /// Connects to `port`.
    pub fn open(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).map_err(|error| error.to_string())?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream) })
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(bytes).map_err(|error| format!("cannot send: {error}"))
    }

    /// Receives one reply; an error reply is an error here.
    pub fn receive(&mut self) -> Result<Reply, String> {
        match self.receive_any()? {
            Reply::Error(text) => Err(format!("the server answered `-{text}`")),
            reply => Ok(reply),
        }
    }

    /// Receives one reply, an error reply like any other.
    pub fn receive_any(&mut self) -> Result<Reply, String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(|error| format!("no reply: {error}"))?;
        let line = line.trim_end();
        match (line.get(..1), line.get(1..)) {
            (Some("+" | ":"), Some(text)) => Ok(Reply::Line(text.into())),
            (Some("-"), Some(text)) => Ok(Reply::Error(text.into())),
            (Some("$"), Some("-1")) | (Some("_"), _) => Ok(Reply::Null),
            (Some("$"), Some(length)) => {
                let length: usize = length.parse().map_err(|_| format!("bad reply {line}"))?;
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes).map_err(|error| error.to_string())?;
                bytes.truncate(length);
                Ok(Reply::Bulk(bytes))
            }
            _ => Err(format!("the server answered `{line}`")),
        }
    }

    /// Sends a request and receives its reply.
    pub fn call(&mut self, args: &[&str]) -> Result<Reply, String> {
        let mut request = Vec::new();
        write_request(&mut request, args);
        self.send(&request)?;
        self.receive()
    }

    /// As [`Self::call`], but an error reply is a reply like any other.
    pub fn call_any(&mut self, args: &[&str]) -> Result<Reply, String> {
        let mut request = Vec::new();
        write_request(&mut request, args);
        self.send(&request)?;
        self.receive_any()
    }

    /// Sends as many of these bytes as the server takes in this time; an error if it has closed.
    pub fn send_some(&mut self, bytes: &[u8], patience: Duration) -> Result<usize, String> {
        let stream = self.stream.get_mut();
        let mut sent = 0;
        stream.set_write_timeout(Some(patience)).map_err(|error| error.to_string())?;
        while sent < bytes.len() {
            match stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => break,
                Err(error) => return Err(format!("cannot send: {error}")),
            }
        }
        stream.set_write_timeout(None).map_err(|error| error.to_string())?;
        Ok(sent)
    }

    /// A field of INFO.
    pub fn info(&mut self, section: &str, name: &str) -> Result<String, String> {
        let Reply::Bulk(text) = self.call(&["INFO", section])? else {
            return Err("INFO is not answered with text".into());
        };
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map(str::to_owned).ok_or(format!("INFO {section} has no {name}"))
    }

    /// A field of INFO that is a number.
    pub fn info_number(&mut self, section: &str, name: &str) -> Result<u64, String> {
        let text = self.info(section, name)?;
        text.parse().map_err(|_| format!("INFO says {name}:{text}"))
    }

    /// Sets settings, given as names and values in turn.
    pub fn configure(&mut self, settings: &[&str]) -> Result<(), String> {
        self.call(&[&["CONFIG", "SET"], settings].concat()).map(drop)
    }

    /// Sends everything while replies are read, which are all `expected`.
    pub fn exchange(&mut self, requests: &[u8], count: u64, expected: &[u8]) -> Result<(), String> {
        let mut sender = self.stream.get_ref().try_clone().map_err(|error| error.to_string())?;
        thread::scope(|scope| {
            let sending = scope.spawn(move || sender.write_all(requests));
            let mut reply = vec![0; expected.len()];
            for _ in 0..count {
                self.stream.read_exact(&mut reply).map_err(|error| format!("no reply: {error}"))?;
                if reply != expected {
                    let text = String::from_utf8_lossy(&reply);
                    return Err(format!("a request was answered `{}`", text.trim_end()));
                }
            }
            let sent = sending.join().expect("the sender does not panic");
            sent.map_err(|error| format!("cannot send: {error}"))
        })
    }

    /// Whether the server closes the connection instead of answering this request.
    pub fn is_closed_by(&mut self, args: &[&str]) -> bool {
        let mut request = Vec::new();
        write_request(&mut request, args);
        let mut first = [0];
        self.send(&request).is_err() || !matches!(self.stream.read(&mut first), Ok(1))
    }

    /// Writes the keys numbered `numbers`, `depth` requests at a time, and checks every reply.
    pub fn fill(&mut self, numbers: Range<u64>, depth: u64) -> Result<(), String> {
        let value = "v".repeat(VALUE_BYTES);
        self.fill_with(numbers, depth, b"+OK\r\n", |out, number| {
            write_request(out, &["SET", &key(number), &value]);
        })
    }

    /// As [`Self::fill`], with requests of the caller's that are all answered with `expected`.
    pub fn fill_with(
        &mut self,
        numbers: Range<u64>,
        depth: u64,
        expected: &[u8],
        mut write: impl FnMut(&mut Vec<u8>, u64),
    ) -> Result<(), String> {
        let mut requests = Vec::new();
        let mut replies = Vec::new();
        let mut next = numbers.start;
        while next < numbers.end {
            let end = numbers.end.min(next + depth);
            requests.clear();
            for number in next..end {
                write(&mut requests, number);
            }
            self.send(&requests)?;
            replies.resize(expected.len() * usize::try_from(end - next).unwrap_or(usize::MAX), 0);
            self.stream.read_exact(&mut replies).map_err(|error| format!("no reply: {error}"))?;
            if replies.chunks(expected.len()).any(|reply| reply != expected) {
                let text = String::from_utf8_lossy(&replies);
                return Err(format!("the fill was answered `{}`", text.trim_end()));
            }
            next = end;
        }
        Ok(())
    }
}

/// The name `valkey-benchmark -r` gives to key `number`: 16 bytes.
pub fn key(number: u64) -> String {
    format!("key:{number:012}")
}

/// Appends a request.
pub fn write_request(out: &mut Vec<u8>, args: &[&str]) {
    let mut write = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).expect("writing to memory does not fail");
    };
    write(format_args!("*{}\r\n", args.len()));
    for arg in args {
        write(format_args!("${}\r\n{arg}\r\n", arg.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_requests_in_the_wire_format() {
        let mut out = Vec::new();
        write_request(&mut out, &["GET", &key(7)]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000007\r\n");
    }
}
