//! As much of an HTTP client as tests need.

#![allow(dead_code, reason = "each test program uses the part it needs")]

use std::io::{self, Read, Write};
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for `path`; the status, and the body. HTTP/1.0, so that no server answers in chunks.
pub fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    let answer = say(port, request.as_bytes())?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, answer.clone());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(broken)?, body.to_owned()))
}

/// Sends bytes; all that comes back until the connection is closed.
pub fn say(port: u16, bytes: &[u8]) -> io::Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    String::from_utf8(answer).map_err(io::Error::other)
}

/// A connection.
#[expect(clippy::disallowed_types, reason = "tests talk to servers from outside")]
pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}
