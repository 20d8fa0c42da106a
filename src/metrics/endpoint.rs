//! The port that serves metrics: a few connections, seen to by the control thread between its other
//! work. Nothing here waits, and every connection has a bound of bytes and of time.
//!
//! ```text
//! accept --> Hearing --> (Asking: figures come from all shards) --> Telling --> Leaving --> close
//! ```
//! `Leaving` reads on until the other end closes: a socket that is closed with bytes unread takes
//! back what it has sent.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::commands::server::gathered::Gathered;
use crate::control::core::Control;
use crate::mail::query::Answer;
use crate::metrics::http::{self, Heard, Request, Resource, Status};
use crate::metrics::page;
use crate::metrics::readiness;
use crate::reactor::clock::Monotonic;
use crate::reactor::streams::{Listener, Stream, Tried};
use crate::reactor::wake::Awaited;

/// Connections at one time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// How long a request may take to come in.
const HEARING_MILLIS: u64 = 2000;
/// How long shards may take to answer: less than the ten seconds after which Prometheus gives up.
const ASKING_MILLIS: u64 = 8000;
/// How long an answer may take to go out.
const TELLING_MILLIS: u64 = 5000;
/// How long the other end may take to close.
const LEAVING_MILLIS: u64 = 1000;
/// After accepting failed, the next try waits this long.
const RETRY_MILLIS: u64 = 100;

/// The port and its connections.
#[derive(Debug)]
pub struct Endpoint {
    listeners: Vec<Listener>,
    connections: Vec<Connection>,
    /// Until when nothing is accepted, because it failed.
    retry_at: Option<Monotonic>,
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    state: State,
    /// When the state began.
    since: Monotonic,
}

#[derive(Debug)]
enum State {
    /// A request comes in.
    Hearing(Vec<u8>),
    /// Shards are asked, by the question of this number.
    Asking(Request, u64),
    /// The answer goes out, from this byte on.
    Telling(Vec<u8>, usize),
    /// The answer is gone.
    Leaving,
    /// It is to be closed.
    Over,
}

impl Endpoint {
    /// Serves the connections to these sockets; without any, nothing.
    ///
    /// # Errors
    /// The system's, if a socket cannot be made to not block.
    pub fn new(sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let listeners = sockets.into_iter().map(Listener::new).collect::<io::Result<Vec<_>>>()?;
        if !listeners.is_empty() {
            // A first page takes a while: the exporter's clock has itself measured.
            page::warm_up();
        }
        Ok(Self { listeners, connections: Vec::new(), retry_at: None })
    }

    /// Does what can be done now.
    pub fn turn(&mut self, control: &mut Control) {
        if self.listeners.is_empty() {
            return;
        }
        let now = control.node.now;
        for (question, answers) in control.take_figures() {
            self.answered(control, question, answers);
        }
        self.accept(now);
        for connection in &mut self.connections {
            connection.go_on(control, now);
        }
        self.connections.retain(|connection| !matches!(connection.state, State::Over));
    }

    /// Serves nothing any more.
    pub fn close(self) {
        drop(self);
    }

    /// What is to be waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let accepts = self.retry_at.is_none() && self.connections.len() < CONNECTIONS_MAX;
        let listeners = self.listeners.iter().filter(move |_| accepts);
        let listeners = listeners.map(|listener| Awaited::Readable(listener.as_fd()));
        let connections = self.connections.iter().filter_map(|connection| {
            let fd = connection.stream.as_fd();
            match connection.state {
                State::Hearing(_) | State::Leaving => Some(Awaited::Readable(fd)),
                State::Telling(..) => Some(Awaited::Writable(fd)),
                State::Asking(..) | State::Over => None,
            }
        });
        listeners.chain(connections)
    }

    fn accept(&mut self, now: Monotonic) {
        self.retry_at = self.retry_at.filter(|at| now < *at);
        if self.retry_at.is_some() {
            return;
        }
        for listener in &self.listeners {
            while self.connections.len() < CONNECTIONS_MAX {
                match listener.accept() {
                    Ok(Some(stream)) => {
                        let state = State::Hearing(Vec::new());
                        self.connections.push(Connection { stream, state, since: now });
                    }
                    Ok(None) => break,
                    Err(_) => {
                        // For want of descriptors as a rule: the log says so of clients, too.
                        self.retry_at = now.after_millis(RETRY_MILLIS);
                        break;
                    }
                }
            }
        }
    }

    fn answered(&mut self, control: &Control, question: u64, answers: Vec<Answer>) {
        for connection in &mut self.connections {
            if let State::Asking(request, asked) = connection.state
                && asked == question
            {
                let page = page::page(&Gathered::new(control, answers));
                return connection.tell(http::answer(request, Status::Ok, &page), control.node.now);
            }
        }
        // The connection that asked is gone.
    }
}

impl Connection {
    /// Goes through states for as long as something can be done.
    fn go_on(&mut self, control: &mut Control, now: Monotonic) {
        let age = now.millis_since(self.since);
        if let State::Hearing(_) = self.state {
            self.hear(control, now, age);
        }
        if let State::Asking(request, _) = self.state
            && ASKING_MILLIS <= age
        {
            let why = "Some shard did not answer in time.\n";
            self.tell(http::answer(request, Status::Unavailable, why), now);
        }
        if let State::Telling(..) = self.state {
            self.tell_on(now);
        }
        if let State::Leaving = self.state {
            self.leave(now);
        }
    }

    fn hear(&mut self, control: &mut Control, now: Monotonic, age: u64) {
        let State::Hearing(received) = &mut self.state else { return };
        let mut bytes = [0; 1024];
        let heard = loop {
            match self.stream.read(&mut bytes) {
                Tried::Moved(count) => received.extend_from_slice(&bytes[..count]),
                Tried::Later if age < HEARING_MILLIS => return,
                Tried::Later | Tried::Over => return self.state = State::Over,
            }
            match http::hear(received) {
                Heard::Part => {}
                heard => break heard,
            }
        };
        match heard {
            Heard::Part => {}
            Heard::Refused(answer) => self.tell(answer, now),
            Heard::Whole(request) => match request.resource {
                Resource::Metrics => {
                    let question = control.ask_figures();
                    self.enter(State::Asking(request, question), now);
                }
                Resource::Health => self.tell(http::answer(request, Status::Ok, "alive\n"), now),
                Resource::Readiness => {
                    let (status, text) = match readiness::obstacle(control) {
                        None => (Status::Ok, "ready\n".to_owned()),
                        Some(why) => (Status::Unavailable, format!("not ready: {why}\n")),
                    };
                    self.tell(http::answer(request, status, &text), now);
                }
            },
        }
    }

    fn tell_on(&mut self, now: Monotonic) {
        let age = now.millis_since(self.since);
        let State::Telling(answer, told) = &mut self.state else { return };
        while *told < answer.len() {
            match self.stream.write(&answer[*told..]) {
                Tried::Moved(bytes) => *told += bytes,
                Tried::Later if age < TELLING_MILLIS => return,
                Tried::Later | Tried::Over => return self.state = State::Over,
            }
        }
        self.stream.end_writing();
        self.enter(State::Leaving, now);
    }

    fn leave(&mut self, now: Monotonic) {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes) {
            // What it still says is not listened to, and not for long.
            Tried::Moved(_) | Tried::Later if now.millis_since(self.since) < LEAVING_MILLIS => {}
            Tried::Moved(_) | Tried::Later | Tried::Over => self.state = State::Over,
        }
    }

    fn tell(&mut self, answer: Vec<u8>, now: Monotonic) {
        self.enter(State::Telling(answer, 0), now);
    }

    fn enter(&mut self, state: State, now: Monotonic) {
        (self.state, self.since) = (state, now);
    }
}
