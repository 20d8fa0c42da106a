//! Logs of the primary that this node follows, each by a connection of its own: connected here,
//! applied by shards.

use crate::flows::barrier::Epoch;
use crate::flows::following::{Broken, News, Word};
use crate::flows::incoming::Place;
use crate::flows::kept::Which;
use crate::mail::board::Traffic;
use crate::mail::flows::{FlowWord, Follow};
use crate::mail::mailbox::Mailbox;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::reactor::system;
use crate::reactor::wake::Awaited;
use crate::relay::opening::Opening;
use crate::relay::upstream::Upstream;
use crate::relay::upstream::settings::{credentials as credentials_of, limits};
use crate::replication::address::Address;
use crate::replication::handshake::Credentials;
use crate::replication::history::{Fence, OFFSET_MAX, Scalar, Vector};
use crate::replication::link::events::{self, Event, Generation, Point, Position};
use crate::replication::link::report::Observed;
use crate::replication::moment::Moment;
use crate::replication::psync;
use crate::replication::replid::ReplId;
use crate::replication::resume::Former;
use crate::replication::split::Unit;
use shards::base::number::parse_u64;

/// How an announcement begins.
const ANNOUNCEMENT: &[u8] = b"*5\r\n$7\r\nKEYLANE\r\n$5\r\nFLOWS\r\n";

/// What a primary says in place of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// By which connections name the logs.
    pub name: ReplId,
    /// Where in the stream they are announced.
    pub place: Scalar,
    /// What they add up to where they begin.
    pub scalar: Scalar,
    /// Where they begin.
    pub vector: Vector,
}

/// A primary's logs, as shards keep them.
#[derive(Clone, Copy, Debug)]
pub struct KeptLogs {
    /// Their history.
    pub history: ReplId,
    /// How many they are.
    pub logs: usize,
    /// The name of the stream that this node makes of them: each node joins them in another order.
    pub stream: ReplId,
}

/// Logs have begun that are others than before.
#[derive(Debug)]
pub struct Begun {
    /// Where.
    pub at: Fence,
    /// The history that went on as theirs, if the data were in it before.
    pub former: Option<Former>,
}

/// The logs of one attempt to follow.
#[derive(Debug)]
pub struct Inflows {
    /// The attempt.
    pub generation: Generation,
    /// The history that they are of.
    pub history: ReplId,
    at: Announced,
    /// They are only stored for now: the snapshot is on its way from which they go on.
    stores: bool,
    /// When the primary is to have agreed on all connections.
    until: Moment,
    /// Connections that the primary has not agreed on.
    opening: Vec<Opening>,
    /// They are to end.
    held: Option<Asked>,
    /// They are to rest, or do.
    rests: Option<Asked>,
    /// How often they have rested.
    rests_before: u64,
}

/// Shards are asked where they are.
#[derive(Debug)]
struct Asked {
    /// Those that have not said so.
    missing: usize,
    /// What others have said.
    places: Vec<(u16, Place)>,
}

impl Announced {
    /// What `KEYLANE FLOWS name scalar vector` says. `None` if it is another unit.
    pub fn of(unit: &Unit<'_>) -> Option<Self> {
        if !unit.raw.starts_with(ANNOUNCEMENT) {
            return None;
        }
        let args: Vec<&[u8]> = unit.commands().next()?.args().collect();
        let &[_, _, name, scalar, vector] = args.as_slice() else { return None };
        let name = ReplId::parse(name)?;
        let scalar = parse_u64(scalar).filter(|scalar| *scalar <= OFFSET_MAX).map(Scalar)?;
        let place = unit.offset;
        Vector::parse(vector).map(|vector| Self { name, place, scalar, vector })
    }
}

impl Inflows {
    /// Begins to connect. What comes is stored until [`Self::apply`] if `stores`.
    ///
    /// # Errors
    /// Why there is no way to the primary.
    pub fn begin(
        (generation, history): (Generation, ReplId),
        (primary, credentials): (&Address, Option<&Credentials>),
        (at, stores): (Announced, bool),
        until: Moment,
    ) -> Result<Self, String> {
        let mut opening = Vec::new();
        for (flow, offset) in (0..).zip(at.vector.offsets()) {
            let (number, offset) = (flow.to_string(), offset.to_string());
            let words = [
                b"KEYLANE",
                &b"FLOW"[..],
                at.name.as_bytes(),
                number.as_bytes(),
                offset.as_bytes(),
            ];
            opening.push(Opening::begin(generation, primary, credentials, flow, &words)?);
        }
        let (held, rests, rests_before) = (None, None, 0);
        Ok(Self { generation, history, at, stores, until, opening, held, rests, rests_before })
    }

    /// Has shards keep them, from where they begin on.
    fn keep(&self, mailbox: &mut Mailbox<ToRelay>) {
        // A vector has no more offsets than logs have numbers.
        let logs = u16::try_from(self.logs()).unwrap_or(u16::MAX);
        for (number, offset) in (0..).zip(self.at.vector.offsets()) {
            let which = Which { history: self.history, logs, number };
            let word = ToShard::Flow(FlowWord::Keep(which, *offset));
            mailbox.send(mailbox.shard_of(number), word);
        }
    }

    /// How many they are.
    pub fn logs(&self) -> usize {
        self.at.vector.offsets().len()
    }

    /// Goes on to connect.
    ///
    /// # Errors
    /// Why a log will not come.
    pub fn go_on(
        &mut self,
        now: Moment,
        traffic: &mut Traffic,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> Result<(), String> {
        if self.rests.is_some() {
            return Ok(());
        }
        if self.until < now && !self.opening.is_empty() {
            return Err("the connection for a log was not answered".to_owned());
        }
        let mut left = Vec::new();
        for mut opening in std::mem::take(&mut self.opening) {
            let Some(unread) = opening.go_on(traffic)? else {
                left.push(opening);
                continue;
            };
            let (flow, dial) = opening.into_parts();
            let offset = self.at.vector.offsets()[usize::from(flow)];
            let socket = dial.into_blocking().map_err(|error| crate::process::plain(&error))?;
            let Self { generation, history, stores, .. } = *self;
            let follow = Follow { generation, history, flow, offset, stores, socket, unread };
            mailbox.send(mailbox.shard_of(flow), ToShard::Flow(FlowWord::Follow(Box::new(follow))));
        }
        self.opening = left;
        Ok(())
    }

    /// Whether they are only stored: the snapshot from which they go on is not the data yet.
    pub fn are_stored(&self) -> bool {
        self.stores
    }

    /// Whether they are those of an announcement, and go on from a snapshot of this history.
    pub fn are(&self, announced: &Announced, history: ReplId) -> bool {
        self.at == *announced && self.history == history
    }

    /// Their snapshot is the data: has all shards apply what they have stored, and what comes.
    pub fn apply(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        if std::mem::take(&mut self.stores) {
            tell_all(mailbox, || Word::Apply(self.generation));
        }
    }

    /// What everything adds up to that is applied.
    pub fn applied(&self, mailbox: &Mailbox<ToRelay>) -> Scalar {
        self.at.scalar.after(mailbox.followed())
    }

    /// Has all shards end what is under way, and say where they are.
    pub fn hold(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        if self.held.is_some() {
            return;
        }
        self.opening.drain(..).for_each(Opening::end);
        tell_all(mailbox, || Word::Hold(self.generation));
        self.held = Some(Asked::all(mailbox));
        self.rests = None;
    }

    /// Has all shards begin nothing more, and say where they are when nothing is under way. Those
    /// that are to end do so by that.
    pub fn rest(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        if self.held.is_none() && self.rests.is_none() {
            let epoch = self.epoch();
            tell_all(mailbox, || Word::Rest(epoch));
            self.rests = Some(Asked::all(mailbox));
        }
    }

    /// Has all shards go on, if they rest.
    pub fn go_on_behind_rest(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        if self.rests.take().is_some() {
            self.rests_before += 1;
            let epoch = self.epoch();
            tell_all(mailbox, || Word::GoOn(epoch));
        }
    }

    fn epoch(&self) -> Epoch {
        Epoch { generation: self.generation, rests: self.rests_before }
    }

    /// Whether they are to end.
    pub fn is_ending(&self) -> bool {
        self.held.is_some()
    }

    /// A shard says where it is. When it is the last: what this node has of all logs.
    pub fn hear_of_held(&mut self, places: Vec<(u16, Place)>) -> Option<(Scalar, Vector)> {
        let held = self.held.as_mut()?;
        held.note(places).then(|| held.add_up(&self.at))
    }

    /// The same of a shard that rests.
    fn hear_of_rest(&mut self, places: Vec<(u16, Place)>) -> Option<(Scalar, Vector)> {
        let rests = self.rests.as_mut()?;
        rests.note(places).then(|| rests.add_up(&self.at))
    }

    /// What is waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        self.opening.iter().flat_map(Opening::awaited)
    }
}

impl Asked {
    fn all(mailbox: &Mailbox<ToRelay>) -> Self {
        Self { missing: mailbox.shards(), places: Vec::new() }
    }

    /// Notes what a shard says. True if it is the last.
    fn note(&mut self, places: Vec<(u16, Place)>) -> bool {
        self.places.extend(places);
        self.missing = self.missing.saturating_sub(1);
        self.missing == 0
    }

    /// What this node has of all logs that have begun at a place.
    fn add_up(&self, at: &Announced) -> (Scalar, Vector) {
        let Announced { mut scalar, mut vector, .. } = at.clone();
        for (flow, place) in &self.places {
            scalar = scalar.after(place.weight);
            vector.offsets_mut()[usize::from(*flow)] = place.offset;
        }
        (scalar, vector)
    }
}

impl Upstream {
    /// A shard says something of the primary's logs.
    pub fn hear_of_flows(&mut self, now: Moment, news: News, mailbox: &mut Mailbox<ToRelay>) {
        self.now = now;
        let Some(flows) = &mut self.flows else { return };
        let (generation, are_stored) = (flows.generation, flows.are_stored());
        match news {
            News::Broken(of, why) if of == generation && !flows.is_ending() => {
                let event = match why {
                    Broken::Closed => lost(of, "a log has ended".to_owned()),
                    Broken::Stream(why) => lost(of, why),
                    // Nothing of them is in the data.
                    Broken::Unappliable(why) if are_stored => lost(of, why),
                    Broken::Unappliable(why) => Event::Unappliable(why),
                };
                self.happens(event, mailbox);
            }
            News::GetAck(of) if of == generation => {
                self.note_applied(&mut None, mailbox);
                self.happens(Event::GetAck, mailbox);
            }
            News::Held(of, places) if of == generation => {
                let Some((scalar, vector)) = flows.hear_of_held(places) else { return };
                self.flows = None;
                if !are_stored {
                    self.happens(Event::FlowsHeld(scalar, vector), mailbox);
                }
                self.connect_after_logs();
            }
            News::Rests(epoch, places) if epoch == flows.epoch() => {
                let id = flows.history;
                if let Some((offset, vector)) = flows.hear_of_rest(places) {
                    let position = Position { id, offset, db: 0 };
                    let point = Point { position, vector: Some(vector) };
                    self.is_held_at(Some(point), mailbox);
                }
            }
            // Of an attempt that is over.
            _ => {}
        }
    }

    /// Goes on to connect what brings the primary's logs.
    pub(super) fn go_on_with_flows(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let Some(flows) = &mut self.flows else { return };
        let generation = flows.generation;
        if let Err(why) = flows.go_on(self.now, &mut self.traffic, mailbox) {
            self.happens(lost(generation, why), mailbox);
        }
    }

    /// Begins with the logs that were announced, once all that came of the stream is applied: it
    /// has no order with what logs bring, and is acknowledged with them.
    pub(super) fn begin_announced(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        let is_due = self.has_applied_all();
        if let Some(announced) = self.announced.take_if(|_| is_due) {
            self.begin_flows(announced, mailbox);
        }
    }

    /// The primary sends each log by a connection of its own.
    fn begin_flows(&mut self, announced: Announced, mailbox: &mut Mailbox<ToRelay>) {
        let Observed { generation, desired, .. } = self.link.observed();
        let (Some(primary), Some(before)) = (desired.primary.clone(), self.link.point()) else {
            return;
        };
        let is_awaited = self.config.repl_native && self.applied_flows().is_none();
        if !is_awaited || announced.place != announced.scalar {
            let why = "logs come that were not asked for, or not from here on";
            return self.happens(Event::Unappliable(why.to_owned()), mailbox);
        }
        // What came of the stream was the announcement: the data are where they were.
        let at = Fence { scalar: announced.scalar, vector: announced.vector.clone() };
        self.happens(Event::FlowsBegan(at.clone()), mailbox);
        let Some(Position { id, .. }) = self.link.position() else { return };
        let is_elsewhere = |vector: &Vector| before.position.id == id && *vector != at.vector;
        if before.vector.as_ref().is_some_and(is_elsewhere) {
            let why = "logs come from another place than was asked for".to_owned();
            return self.happens(Event::Unappliable(why), mailbox);
        }
        let begun = match self.take_stored(&announced, id) {
            Some(stored) => stored,
            None => self.open_logs((generation, id), &primary, (announced, false)),
        };
        match begun {
            Ok(mut flows) => {
                flows.keep(mailbox);
                flows.apply(mailbox);
                let logs = flows.logs();
                self.flows = Some(flows);
                if self.kept.as_ref().is_none_or(|kept| kept.history != id) {
                    let stream = ReplId::of_random(system::random());
                    self.kept = Some(KeptLogs { history: id, logs, stream });
                    let former = self.former_of(&before, &at);
                    self.begun = Some(Begun { at, former });
                }
            }
            Err(why) => self.happens(lost(generation, why), mailbox),
        }
    }
}

fn tell_all(mailbox: &mut Mailbox<ToRelay>, word: impl Fn() -> Word) {
    for shard in 0..mailbox.shards() {
        mailbox.send(shard, ToShard::Flow(FlowWord::Following(word())));
    }
}

impl Upstream {
    /// Opens the connections of logs.
    pub(super) fn open_logs(
        &self,
        which: (Generation, ReplId),
        primary: &Address,
        logs: (Announced, bool),
    ) -> Result<Inflows, String> {
        let credentials = credentials_of(&self.config);
        let until = self.now.after(limits(&self.config).step_ms);
        Inflows::begin(which, (primary, credentials.as_ref()), logs, until)
    }

    /// The history whose logs go on as others at this place. `None`: the data are new here.
    fn former_of(&self, before: &Point, at: &Fence) -> Option<Former> {
        let Point { position: Position { id, .. }, vector } = before;
        if vector.is_some() && self.link.position().is_some_and(|position| position.id != *id) {
            let (id, scalar, vector) = (*id, at.scalar, vector.clone());
            return Some(Former { id, scalar, vector, is_fence: false, goes_on: false });
        }
        // It got its present name when it went on as a stream, from a place of that.
        let psync::Former { id, until } = self.former.filter(|former| former.until == at.scalar)?;
        let ended = self.ended.as_ref().filter(|ended| ended.scalar == until);
        let vector = ended.map(|ended| ended.vector.clone());
        Some(Former { id, scalar: until, vector, is_fence: true, goes_on: false })
    }
}

/// The connection of an attempt has ended: why.
pub(super) fn lost(generation: Generation, why: String) -> Event<'static> {
    Event::Of(generation, events::News::Closed(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::split::Split;
    use shards::resp::request;

    #[test]
    fn an_announcement_names_logs_and_where_they_begin() {
        let name = "c0ffee".repeat(6) + "0123";
        for (command, is_one) in [
            (["KEYLANE", "FLOWS", &name, "7", "5,0"], true),
            (["KEYLANE", "FLOWS", "name", "7", "5,0"], false),
            (["KEYLANE", "FLOWS", &name, "18446744073709551615", "5,0"], false),
            (["KEYLANE", "FLOWS", &name, "7", "5,"], false),
            (["KEYLANE", "OTHER", &name, "7", "5,0"], false),
        ] {
            let mut split = Split::new(Scalar(7), 0, u64::MAX, usize::MAX);
            split.push(&request::encode(&command));
            assert_eq!(split.advance(), Ok(true));
            let announced = Announced::of(&split.unit().expect("it is whole"));
            assert_eq!(announced.is_some(), is_one, "{command:?}");
            let place = announced.map(|announced| (announced.place, announced.scalar));
            assert_eq!(place, is_one.then_some((Scalar(7), Scalar(7))), "{command:?}");
        }
    }
}
