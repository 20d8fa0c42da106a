//! A further connection to the primary that this node follows: connected, and agreed on.

use shards::resp::request;

use crate::mail::board::Traffic;
use crate::reactor::streams::Tried;
use crate::reactor::wake::Awaited;
use crate::relay::dial::Dial;
use crate::replication::address::Address;
use crate::replication::failure::printable;
use crate::replication::handshake::Credentials;
use crate::replication::lines::Lines;
use crate::replication::link::events::Generation;

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// A connection on which the primary has not agreed yet.
#[derive(Debug)]
pub struct Opening {
    /// What it is for, as the owner counts.
    number: u16,
    dial: Dial,
    hello: Vec<u8>,
    lines: Lines,
    /// Lines that have still to come.
    awaited: usize,
}

impl Opening {
    /// Begins to connect, and says these words then.
    ///
    /// # Errors
    /// Why there is no way to the primary.
    pub fn begin(
        generation: Generation,
        primary: &Address,
        credentials: Option<&Credentials>,
        number: u16,
        words: &[&[u8]],
    ) -> Result<Self, String> {
        let dial = Dial::begin(generation, primary)?;
        let (mut hello, mut awaited) = (Vec::new(), 1);
        if let Some(credentials) = credentials {
            awaited += 1;
            request::write(&mut hello, &credentials.command());
        }
        request::write(&mut hello, words);
        Ok(Self { number, dial, hello, lines: Lines::default(), awaited })
    }

    /// Goes on. When the primary has agreed: what has come behind that.
    ///
    /// # Errors
    /// Why it will not.
    pub fn go_on(&mut self, traffic: &mut Traffic) -> Result<Option<Vec<u8>>, String> {
        if self.dial.go_on()? {
            self.dial.say(&std::mem::take(&mut self.hello));
        }
        let over = || "a further connection has ended".to_owned();
        if !self.dial.write(traffic) {
            return Err(over());
        }
        let mut buffer = [0; READ_BYTES];
        let came = match self.dial.read(&mut buffer, traffic) {
            Tried::Moved(bytes) => &buffer[..bytes],
            Tried::Later => return Ok(None),
            Tried::Over => return Err(over()),
        };
        let mut at = 0;
        while 0 < self.awaited {
            let line = self.lines.take(came, &mut at).map_err(|failure| failure.to_string())?;
            let Some(line) = line else { return Ok(None) };
            if !line.starts_with(b"+") {
                return Err(format!("a further connection is refused: {}", printable(&line)));
            }
            self.awaited -= 1;
        }
        Ok(Some(came[at..].to_vec()))
    }

    /// What it is for, and the connection.
    pub fn into_parts(self) -> (u16, Dial) {
        (self.number, self.dial)
    }

    /// Shuts it, whatever it is at.
    pub fn end(self) {
        self.dial.end();
    }

    /// What is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        self.dial.awaited(true)
    }
}
