//! Which logs this node has for replicas that take each by a connection of their own: those that it
//! writes, or those that it keeps of its primary; and those of the history before.

use crate::mail::flows::FlowWord;
use crate::mail::mailbox::Mailbox;
use crate::mail::replica::{Arrival, LogsOf};
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::relay::core::Relay;
use crate::relay::inflows::Begun;
use crate::relay::peer::limits;
use crate::relay::stream::Stream;
use crate::relay::upstream::Upstream;
use crate::replication::history::{Fence, Scalar, Whose};
use crate::replication::psync::{Request, Stream as Named};
use crate::replication::replid::ReplId;
use crate::replication::resume::{self, Facts, Former, Has, Place};
use crate::replication::session::Event;
use crate::replication::session::ended::Cut;

/// Snapshots of which it is remembered where they are in the logs.
const CUTS_MAX: usize = 16;

/// The logs of the history that is written now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    /// The history.
    pub(super) id: ReplId,
    /// Whose logs they are here.
    pub(super) whose: Whose,
    /// How many they are.
    logs: usize,
}

impl Relay {
    /// The primary that this node follows, if it follows one.
    pub(super) fn followed(&self) -> Option<&Upstream> {
        self.upstream.as_deref().filter(|upstream| upstream.is_active())
    }

    /// Whether replicas may have logs: this node's own, which begin with the first of them, or
    /// those of its primary.
    pub(super) fn serves_flows(&self) -> bool {
        self.config.repl_native && self.followed().is_none_or(Upstream::takes_logs)
    }

    /// The logs that replicas may have. `None`: there are none, or they are for none.
    pub(super) fn present(&self) -> Option<Present> {
        if !self.serves_flows() {
            return None;
        }
        match self.followed() {
            Some(upstream) => {
                let kept = upstream.kept.as_ref()?;
                let id = kept.history;
                Some(Present { id, whose: Whose::Kept(id), logs: kept.logs })
            }
            None => {
                let LogsOf { replid: id, .. } = self.logs?;
                Some(Present { id, whose: Whose::Own, logs: self.mailbox.shards() })
            }
        }
    }

    /// What all logs add up to now; of a primary's, what is applied.
    pub(super) fn end_of_logs(&self) -> Scalar {
        if let Some(upstream) = self.followed() {
            return upstream.applied_now(&self.mailbox);
        }
        let base = self.logs.map_or(Scalar(0), |logs| logs.base);
        base.after(self.mailbox.logged())
    }

    /// Where in which logs a replica goes on that wants that; `None` if it is in none of them.
    pub(super) fn place_in_logs(&self, arrival: &Arrival) -> Option<Place> {
        let Request::Psync(wanted) = arrival.request else { return None };
        let Named::Named(history) = wanted.stream else { return None };
        let (flows, scalar) = (arrival.greeting.flows()?, arrival.request.has()?);
        let Present { id: present, logs, .. } = self.present()?;
        let has = Has { history, scalar, vector: flows.vector.as_ref() };
        let (began, former, cuts) = (self.began.as_ref(), self.former.as_ref(), &self.cuts);
        let lacks_max = limits(&self.config).hard_bytes();
        let end = self.end_of_logs();
        resume::place(&has, &Facts { present, logs, end, began, former, cuts, lacks_max })
    }

    /// Replicas go on from no place that is not in the present logs.
    pub(super) fn forget_places(&mut self) {
        (self.began, self.former) = (None, None);
        self.cuts.clear();
    }

    /// Remembers where a snapshot is in the logs.
    pub(super) fn note_cut(&mut self, cut: &Fence) {
        if CUTS_MAX <= self.cuts.len() {
            self.cuts.pop_front();
        }
        self.cuts.push_back(cut.clone());
    }

    /// A primary's logs have begun that are not the ones which replicas of this node have.
    pub(super) fn logs_have_begun(&mut self, begun: Begun) {
        let Begun { at, former } = begun;
        let reading = self.next_reading();
        let Some(kept) = self.upstream.as_mut().and_then(|upstream| upstream.kept.as_mut()) else {
            return;
        };
        let whose = Whose::Kept(kept.history);
        let histories = [Some(kept.history), former.as_ref().map(|former| former.id)];
        let histories: Vec<ReplId> = histories.into_iter().flatten().collect();
        retain_logs(&histories, &mut self.mailbox);
        // Bytes that this node has made of the history before go on with those of this one.
        let goes_on = |stream: &Stream| former.is_some() && stream.end() == at.scalar;
        match &mut self.stream {
            Some(stream) if goes_on(stream) => {
                if stream.is_of_kept_logs() {
                    kept.stream = stream.replid;
                } else {
                    // So far they were the history's, and from here on the primary makes others.
                    stream.replid = kept.stream;
                }
                stream.lead(whose, at.clone(), reading, &self.config, &mut self.mailbox);
                self.cut_flows();
            }
            Some(_) | None => {
                self.stream = None;
                self.cut_all(Cut::History);
            }
        }
        self.began = former.is_some().then_some(at);
        self.cuts.clear();
        self.former = former;
    }

    /// This node's own history begins, and the one before ended so.
    pub(super) fn history_has_ended(&mut self, former: Option<Former>) {
        let histories: Vec<ReplId> = former.iter().map(|former| former.id).collect();
        retain_logs(&histories, &mut self.mailbox);
        self.former = former;
    }

    /// Sessions that take logs end: the replicas are to ask anew.
    fn cut_flows(&mut self) {
        self.decide_anew();
        self.with_peers(|peer, now, _, todo| {
            if peer.flows.is_some() {
                peer.session.handle(now, Event::Cut(Cut::History), todo);
            }
        });
    }
}

/// Has shards keep logs of these histories alone.
pub(super) fn retain_logs(histories: &[ReplId], mailbox: &mut Mailbox<ToRelay>) {
    for shard in 0..mailbox.shards() {
        let word = FlowWord::Retain(histories.to_vec());
        mailbox.send(shard, ToShard::Flow(word));
    }
}
