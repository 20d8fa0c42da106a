//! One request to another server, by a thread of its own: nothing else waits for that server.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread::Builder;

use shards::effects::handover::{Failure, Target};
use shards::resp::request;

use crate::migration::connection::{Connection, Line, Orders};
use crate::reactor::clock::Monotonic;
use crate::reactor::wake::Wake;
use crate::reactor::{allocator, crash};

/// What has come of it, once it has.
pub type Said = Receiver<Result<(), Failure>>;

/// It is never called back.
struct Alone(Wake);

impl Orders for Alone {
    fn wake(&self) -> &Wake {
        &self.0
    }

    fn are_withdrawn(&mut self) -> bool {
        false
    }
}

/// Sends a request, behind AUTH if the target wants that, and rings when there is a reply or the
/// time is over. What came of it may be left unread.
///
/// It is sent when the target has replied to a PING: one that is stuck would find it when it goes
/// on, at whatever time, and do what is asked for no more.
///
/// # Errors
/// The system's, if it has no room for a thread.
pub fn send(target: Target, args: &[&[u8]], due: Monotonic, rings: Wake) -> io::Result<Said> {
    let (mut greeting, mut replies) = (Vec::new(), 1);
    if !target.auth.is_empty() {
        let auth = target.auth.iter().map(Vec::as_slice);
        request::write(&mut greeting, &[&b"AUTH"[..]].into_iter().chain(auth).collect::<Vec<_>>());
        replies += 1;
    }
    request::write(&mut greeting, &[b"PING"]);
    let mut message = Vec::new();
    request::write(&mut message, args);
    let mut alone = Alone(Wake::new()?);
    let (answers, answer) = channel();
    let work = move || {
        allocator::share_counter();
        crash::guard_thread();
        let said = Connection::open(&target, due, &mut alone).and_then(|mut connection| {
            let mut exchange = |requests: &[u8], replies| {
                connection.exchange(requests, replies, due, &mut alone, |line| match line {
                    Line::Fine => Ok(()),
                    Line::Error(text) => Err(Failure::Refused(text)),
                })
            };
            exchange(&greeting, replies)?;
            exchange(&message, 1)
        });
        let _ = answers.send(said);
        rings.ring();
    };
    Builder::new().name("message".to_owned()).spawn(work)?;
    Ok(answer)
}

#[cfg(test)]
mod tests;
