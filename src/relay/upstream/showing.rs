//! What control is told of the primary.

use super::{Upstream, VIEW_MILLIS};
use crate::mail::mailbox::Mailbox;
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::{LinkView, LinkWord};
use crate::relay::dial::Dial;
use crate::relay::inflows::Inflows;
use crate::relay::stream::Stream;
use crate::replication::link::report::{Observed, Status};

impl Upstream {
    /// Tells control what there is to show, and when nothing is followed and under way any more.
    pub(super) fn tell_control(&mut self, stream: Option<&Stream>, mailbox: &mut Mailbox<ToRelay>) {
        let status = self.link.observed().status;
        let end = self.link.position().map(|position| position.offset);
        // What is applied of logs is to be in the stream that was made of them.
        let lacks = |stream: &Stream| stream.is_of_kept_logs() && Some(stream.end()) < end;
        let is_applied =
            self.dispatch.is_empty() && self.flows.is_none() && !stream.is_some_and(lacks);
        let is_applied = is_applied && !self.is_emptying;
        let has_ended = self.is_ending && status == Status::Idle && is_applied;
        // What logs bring is looked at by control itself, as soon as it knows that they do.
        let logs = self.applied_flows().map_or(0, Inflows::logs);
        let is_other = |view: &LinkView| view.status.name() != status.name() || view.logs != logs;
        if has_ended
            || self.view.as_ref().is_none_or(is_other)
            || VIEW_MILLIS <= self.now.since(self.told_at)
        {
            self.told_at = self.now;
            let view = self.look();
            if self.view.as_ref() != Some(&view) {
                self.view = Some(view.clone());
                mailbox.tell_control(ToControl::Link(LinkWord::View(Box::new(view))));
            }
        }
        if has_ended {
            self.is_ending = false;
            mailbox.tell_control(ToControl::Link(LinkWord::Ended));
        }
    }

    /// Whether more has come, or is applied, than control was told.
    pub(super) fn is_view_old(&self) -> bool {
        let Observed { read, applied, .. } = self.link.observed();
        self.view.as_ref().is_some_and(|view| view.read != read || view.applied != applied)
    }

    fn look(&self) -> LinkView {
        let Observed {
            desired,
            status,
            attempts,
            last_failure,
            last_io,
            down_since,
            snapshot_bytes,
            read,
            applied,
            ..
        } = self.link.observed();
        LinkView {
            primary: desired.primary.clone(),
            status,
            last_io,
            down_since,
            attempts,
            last_failure: last_failure.map(ToString::to_string),
            snapshot_bytes,
            known: self.dial.as_ref().filter(|_| status.is_up()).and_then(Dial::known),
            position: self.link.position(),
            vector: self.link.point().and_then(|point| point.vector),
            logs: self.applied_flows().map_or(0, Inflows::logs),
            read,
            applied,
        }
    }
}
