//! What the role of the node makes of its stream: the bytes of the primary that it follows, or a
//! history of its own that goes on from them.

use std::sync::Arc;

use crate::mail::replica::{Beginning, LogsOf};
use crate::mail::to_control::ToControl;
use crate::mail::upstream::{LinkWord, UpstreamWord};
use crate::relay::core::Relay;
use crate::relay::upstream::{Renewal, Upstream};
use crate::replication::greeting::member::Identity;
use crate::replication::history::Whose;
use crate::replication::psync::{Foreign, Former};
use crate::replication::replid::ReplId;
use crate::replication::session::ended::Cut;

impl Relay {
    /// Control says whom this node follows.
    pub(super) fn hear_of_upstream(&mut self, word: UpstreamWord) {
        let now = self.now();
        match &word {
            UpstreamWord::Unfollow(_) => self.is_between |= self.followed().is_some(),
            // Behind it this node follows, or goes on with the history that it had.
            UpstreamWord::Follow { .. } | UpstreamWord::Forget => self.is_between = false,
            UpstreamWord::AskPlainly
            | UpstreamWord::Committed(_)
            | UpstreamWord::Emptied(_)
            | UpstreamWord::LogsEnded(_)
            | UpstreamWord::Keep(_)
            | UpstreamWord::Hold
            | UpstreamWord::GoOn
            | UpstreamWord::Cut => {}
        }
        if let UpstreamWord::Follow { routing, config, .. } = &word {
            // It is to become another's replica, not a primary.
            self.undecided.append(&mut self.promoting);
            let upstream = self.upstream.get_or_insert_with(|| {
                Box::new(Upstream::new(now, Arc::clone(config), (**routing).clone()))
            });
            upstream.introduce(self.identity.clone());
        }
        let Some(upstream) = &mut self.upstream else {
            // No primary was ever followed.
            let word = match word {
                UpstreamWord::Unfollow(_) => LinkWord::Ended,
                UpstreamWord::Hold => LinkWord::Held(None),
                UpstreamWord::Follow { .. }
                | UpstreamWord::AskPlainly
                | UpstreamWord::Forget
                | UpstreamWord::Committed(_)
                | UpstreamWord::Emptied(_)
                | UpstreamWord::LogsEnded(_)
                | UpstreamWord::Keep(_)
                | UpstreamWord::GoOn
                | UpstreamWord::Cut => return,
            };
            return self.mailbox.tell_control(ToControl::Link(word));
        };
        upstream.hear(now, word, self.stream.as_mut(), &mut self.mailbox);
        self.note_renewal();
    }

    /// Control says which node this is.
    pub(super) fn introduce(&mut self, identity: Identity) {
        let now = self.now();
        if let Some(upstream) = &mut self.upstream {
            upstream.introduce(identity.clone());
            upstream.retry(now, &mut self.mailbox);
        }
        self.identity = identity;
    }

    /// Goes on following.
    pub(super) fn see_to_upstream(&mut self) {
        let now = self.now();
        let Some(upstream) = &mut self.upstream else { return };
        self.has_more = upstream.turn(now, &mut self.stream, &mut self.mailbox);
        self.note_renewal();
    }

    /// Those who want the stream are to ask anew if it is another one or has another name.
    fn note_renewal(&mut self) {
        if let Some(begun) = self.upstream.as_mut().and_then(|upstream| upstream.begun.take()) {
            return self.logs_have_begun(begun);
        }
        let renewal = self.upstream.as_mut().and_then(|upstream| upstream.take_renewal());
        let Some(renewal) = renewal else { return };
        self.awaits_fence = false;
        self.cut_all(Cut::History);
        match renewal {
            Renewal::Name => {}
            Renewal::Stream(stream) => {
                self.stream = stream.map(|stream| *stream);
                self.forget_places();
            }
        }
    }

    /// The history goes on under another name, and from no other.
    pub(super) fn rename(&mut self, replid: ReplId) {
        self.cut_all(Cut::History);
        self.logs.iter_mut().for_each(|logs| logs.replid = replid);
        self.forget_places();
        if let Some(stream) = &mut self.stream {
            (stream.replid, stream.former, stream.foreign) = (replid, None, None);
        }
        self.undecided.append(&mut self.promoting);
    }

    /// This node's own history begins, or goes on under another name. Those who want the stream
    /// are to ask anew, and may go on.
    pub(super) fn begin(&mut self, beginning: Beginning) {
        let Beginning { replid, former, ended, fence, base } = beginning;
        self.is_between = false;
        self.cut_all(Cut::History);
        let reading = self.next_reading();
        (self.logs, self.began) = (Some(LogsOf { replid, base }), Some(fence.clone()));
        self.cuts.clear();
        self.history_has_ended(ended);
        let kept = self.upstream.as_ref().and_then(|upstream| upstream.kept);
        let (mut former, mut foreign) = (former, None);
        match &mut self.stream {
            Some(stream) if stream.is_of_own_logs() => {}
            Some(stream) => {
                if let Some(kept) = kept.filter(|_| stream.is_of_kept_logs()) {
                    // The primary made another stream of them, the same at this place alone.
                    let of_primary = |Former { id, until }| Foreign { id, fence: until };
                    foreign = former.map(of_primary);
                    let own = Former { id: kept.stream, until: fence.scalar };
                    former = Some(own).filter(|own| own.until == stream.end());
                }
                stream.lead(Whose::Own, fence, reading, &self.config, &mut self.mailbox);
            }
            None => self.begin_at(replid, Whose::Own, fence),
        }
        if let Some(stream) = &mut self.stream {
            (stream.replid, stream.former, stream.foreign) = (replid, former, foreign);
        }
        self.undecided.append(&mut self.promoting);
    }
}
