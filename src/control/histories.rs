//! The history of this node, as the control thread sees to it: when its logs begin and end, and
//! under which name it goes on.
//!
//! ```text
//! primary: logs --REPLICAOF, FAILOVER--> demoted: a fence says where they are; role replica
//!    ^                                      |
//!    |                                      | the primary's stream goes on there, or a snapshot
//!    |                                      v
//!    '--NO ONE, FAILOVER: promoted---- replica: no logs
//! ```
//! A new name is drawn where a history begins. The former name stays good up to that place.

use shards::shard::Shard;

use crate::control::core::Control;
use crate::control::replicating::DATABASES_MAX;
use crate::control::standing::Wish;
use crate::log;
use crate::mail::query::Query;
use crate::mail::replica::{Beginning, LogWord};
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::{Held, LinkView, UpstreamWord};
use crate::persistence::walking::{Origin, OriginOf};
use crate::reactor::system;
use crate::replication::acks;
use crate::replication::history::{Fence, OFFSET_MAX, Scalar, Vector, Whose};
use crate::replication::link::events::{Point, Position};
use crate::replication::merge::SELECT_0;
use crate::replication::psync::Former;
use crate::replication::replid::ReplId;
use crate::replication::resume;
use crate::routing::node::Role;

impl Control {
    /// All that came of a primary is applied, and no more comes: clients are to write.
    pub(crate) fn promote(&mut self) {
        if self.is_replica() || self.node.condition.role == Role::Primary {
            return;
        }
        if std::mem::take(&mut self.following.keeps_history) && self.is_history_kept() {
            // What the link knows of the data is old as soon as clients write.
            self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Forget));
            return self.lead();
        }
        self.wish(Wish::Promote);
    }

    /// Whether nothing has come of another node since this one was a primary, and its logs go on.
    /// The target of a failover may have accepted just when that was called off: then the stream
    /// has the target's name already.
    fn is_history_kept(&self) -> bool {
        let position = self.following.view.as_ref().and_then(|view| view.position);
        let is_ours = position.is_none_or(|position| position.id == self.replicating.replid);
        self.replicating.logs && is_ours
    }

    /// Becomes a primary; all shards are claimed.
    pub(crate) fn promoted(&mut self) {
        if self.is_replica() || self.node.condition.role == Role::Primary {
            // REPLICAOF has overtaken it.
            return;
        }
        let is_flushed = std::mem::take(&mut self.following.is_flushed);
        let view = self.following.view.as_ref().filter(|_| !is_flushed);
        let point = view.and_then(|LinkView { position, vector, .. }| {
            Some(Point { position: (*position)?, vector: vector.clone() })
        });
        let ends_at = self.following.ends_at.take();
        // Nothing adds up to as much as a fence that lacks something in front of it.
        let is_exact = point.as_ref().is_none_or(|Point { position, vector }| {
            vector.is_none() || ends_at == Some(position.offset)
        });
        self.begin_history(point, is_exact);
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Forget));
        self.lead();
    }

    /// Clients write from now on.
    fn lead(&mut self) {
        let condition = &mut self.node.condition;
        (condition.role, condition.is_emptied) = (Role::Primary, false);
        for kept in std::mem::take(&mut self.following.promotions) {
            self.ask_for(kept, &Query::Role(Role::Primary), |ctx, _| {
                ctx.replies.ok();
                Ok(())
            });
        }
        self.forget_holds();
        self.tell_of_lead();
    }

    /// This node's own history begins where that ends of which its data are, if they are of one:
    /// of a primary, of a file, or of this node's own under another name. Nothing is on its way to
    /// a log. Shards log from here on, so replicas that were at the same place go on with it.
    /// But only if that is a place of its stream: what logs add up to is the same number at others.
    pub(crate) fn begin_history(&mut self, point: Option<Point>, is_exact: bool) {
        let point = point.filter(|_| self.node.config.database_count() <= DATABASES_MAX);
        let begun = self.while_all_stand(|control, shards| {
            if control.replicating.logs {
                let (id, fence) = (control.replicating.replid, control.write_fence(shards));
                let (scalar, vector) = (fence.scalar, Some(fence.vector.clone()));
                return Some((
                    resume::Former { id, scalar, vector, is_fence: is_exact, goes_on: true },
                    fence,
                ));
            }
            let Point { position: Position { id, offset: scalar, db }, vector } = point?;
            // Between units the stream of logs is in database 0.
            let select = if db == 0 { 0 } else { SELECT_0.len() as u64 };
            control.replicating.base = scalar.after(select);
            let ended = resume::Former { id, scalar, vector, is_fence: is_exact, goes_on: false };
            Some((ended, control.write_fence(shards)))
        });
        self.change_replid();
        match begun {
            Some((ended, fence)) => {
                let replicating = &mut self.replicating;
                let former = Some(Former { id: ended.id, until: ended.scalar });
                replicating.former = former;
                let former = former.filter(|_| ended.is_fence);
                replicating.last_reader = self.node.now;
                let replid = replicating.replid;
                let base = replicating.base;
                let beginning = Beginning { replid, former, ended: Some(ended), fence, base };
                self.mailbox.tell_relay(ToRelay::Begin(Box::new(beginning)));
            }
            None if self.replicating.has_relay() => self.mailbox.tell_relay(ToRelay::Forget),
            None => {}
        }
    }

    /// The history that a file says its keys are of. As Valkey does, a primary goes on from there.
    pub(crate) fn begin_loaded_history(&mut self, point: Point) {
        let is_exact = point.vector.is_none();
        match self.start_relay() {
            Ok(()) => self.begin_history(Some(point), is_exact),
            Err(error) => log::warning(&format!("Can't start the relay: {error}")),
        }
    }

    /// Follows the primary that was asked for while shards logged; all shards are claimed. What
    /// they have logged may be a part of its stream.
    pub(crate) fn demoted(&mut self) {
        let Some((primary, by)) = self.following.next.take() else { return };
        // The next primary names its database anew, as Valkey and Keylane do when promoted.
        let goes_on = !std::mem::take(&mut self.following.begins_anew);
        let cut = (goes_on && self.replicating.logs)
            .then(|| self.while_all_stand(|control, shards| control.cut(shards)));
        let (point, fence) = cut.map(|cut| (cut.point, cut.fence)).unzip();
        let fence = fence.flatten().map(|fence| fence.vector);
        self.tell_relay_to_follow(primary, by, (point, fence));
    }

    /// Ends the logs, which are a part of the primary's stream; all shards are claimed.
    pub(crate) fn join(&mut self) {
        if self.is_replica() {
            let replid = self.replicating.replid;
            let ended = self.while_all_stand(|control, shards| {
                let ended = control.replicating.logs.then(|| control.end_of_logs(shards));
                control.end_logs(shards, LogWord::Retire(replid));
                ended
            });
            self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::LogsEnded(ended)));
        }
    }

    /// The point in a history that the data are of; all shards stand still. If they are of none,
    /// one begins.
    pub(crate) fn cut(&mut self, shards: &mut [&mut Shard]) -> Cut {
        if let Some(held) = self.standing.held().filter(|_| !self.replicating.logs) {
            let Held { point, stream } = held.clone();
            let Position { id, offset: scalar, .. } = point.position;
            let fence = point.vector.clone().map(|vector| Fence { scalar, vector });
            return Cut { point, stream, whose: Whose::Kept(id), fence };
        }
        let fence = self.write_fence(shards);
        let stream = self.replicating.replid;
        let position = Position { id: stream, offset: fence.scalar, db: 0 };
        // A fence is a place of the stream, too.
        let point = Point { position, vector: None };
        Cut { point, stream, whose: Whose::Own, fence: Some(fence) }
    }

    /// The same for a file, which says none if the data are of none.
    pub(crate) fn origin(&mut self, shards: &mut [&mut Shard]) -> Option<Origin> {
        if !self.replicating.logs && self.standing.held().is_none() {
            return None;
        }
        let Cut { point, .. } = self.cut(shards);
        Some(origin_of(&point))
    }

    /// Gives the history another name: replicas do not go on with it.
    pub fn change_replid(&mut self) {
        self.replicating.replid = ReplId::of_random(system::random());
        self.replicating.former = None;
        self.acks_hear(acks::Event::NewHistory);
        if self.replicating.has_relay() {
            let letter = ToRelay::Renamed(self.replicating.replid);
            self.mailbox.tell_relay(letter);
        }
    }

    /// Ends logs that no replica has read for as long as `repl-backlog-ttl` says.
    pub(crate) fn stop_logs_if_due(&mut self) {
        let ttl = u64::from(self.node.config.repl_backlog_ttl);
        let replicating = &mut self.replicating;
        if !replicating.logs || !replicating.view.replicas.is_empty() {
            replicating.last_reader = self.node.now;
        }
        let silent = self.node.now.millis_since(replicating.last_reader) / 1000;
        let is_due = ttl != 0 && ttl <= silent && !replicating.is_stopping;
        if is_due && !self.is_replica() && !self.end.has_claims() {
            self.replicating.is_stopping = true;
            self.wish(Wish::StopLogs);
        }
    }

    /// Ends the logs of all shards, which are claimed. What is written from now on is in none, so
    /// the history of a primary has another name then: a replica does not go on with it.
    pub(crate) fn stop_logs(&mut self) {
        self.replicating.is_stopping = false;
        if self.is_replica() || !self.replicating.view.replicas.is_empty() {
            return;
        }
        self.while_all_stand(|control, shards| control.end_logs(shards, LogWord::Close));
        log::notice("Replication backlog freed: no replica has asked for it lately");
        self.change_replid();
        self.mailbox.tell_relay(ToRelay::Forget);
    }

    /// Ends the logs of all shards, which stand still, and tells these what to do with what they
    /// keep of them. Logs that begin later go on in the stream where these end.
    pub(crate) fn end_logs(&mut self, shards: &mut [&mut Shard], word: LogWord) {
        if !std::mem::take(&mut self.replicating.logs) {
            return;
        }
        let mut weights = 0;
        for shard in shards {
            weights += shard.effects.log.weight();
            shard.effects.log.clear();
            shard.effects.keeps_log = false;
        }
        self.replicating.base = self.replicating.base.after(weights);
        for shard in 0..self.shards() {
            self.mailbox.board(shard).logged.set(0);
            self.mailbox.send(shard, ToShard::Log(word));
        }
    }
}

/// What the data are, while all shards stand still.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The point in a history.
    pub(crate) point: Point,
    /// The name of the stream of which that is a place.
    stream: ReplId,
    /// Which logs have it.
    pub(crate) whose: Whose,
    /// Where it is in all of them; `None` if the history came as a stream.
    pub(crate) fence: Option<Fence>,
}

impl Cut {
    /// The same as a place of the stream.
    pub(crate) fn in_stream(&self) -> Point {
        let position = Position { id: self.stream, ..self.point.position };
        Point { position, vector: None }
    }
}

/// A point in a history, as it is named beside keys.
pub(crate) fn origin_of(point: &Point) -> Origin {
    let Point { position: Position { id, offset, db }, vector } = point;
    let of = match vector {
        Some(vector) => OriginOf::Logs(vector.to_string()),
        None => OriginOf::Stream(*db),
    };
    Origin { replid: id.to_string(), offset: offset.0, of }
}

/// The point in a history that is named beside keys. `None`: it can be none.
pub(crate) fn point_of(origin: &Origin) -> Option<Point> {
    let (vector, db) = match &origin.of {
        OriginOf::Logs(vector) => (Some(Vector::parse(vector.as_bytes())?), 0),
        OriginOf::Stream(db) => (None, *db),
    };
    let id = ReplId::parse(origin.replid.as_bytes())?;
    let offset = Scalar(origin.offset);
    let position = Position { id, offset, db };
    (offset.0 <= OFFSET_MAX).then_some(Point { position, vector })
}
