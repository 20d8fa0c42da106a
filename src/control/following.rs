//! The primary that this node follows, as the control thread sees to it: who it is, what role all
//! shards have, and when a snapshot becomes the data. The link itself is the relay's.
//!
//! ```text
//! REPLICAOF host port --> relay: follow;  shards: role, answered when no write is under way
//! REPLICAOF NO ONE    --> relay: end; all that came is applied --> shards: role --> answer
//! link: staged        --> barrier, gate: all shards swap --> relay: committed
//! ```

use std::sync::Arc;

use crate::config::primary::Primary;
use crate::config::table::Config;
use crate::control::core::Control;
use crate::control::saving::KeptRequest;
use crate::control::standing::Wish;
use crate::log;
use crate::mail::query::Query;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::{Brought, LinkView, LinkWord, Routing, UpstreamWord};
use crate::replication::address::Address;
use crate::replication::link::events::{By, Generation, Position};
use crate::replication::link::report::Status;
use crate::replication::moment::Moment;
use crate::replication::view;
use crate::routing::node::Role;

/// What control knows of the primary.
#[derive(Debug, Default)]
pub struct Following {
    /// What the link has told of itself; `None` before it has.
    pub view: Option<LinkView>,
    /// REPLICAOF NO ONE, while what came of a primary is still being applied.
    pub(crate) promotions: Vec<KeptRequest>,
    /// A failover came to nothing: no primary was followed, and the history goes on.
    pub(crate) keeps_history: bool,
    /// Shards know that the link is up.
    is_up: bool,
}

impl Control {
    /// Whether this node follows a primary.
    pub fn is_replica(&self) -> bool {
        self.node.config.replicaof.is_some()
    }

    /// The link as INFO and ROLE show it; `None` on a primary.
    pub(crate) fn link(&self) -> Option<view::Following> {
        let config = &self.node.config;
        let Primary { host, port } = config.replicaof.clone()?;
        let primary = Address { host, port };
        let link = self.following.view.as_ref();
        // What the link says of another primary, or of none, is old.
        let link = link.filter(|link| link.primary.as_ref() == Some(&primary));
        let now = self.moment();
        let seconds = |since: Moment| now.since(since) / 1000;
        Some(view::Following {
            primary,
            status: link.map_or(Status::Connecting, |link| link.status),
            silent_seconds: link.and_then(|link| link.last_io).map(seconds),
            down_seconds: link.and_then(|link| link.down_since).map(seconds),
            snapshot_bytes: link.map_or(0, |link| link.snapshot_bytes),
            read: link.map_or(0, |link| link.read.0),
            applied: link.map_or(0, |link| link.applied.0),
            priority: config.replica_priority,
            is_read_only: true,
            is_announced: true,
        })
    }

    /// Follows the primary of the configuration, if it has one: at start.
    pub fn follow_configured(&mut self) {
        if let Some(primary) = self.node.config.replicaof.clone() {
            self.follow(primary, By::Configuration);
            self.order(&Query::Role(Role::Replica));
        }
    }

    /// Follows a primary from now on. Shards are to be told of the role.
    pub fn follow(&mut self, primary: Primary, by: By) {
        self.follow_from(primary, by, None);
    }

    /// Likewise, with data that are a part of the primary's stream if there is a position.
    pub(crate) fn follow_from(&mut self, primary: Primary, by: By, position: Option<Position>) {
        if let Err(error) = self.start_relay() {
            // The link is retried by REPLICAOF only: for want of threads nothing else goes, too.
            log::warning(&format!("Can't start the relay: {error}"));
            return;
        }
        let Primary { host, port } = primary.clone();
        self.set_primary(Some(primary));
        self.following.keeps_history = false;
        (self.node.condition.role, self.following.is_up) = (Role::Replica, false);
        let node = &self.node;
        let routing = Routing { table: node.table, slots: node.slots.clone(), seed: node.seed };
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Follow {
            primary: Address { host, port },
            by,
            position,
            routing: Box::new(routing),
            config: Arc::clone(&node.config),
        }));
        // A request for a primary is overtaken by one for another.
        for kept in std::mem::take(&mut self.following.promotions) {
            self.answer_kept(kept, Ok("OK"));
        }
    }

    /// Follows none from now on. Shards are to be told of the role when the link has ended.
    pub fn unfollow(&mut self, by: By) {
        self.set_primary(None);
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
            LinkWord::Ended => self.promote(),
            LinkWord::Handover(news) => self.failover_hears_news(news),
            LinkWord::View(view) => {
                let is_up = view.status.is_up();
                self.following.view = Some(*view);
                if std::mem::replace(&mut self.following.is_up, is_up) != is_up {
                    self.node.condition.is_stale = !is_up;
                    self.order(&Query::Stale(!is_up));
                    if is_up {
                        // The data are a part of the primary's stream now, snapshot or not.
                        self.wish_to_stop_logs();
                    }
                }
            }
        }
    }

    /// All that came of a primary is applied, and no more comes: clients write from now on.
    fn promote(&mut self) {
        if self.is_replica() {
            return;
        }
        if !std::mem::take(&mut self.following.keeps_history) {
            self.begin_history();
        }
        self.node.condition.role = Role::Primary;
        let query = Query::Role(Role::Primary);
        let promotions = std::mem::take(&mut self.following.promotions);
        if promotions.is_empty() {
            self.order(&query);
        }
        for kept in promotions {
            self.ask_for(kept, &query, |ctx, _| {
                ctx.replies.ok();
                Ok(())
            });
        }
    }

    /// The history of this node's own begins where what came of a primary ended.
    fn begin_history(&mut self) {
        let view = self.following.view.as_ref().filter(|view| view.replid.is_some());
        if let Some(view) = view.filter(|_| !self.replicating.keeps_logs()) {
            self.replicating.base = view.applied;
        }
        self.change_replid();
    }

    /// Makes a primary's snapshot the data; all shards are claimed.
    pub(crate) fn commit_snapshot(&mut self, generation: Generation, brought: Brought) {
        self.while_all_stand(|control, shards| {
            for shard in &mut *shards {
                shard.commit();
            }
            // What comes now is of the primary's history, not of ours.
            control.end_logs(shards);
        });
        self.saving.functions = brought.functions;
        log::notice(&format!("The snapshot has brought {} keys", brought.keys));
        self.mailbox.tell_relay(ToRelay::Upstream(UpstreamWord::Committed(generation)));
    }
}
