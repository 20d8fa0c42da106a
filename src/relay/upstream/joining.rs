//! How the stream of this node fits to its data: where a primary's goes on, and where it is while
//! nothing is under way.

use super::{Hold, Renewal, Upstream};
use crate::mail::mailbox::Mailbox;
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::{Held, LinkWord};
use crate::relay::stream::Stream;
use crate::replication::history::Scalar;
use crate::replication::link::events::Point;
use crate::replication::link::report::Observed;

impl Upstream {
    /// Begins the stream anew with what the data are.
    pub(super) fn begin_stream(&mut self) {
        let begin = |position| Stream::of_primary(position, self.former, &self.config);
        let position = self.link.position().filter(|_| !self.link.is_in_logs());
        self.renewal = Some(Renewal::Stream(position.map(begin).map(Box::new)));
    }

    /// Shards log no more: the primary's stream goes on where the own one ended.
    pub(super) fn join(&mut self, stream: Option<&mut Stream>) {
        if self.link.is_in_logs() {
            return; // It is told for each attempt, and an earlier one has begun with logs.
        }
        let end = self.link.position().map(|position| position.offset);
        match stream {
            Some(stream) if stream.is_of_primary() => {}
            Some(stream) if Some(stream.end()) == end => stream.follow(),
            Some(_) | None => self.begin_stream(),
        }
    }

    /// Gives the stream the name that the primary has given it.
    pub(super) fn rename(&mut self, stream: &mut Option<Stream>) {
        if let (Some(Renewal::Name), Some(stream), Some(position)) =
            (&self.renewal, stream, self.link.position())
        {
            (stream.replid, stream.former) = (position.id, self.former);
        }
    }

    /// Tells control what it waits for: that the stream goes on where the own one has come to an
    /// end.
    pub(super) fn tell_of_place(
        &mut self,
        stream: &Option<Stream>,
        mailbox: &mut Mailbox<ToRelay>,
    ) {
        let Observed { status, generation, .. } = self.link.observed();
        let position = self.link.position();
        let is_own = stream.as_ref().is_none_or(Stream::is_of_own_logs);
        let has_all = |end: Scalar| stream.as_ref().is_none_or(|stream| end <= stream.end());
        if status.is_up()
            && is_own
            && !self.link.is_in_logs()
            && position.is_some_and(|position| has_all(position.offset))
            && self.resumed.replace(generation) != Some(generation)
        {
            mailbox.tell_control(ToControl::Link(LinkWord::Resumed));
        }
    }

    /// Tells control that nothing is under way, and what the data are, if it waits for that.
    pub(super) fn see_to_hold(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        if self.hold != Hold::Asked || !self.dispatch.is_empty() {
            return;
        }
        match self.flows.as_mut().filter(|flows| !flows.are_stored()) {
            Some(flows) => flows.rest(mailbox),
            None => self.is_held_at(self.link.point(), mailbox),
        }
    }

    /// Nothing is under way: the data are this.
    pub(in crate::relay) fn is_held_at(
        &mut self,
        point: Option<Point>,
        mailbox: &mut Mailbox<ToRelay>,
    ) {
        if self.hold == Hold::Asked {
            self.hold = Hold::Told;
            let stream = self.kept.as_ref().map(|kept| kept.stream);
            let held = point.map(|point| {
                let stream = stream.unwrap_or(point.position.id);
                Box::new(Held { point, stream })
            });
            mailbox.tell_control(ToControl::Link(LinkWord::Held(held)));
        }
    }
}
