//! What the machine of the cluster asks for, done.

use crate::cluster::machine::action::{Action, Answer, Follow, Sync};
use crate::cluster::machine::event::Event;
use crate::config::primary::Primary;
use crate::control::core::Control;
use crate::control::ctx::Outcome;
use crate::control::saving::KeptRequest;
use crate::log;
use crate::mail::query::Query;
use crate::replication::link::events::By;
use crate::routing::node::Role;
use crate::topology::desired::Goal;
use shards::resp::error::Error;

impl Control {
    /// Does what the machine has asked for, as far as nothing waits for a save.
    pub(super) fn act_for_cluster(&mut self) {
        while let Some(clustering) = &mut self.clustering
            && let Some(action) = clustering.actions.next_action()
        {
            match action {
                Action::Log(level, line) => log::at(level, &line),
                Action::Connect(link, ip, port) => clustering.links.connect(link, ip, port),
                Action::Close(link) => clustering.links.close(link),
                Action::Send(link, packet) => clustering.links.send(link, packet),
                Action::Save(durability) => {
                    let text = match &mut clustering.external {
                        Some(external) => external.file(),
                        None => clustering.machine.file(),
                    };
                    clustering.saver.save(text, durability);
                }
                Action::Reply(ticket, reply) => {
                    let unsaved = self.is_topology_unsaved();
                    self.reply_for_cluster(ticket, unsaved.map_or(reply, Err));
                }
                Action::Own => self.own_in_cluster(),
                Action::Follow(follow) => self.follow_in_cluster(follow),
                Action::Promote => self.promote_in_cluster(),
                Action::AskToTakeOver(heir) => self.ask_to_take_over(heir),
                Action::Flush => self.clear_for_cluster(),
                Action::Pause(_) => self.hold_writes(),
                Action::Unpause => self.let_writes_go(),
                Action::DeleteKeys(slots) => self.delete_in_cluster(slots),
                Action::Deliver(message) => clustering.publishing.take(&message),
            }
        }
    }

    pub(super) fn answer_for_cluster(&mut self, kept: KeptRequest, reply: Result<Answer, Error>) {
        let KeptRequest { batch, started } = kept;
        self.step(batch, started, |ctx| {
            match reply? {
                Answer::Ok => ctx.replies.ok(),
                Answer::Text(text) => ctx.replies.simple(&text),
            }
            Ok(Outcome::Done)
        });
    }

    /// Holds writes back while this replica becomes a primary, or lets them go.
    pub(crate) fn hold_until_promoted(&mut self, holds: bool) {
        let Some(clustering) = &mut self.clustering else { return };
        match (std::mem::replace(&mut clustering.holds_until_promoted, holds), holds) {
            (false, true) => self.order(&Query::HoldForFailover),
            (true, false) => self.release_writes(),
            (true, true) | (false, false) => {}
        }
    }

    fn follow_in_cluster(&mut self, follow: Follow) {
        self.hold_until_promoted(false);
        let Follow { ip, port, sync, .. } = follow;
        let primary = Primary { host: ip.to_string(), port };
        self.aim(Goal::Follow(primary.clone()));
        self.begin_to_follow();
        match sync {
            Sync::Partial => self.follow(primary, By::Cluster),
            Sync::Full => self.follow_anew(primary, By::Cluster),
        }
        self.order(&Query::Role(Role::Replica));
    }

    /// Clients may be sent here as soon as others know who owns the slots, which is before all that
    /// came of the primary is applied: their writes wait for that.
    fn promote_in_cluster(&mut self) {
        self.aim(Goal::Lead);
        if self.is_replica() {
            self.hold_until_promoted(true);
            self.note_end_of_link(true);
            self.unfollow(By::Cluster);
        } else {
            // The address of its primary was never known.
            self.promote();
        }
    }

    /// No write is under way, and the stream stands still.
    pub(crate) fn cluster_stands(&mut self) {
        self.tell_cluster_of_stream();
        self.cluster_hears(Event::Quiesced);
    }
}
