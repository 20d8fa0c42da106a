//! The primary that this node follows, as the control thread sees to it: who it is, what role all
//! shards have, and when a snapshot becomes the data. The link itself is the relay's.
//!
//! ```text
//! REPLICAOF host port --> relay: follow;  shards: role, answered when no write is under way
//! REPLICAOF NO ONE    --> relay: end; all that came is applied --> shards: role --> answer
//! link: staged        --> barrier, gate: all shards swap --> relay: committed
//! link: empty         --> barrier, gate: all keys go     --> relay: emptied
//! ```

use std::sync::Arc;

use shards::shard::Shard;

use crate::cluster::machine::event::Event;
use crate::config::primary::Primary;
use crate::config::table::Config;
use crate::control::core::Control;
use crate::control::saving::KeptRequest;
use crate::control::standing::Wish;
use crate::flows::dispatch::Routing;
use crate::log;
use crate::mail::query::Query;
use crate::mail::replica::LogWord;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::{Brought, LinkView, LinkWord, UpstreamWord};
use crate::replication::address::Address;
use crate::replication::history::{Scalar, Vector};
use crate::replication::link::events::{By, Generation, Point};
use crate::replication::link::report::Status;
use crate::replication::moment::Moment;
use crate::replication::view;
use crate::routing::node::Role;

/// What control knows of the primary.
#[derive(Debug, Default)]
pub struct Following {
    /// What the link has told of itself; `None` before it has.
    pub view: Option<LinkView>,
    /// The primary that is followed as soon as it is known where the logs of this node are, and
    /// what asked for it.
    pub(crate) next: Option<(Address, By)>,
    /// What a file has said that its keys are a part of.
    pub(crate) loaded: Option<Point>,
    /// Where the history has ended of a primary that hands over.
    pub(crate) ends_at: Option<Scalar>,
    /// REPLICAOF NO ONE, while what came of a primary is still being applied.
    pub(crate) promotions: Vec<KeptRequest>,
    /// A failover came to nothing: no primary was followed, and the history goes on.
    pub(crate) keeps_history: bool,
    /// The data are no part of the next primary's history, whatever they were a part of.
    pub(crate) begins_anew: bool,
    /// All keys were dropped since a primary was followed: what there is is of no history.
    pub(crate) is_flushed: bool,
    /// Shards know that the link is up.
    is_up: bool,
}

impl Control {
    /// Whether this node follows a primary.
    pub fn is_replica(&self) -> bool {
        self.node.config.replicaof.is_some()
    }

    /// What the link says. `None` as long as that is of another primary, or of none: it is old.
    pub(crate) fn link_view(&self) -> Option<&LinkView> {
        let Primary { host, port } = self.node.config.replicaof.as_ref()?;
        let view = self.following.view.as_ref()?;
        let Address { host: of_host, port: of_port } = view.primary.as_ref()?;
        (host == of_host && port == of_port).then_some(view)
    }

    /// The link as INFO and ROLE show it; `None` on a primary.
    pub(crate) fn link(&self) -> Option<view::Following> {
        let config = &self.node.config;
        let Primary { host, port } = config.replicaof.clone()?;
        let primary = Address { host, port };
        let link = self.link_view();
        let now = self.moment();
        let seconds = |since: Moment| now.since(since) / 1000;
        let applied = link.filter(|link| !self.is_between_places(link));
        let stored = (0..self.shards()).map(|shard| self.mailbox.board(shard).stored.get());
        Some(view::Following {
            primary,
            status: link.map_or(Status::Connecting, |link| link.status),
            silent_seconds: link.and_then(|link| link.last_io).map(seconds),
            last_error: link.and_then(|link| link.last_failure.clone()),
            down_seconds: link.and_then(|link| link.down_since).map(seconds),
            snapshot_bytes: link.map_or(0, |link| link.snapshot_bytes),
            read: link.map_or(0, |link| link.read.max(self.applied_of(link)).0),
            applied: applied.map_or(0, |link| self.applied_of(link).0),
            logs: link.map_or(0, |link| link.logs),
            stored_bytes: stored.sum(),
            priority: config.replica_priority,
            is_read_only: true,
            is_announced: true,
        })
    }

    /// Whether the keys are at no place of a history: they are gone for a snapshot that comes, or
    /// it becomes the data now. Who chooses among replicas is not to be told the former place.
    pub(crate) fn is_between_places(&self, link: &LinkView) -> bool {
        link.status == Status::Committing || self.node.condition.is_emptied
    }

    /// The offset behind all that is applied, as of now if logs come each by a connection of its
    /// own: shards show what they have applied, and the relay tells of it later.
    pub(crate) fn applied_of(&self, link: &LinkView) -> Scalar {
        let Some(began) = link.position.filter(|_| link.logs != 0) else { return link.applied };
        began.offset.after(self.mailbox.followed()).max(link.applied)
    }

    /// The data of the start are complete: follows the primary of the configuration, if it has
    /// one, and tells the cluster of them.
    pub fn begin_with_data(&mut self) {
        if let Some(primary) = self.node.config.replicaof.clone() {
            let has_place = self.following.loaded.is_some();
            self.clustering.iter_mut().for_each(|it| it.has_loaded_place = has_place);
            self.follow(primary, By::Configuration);
            self.order(&Query::Role(Role::Replica));
        } else if self.external().is_some() && self.node.condition.role == Role::Replica {
            self.leave_primary();
        }
        if self.clustering.is_some() {
            self.look_for_used_slots();
        }
    }

    /// Follows a primary from now on. Shards are to be told of the role.
    pub fn follow(&mut self, primary: Primary, by: By) {
        if let Err(error) = self.start_relay() {
            // The link is retried by REPLICAOF only: for want of threads nothing else goes, too.
            log::warning(&format!("Can't start the relay: {error}"));
            return;
        }
        let Primary { host, port } = primary.clone();
        self.set_primary(Some(primary));
        (self.following.keeps_history, self.following.ends_at) = (false, None);
        self.following.is_flushed = false;
        (self.node.condition.role, self.following.is_up) = (Role::Replica, false);
        let primary = Address { host, port };
        if self.replicating.logs {
            self.following.next = Some((primary, by));
            self.wish(Wish::Demote);
        } else {
            let goes_on = !std::mem::take(&mut self.following.begins_anew);
            let point = self.following.loaded.take().filter(|_| goes_on);
            self.tell_relay_to_follow(primary, by, (point, None));
        }
        // A failover that came to nothing is overtaken: this node stays a replica.
        self.end_hold_of_failover();
        // A request for a primary is overtaken by one for another.
        for kept in std::mem::take(&mut self.following.promotions) {
            self.answer_kept(kept, Ok("OK"));
        }
    }

    /// Follows a primary of which this node has nothing: all is to come from it.
    pub(crate) fn follow_anew(&mut self, primary: Primary, by: By) {
        self.following.begins_anew = true;
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Forget));
        self.follow(primary, by);
    }

    /// Has the relay follow a primary, with data that are a part of a history if there is a point;
    /// of one that is a place of the stream the vector may be known, too.
    pub(crate) fn tell_relay_to_follow(
        &mut self,
        primary: Address,
        by: By,
        (point, fence): (Option<Point>, Option<Vector>),
    ) {
        self.introduce();
        let node = &self.node;
        let routing = Routing { table: node.table, slots: node.slots.clone(), seed: node.seed };
        // A link keeps nothing of its own accord.
        self.clustering.iter_mut().for_each(|clustering| clustering.keeps_data = false);
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Follow {
            primary,
            by,
            point,
            fence,
            routing: Box::new(routing),
            config: Arc::clone(&node.config),
        }));
    }

    /// Follows none from now on. Shards are to be told of the role when the link has ended.
    pub fn unfollow(&mut self, by: By) {
        self.set_primary(None);
        self.following.next = None;
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Unfollow(by)));
    }

    /// CONFIG shows whom this node follows.
    fn set_primary(&mut self, replicaof: Option<Primary>) {
        let config = Config { replicaof, ..(*self.node.config).clone() };
        let query = self.configure(config);
        self.order(&query);
    }

    /// The relay says something about the primary.
    pub(crate) fn hear_of_link(&mut self, word: LinkWord) {
        match word {
            LinkWord::Commit(generation, brought) => {
                self.wish(Wish::Commit(generation, brought));
            }
            LinkWord::Empty => self.wish(Wish::Empty),
            LinkWord::Ended if self.leaves_topology() => self.leave_primary(),
            LinkWord::Ended => self.promote(),
            LinkWord::Resumed if self.replicating.logs => self.wish(Wish::EndLogs),
            LinkWord::Resumed => {
                self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::LogsEnded(None)));
            }
            LinkWord::Held(held) => self.stream_is_held(held),
            LinkWord::Refused => self.cluster_hears(Event::Refused),
            LinkWord::Handover(news) => self.failover_hears_news(news),
            LinkWord::View(view) => {
                let is_up = view.status.is_up();
                self.following.view = Some(*view);
                if std::mem::replace(&mut self.following.is_up, is_up) != is_up {
                    self.node.condition.is_stale = !is_up;
                    self.order(&Query::Stale(!is_up));
                }
            }
        }
    }

    /// Follows none, and is no primary: the keys stay a part of the history that they are of, and
    /// nothing here changes them.
    fn leave_primary(&mut self) {
        self.tell_emptied(false);
        (self.node.condition.is_stale, self.following.is_up) = (false, false);
        self.order(&Query::Stale(false));
    }

    /// Drops all keys, of which nothing is to be told to replicas: they get everything anew. All
    /// shards are claimed.
    pub(crate) fn flush_all(&mut self) {
        let changes = self.while_all_stand(|_, shards| {
            empty(shards);
            shards.iter().map(|shard| shard.effects.dirty).sum()
        });
        self.saving.functions.clear();
        self.change_replid();
        if !self.is_replica() {
            self.following.is_flushed = true;
            if self.replicating.has_relay() {
                self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Forget));
            }
        }
        self.keys_are_cleared(changes);
    }

    /// Drops all keys for those of a primary that are to come; all shards are claimed. Clients are
    /// shown the old keys until now, and none from now on until the others are there.
    pub(crate) fn empty_for_snapshot(&mut self) {
        if !self.is_replica() {
            // REPLICAOF NO ONE has overtaken it.
            return self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Emptied(false)));
        }
        // Shards hear this before they stand: no client sees that keys are gone.
        self.tell_emptied(true);
        self.while_all_stand(|control, shards| {
            empty(shards);
            for (shard, engine) in shards.iter().enumerate() {
                let board = control.mailbox.board(shard);
                board.garbage.set(engine.keyspace.garbage.len() as u64);
                board.keys.set(0);
            }
            control.end_logs(shards, LogWord::Close);
        });
        self.saving.functions.clear();
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Emptied(true)));
    }

    fn tell_emptied(&mut self, is_emptied: bool) {
        let before = std::mem::replace(&mut self.node.condition.is_emptied, is_emptied);
        if before != is_emptied {
            self.order(&Query::Emptied(is_emptied));
        }
    }

    /// Makes a primary's snapshot the data; all shards are claimed.
    pub(crate) fn commit_snapshot(&mut self, generation: Generation, brought: Brought) {
        self.while_all_stand(|control, shards| {
            for shard in &mut *shards {
                shard.commit();
            }
            // What comes now is of the primary's history, not of ours.
            control.end_logs(shards, LogWord::Close);
        });
        self.tell_emptied(false);
        self.saving.functions = brought.functions;
        if brought.is_native {
            self.cluster_hears(Event::Copied);
        }
        log::notice(&format!("The snapshot has brought {} keys", brought.keys));
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Committed(generation)));
    }
}

/// Drops all keys of shards that stand; they are freed in slices.
fn empty(shards: &mut [&mut Shard]) {
    for shard in shards {
        shard.stage();
        shard.commit();
    }
}
