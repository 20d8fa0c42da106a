//! What a server knows of a client, as far as it decides which requests are answered, and how.

use std::collections::BTreeSet;

use crate::client::push_request;
use crate::frames::Protocol;
use crate::plan::{Channels, Replies, Request, SLOTS, Words};
use crate::requests::{LIMITS, Outcome};

/// Memory that a small limit leaves to keys.
const ROOM_BYTES: u64 = 1_000_000;
/// Keys that one MSET sets to one value, on different shards.
const ALIKE: usize = 5;

/// The state of a client.
#[derive(Clone, Debug)]
pub struct Session {
    pub protocol: Protocol,
    in_multi: bool,
    monitors: bool,
    subscribed: BTreeSet<(Channels, usize)>,
    replies: Replies,
}

/// What a reply is expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Any,
    /// Anything, but short.
    Small,
    /// The client's id.
    Id,
    /// The new value of a counter.
    Count(usize),
    /// Both values of a pair, or nothing was done.
    Pair,
    /// Values that are all the same.
    Alike,
    /// Of a command that may wait.
    Late,
    /// Of CLIENT PAUSE or UNPAUSE.
    Pausing,
    /// An error, if anything.
    Maybe,
    /// None at all.
    Silence(Silent),
}

/// What is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    Other,
    Count(usize),
    Pair,
}

/// What a request needs to know to become bytes.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// The connection's number, which no other has.
    pub number: usize,
    /// The ids of the clients that are connected.
    pub ids: [Option<i64>; SLOTS],
    /// Memory in use when there are no keys.
    pub used_bytes: u64,
}

/// What a request means for the rest of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// The server closes the connection.
    Ends,
    /// The client may wait until it is gone.
    WaitsForever,
    Pauses,
    Flushes,
    Limits(Outcome),
    Kills(usize),
    KillsSubscribers,
}

/// Requests on their way into a buffer, with what comes of them.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub bytes: &'a mut Vec<u8>,
    /// The reply of each, and where the request ends in the buffer.
    pub replies: Vec<(What, usize)>,
}

impl Outgoing<'_> {
    fn push<A: AsRef<[u8]>>(&mut self, args: &[A], what: What) {
        push_request(self.bytes, args);
        self.note(what);
    }

    fn push_raw(&mut self, text: &str, what: What) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.note(what);
    }

    fn note(&mut self, what: What) {
        self.replies.push((what, self.bytes.len()));
    }
}

impl Default for Session {
    fn default() -> Self {
        let (protocol, replies) = (Protocol::Resp2, Replies::On);
        let (in_multi, monitors) = (false, false);
        Self { protocol, in_multi, monitors, subscribed: BTreeSet::new(), replies }
    }
}

impl Session {
    /// Writes a request as it suits the state, which it changes.
    pub fn send(&mut self, request: &Request, around: &Around, out: &mut Outgoing<'_>) -> Effect {
        let limited = self.protocol == Protocol::Resp2 && !self.subscribed.is_empty();
        if !self.suits(request, limited) {
            let silent = self.replies != Replies::On;
            let what = if silent { What::Silence(Silent::Other) } else { What::Small };
            out.push(&["PING"], what);
            self.unskip();
            return Effect::None;
        }
        match request {
            Request::Empty(text) => {
                out.bytes.extend_from_slice(text.as_bytes());
                Effect::None
            }
            Request::Broken(text) => {
                out.push_raw(text, What::Maybe);
                Effect::Ends
            }
            Request::Replies(replies) => {
                self.set_replies(*replies, out);
                Effect::None
            }
            Request::Multi | Request::Exec | Request::Discard => {
                let name = match request {
                    Request::Multi => "MULTI",
                    Request::Exec => "EXEC",
                    _ => "DISCARD",
                };
                out.push(&[name], self.heard(What::Any, Silent::Other));
                self.in_multi = *request == Request::Multi;
                Effect::None
            }
            Request::Subscribe(..) | Request::Unsubscribe(..) => {
                self.change_subscription(request, out);
                Effect::None
            }
            Request::Hello(protocol) => {
                self.protocol = *protocol;
                let version = if *protocol == Protocol::Resp2 { "2" } else { "3" };
                out.push(&["HELLO", version], What::Any);
                Effect::None
            }
            Request::Quit => {
                out.push(&["QUIT"], What::Any);
                Effect::Ends
            }
            Request::Reset => {
                out.push(&["RESET"], What::Any);
                *self = Self::default();
                Effect::None
            }
            _ => {
                let effect = self.send_command(request, around, out);
                self.unskip();
                effect
            }
        }
    }

    /// Whether the request has a known number of replies in this state, and a known effect.
    fn suits(&self, request: &Request, limited: bool) -> bool {
        use Request as R;
        let ends = matches!(request, R::Empty(_) | R::Broken(_));
        if self.monitors {
            // It may not touch keys.
            return ends || matches!(request, R::Quit | R::Reset);
        }
        if limited {
            return matches!(
                request,
                R::Empty(_) | R::Broken(_) | R::Quit | R::Reset | R::Subscribe(..)
            ) || matches!(request, R::Plain(_) | R::Unsubscribe(..));
        }
        let in_transaction = matches!(
            request,
            R::Plain(_) | R::Inline(_) | R::Count(_) | R::SetAlike(_) | R::GetAlike | R::Flush(_)
        ) || matches!(request, R::Block { .. } | R::Exec | R::Discard);
        match (self.in_multi, self.replies) {
            (true, Replies::On) if matches!(request, R::Quit | R::Reset) => true,
            (true, Replies::On) => in_transaction || ends,
            // A connection is closed behind the error, which is not sent.
            (true, _) => in_transaction,
            (false, Replies::On) => true,
            (false, Replies::Off) => {
                let blocks = matches!(request, R::Block { .. });
                let more = matches!(request, R::Multi | R::Pair | R::Replies(_) | R::Limit(_));
                (in_transaction && !blocks) || more
            }
            (false, Replies::Skip) => {
                matches!(request, R::Plain(_) | R::Count(_) | R::Replies(_))
            }
        }
    }

    fn send_command(
        &mut self,
        request: &Request,
        around: &Around,
        out: &mut Outgoing<'_>,
    ) -> Effect {
        let any = self.heard(What::Any, Silent::Other);
        let is_queued = self.in_multi;
        match request {
            Request::Plain(words) => {
                out.push(words, any);
                Effect::None
            }
            Request::Inline(text) => {
                out.push_raw(text, any);
                Effect::None
            }
            Request::Count(counter) if is_queued => {
                out.push(&["INCR", &format!("queued{counter}")], any);
                Effect::None
            }
            Request::Count(counter) => {
                let what = self.heard(What::Count(*counter), Silent::Count(*counter));
                out.push(&["INCR", &counter_key(around.number, *counter)], what);
                Effect::None
            }
            Request::Pair => {
                let [left, right] = pair_keys(around.number);
                let small = self.heard(What::Small, Silent::Other);
                out.push(&["MULTI"], small);
                out.push(&["INCR", &left], small);
                out.push(&["INCR", &right], small);
                out.push(&["EXEC"], self.heard(What::Pair, Silent::Pair));
                Effect::None
            }
            Request::SetAlike(value) => {
                let pair = |key| [key, value.to_string()];
                let words = std::iter::once("MSET".to_owned());
                let words: Vec<String> = words.chain(alike_keys().flat_map(pair)).collect();
                out.push(&words, self.heard(What::Small, Silent::Other));
                Effect::None
            }
            Request::GetAlike => {
                let what = self.heard(What::Alike, Silent::Other);
                let words: Vec<String> =
                    std::iter::once("MGET".to_owned()).chain(alike_keys()).collect();
                out.push(&words, if is_queued { any } else { what });
                Effect::None
            }
            Request::Block { words, forever } => {
                out.push(words, if is_queued { any } else { What::Late });
                if *forever && !is_queued { Effect::WaitsForever } else { Effect::None }
            }
            Request::Pausing(words) => {
                out.push(words, What::Pausing);
                Effect::Pauses
            }
            Request::Flush(words) => {
                out.push(words, any);
                Effect::Flushes
            }
            _ => self.send_about_others(request, around, out),
        }
    }

    fn send_about_others(
        &mut self,
        request: &Request,
        around: &Around,
        out: &mut Outgoing<'_>,
    ) -> Effect {
        let any = self.heard(What::Any, Silent::Other);
        match request {
            Request::Related { slot, words, kills } => {
                let id = around.ids[*slot].unwrap_or(0).to_string();
                let named = |word: &Vec<u8>| match word.as_slice() {
                    b"{id}" => id.clone().into_bytes(),
                    _ => word.clone(),
                };
                out.push(&words.iter().map(named).collect::<Words>(), any);
                if *kills { Effect::Kills(*slot) } else { Effect::None }
            }
            Request::KillSubscribers => {
                out.push(&["CLIENT", "KILL", "TYPE", "pubsub"], any);
                Effect::KillsSubscribers
            }
            Request::Limit(at) => {
                let room = (around.used_bytes + ROOM_BYTES).to_string();
                let line = LIMITS[*at].line.replace("{used+}", &room);
                let words: Vec<&str> =
                    ["CONFIG", "SET"].into_iter().chain(line.split('|')).collect();
                out.push(&words, any);
                Effect::Limits(LIMITS[*at].outcome)
            }
            _ => {
                assert_eq!(*request, Request::Monitor, "all others are sent elsewhere");
                out.push(&["MONITOR"], any);
                self.monitors = true;
                Effect::None
            }
        }
    }

    fn set_replies(&mut self, replies: Replies, out: &mut Outgoing<'_>) {
        let silence = What::Silence(Silent::Other);
        let (word, what) = match replies {
            Replies::On => ("ON", What::Any),
            Replies::Off => ("OFF", silence),
            Replies::Skip => ("SKIP", silence),
        };
        out.push(&["CLIENT", "REPLY", word], what);
        let stays_off = (self.replies, replies) == (Replies::Off, Replies::Skip);
        self.replies = if stays_off { Replies::Off } else { replies };
    }

    fn change_subscription(&mut self, request: &Request, out: &mut Outgoing<'_>) {
        match request {
            Request::Subscribe(kind, number) => {
                out.push(&[kind.command("SUBSCRIBE"), kind.name(*number)], What::Any);
                self.subscribed.insert((*kind, *number));
            }
            Request::Unsubscribe(kind, Some(number)) => {
                out.push(&[kind.command("UNSUBSCRIBE"), kind.name(*number)], What::Any);
                self.subscribed.remove(&(*kind, *number));
            }
            Request::Unsubscribe(kind, None) => {
                let of_kind = self.subscribed.iter().filter(|(of, _)| of == kind).count();
                out.push(&[kind.command("UNSUBSCRIBE")], What::Any);
                // One reply for each channel, and one also if there was none.
                (1..of_kind).for_each(|_| out.note(What::Any));
                self.subscribed.retain(|(of, _)| of != kind);
            }
            _ => unreachable!("only subscriptions come here"),
        }
    }

    /// What is expected, if anything is answered.
    fn heard(&self, what: What, silent: Silent) -> What {
        if self.replies == Replies::On { what } else { What::Silence(silent) }
    }

    fn unskip(&mut self) {
        if self.replies == Replies::Skip {
            self.replies = Replies::On;
        }
    }
}

/// The key of a connection's counter.
pub fn counter_key(number: usize, counter: usize) -> String {
    format!("own{counter}:{number}")
}

/// The keys that only transactions of this connection change, always both.
pub fn pair_keys(number: usize) -> [String; 2] {
    [format!("left:{number}"), format!("right:{number}")]
}

/// The keys that always have one value.
pub fn alike_keys() -> impl Iterator<Item = String> {
    (0..ALIKE).map(|number| format!("alike:{number}"))
}

#[test]
fn each_request_has_as_many_replies_as_the_state_says() {
    let subscribe = |number| Request::Subscribe(Channels::Named, number);
    let check = |requests: &[Request], expected: &[What]| {
        let (mut session, mut bytes) = (Session::default(), Vec::new());
        let around = Around { number: 1, ids: [None; SLOTS], used_bytes: 0 };
        let mut out = Outgoing { bytes: &mut bytes, replies: Vec::new() };
        for request in requests {
            session.send(request, &around, &mut out);
        }
        let replies: Vec<What> = out.replies.iter().map(|reply| reply.0).collect();
        assert_eq!(replies, expected, "{requests:?}");
    };
    let (any, small, silence) = (What::Any, What::Small, What::Silence(Silent::Other));
    check(&[Request::Pair], &[small, small, small, What::Pair]);
    check(
        &[Request::Multi, Request::Count(0), Request::Pair, Request::Exec],
        &[any, any, small, any],
    );
    check(&[subscribe(0), subscribe(1), Request::Count(0)], &[any, any, small]);
    check(&[subscribe(0), subscribe(1), Request::Unsubscribe(Channels::Named, None)], &[any; 4]);
    check(&[Request::Unsubscribe(Channels::Patterns, None)], &[any]);
    let skip = Request::Replies(Replies::Skip);
    check(
        &[skip, Request::Count(0), Request::Count(1)],
        &[silence, What::Silence(Silent::Count(0)), What::Count(1)],
    );
    let (off, on) = (Request::Replies(Replies::Off), Request::Replies(Replies::On));
    check(&[off, Request::Quit, on, Request::Count(2)], &[silence, silence, any, What::Count(2)]);
    check(&[Request::Monitor, Request::Count(0), Request::Quit], &[any, small, any]);
    check(&[Request::Empty("\r\n"), Request::Broken("*x\r\n")], &[What::Maybe]);
}
