//! What CLUSTER asks of a node. Each request is checked before anything changes.

mod slots;

use shards::resp::error::Error;

use super::Machine;
use super::action::{Action, Answer, Sync};
use super::event::{Command, Ticket};
use crate::cluster::frame::header::Ports;
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::machine::imposed::EXTERNAL;
use crate::cluster::nodes::node::Role;
use crate::config::choices::LogLevel;

/// What is answered if epochs cannot be made durable.
pub(in crate::cluster) const CANNOT_SAVE: Error =
    Error::Text("ERR The cluster config file cannot be written");

/// What is answered by a primary that refuses writes, to what would take a newer epoch.
pub(in crate::cluster) const MAY_BE_REPLACED: Error = Error::Text(
    "ERR This primary may have been replaced: try again when it no longer refuses writes",
);

/// The error for a word that is the id of no node.
pub fn unknown_node(word: &[u8]) -> Error {
    Error::naming("ERR Unknown node ", word, "")
}

impl Machine {
    pub(super) fn asked(&mut self, ticket: Ticket, command: Command) {
        let reply = self.ask(command);
        self.reply(ticket, reply);
    }

    fn ask(&mut self, command: Command) -> Result<Answer, Error> {
        let is_for_external = matches!(
            command,
            Command::Impose(_)
                | Command::ResetSoft(_)
                | Command::ResetHard(..)
                | Command::SaveConfig
        );
        if self.settings.is_external && !is_for_external {
            return Err(EXTERNAL);
        }
        match command {
            Command::Meet { ip, port, bus_port } => {
                self.meet(ip, Ports { client: port, other: 0, bus: bus_port })
            }
            Command::Forget(id) => self.forget(id),
            Command::AddSlots(slots) => self.add_slots(&slots),
            Command::DelSlots(slots) => self.del_slots(&slots),
            Command::FlushSlots => self.flush_slots(),
            Command::SetSlot(slot, request) => self.set_slot(slot, request),
            Command::BumpEpoch => self.bump_epoch(),
            Command::SetConfigEpoch(epoch) => self.set_config_epoch(epoch),
            Command::Replicate { primary, is_empty } => self.asked_to_replicate(primary, is_empty),
            Command::ReplicateNoOne(shard) => {
                if !self.is_primary() {
                    self.leave_shard(shard);
                    self.act(Action::Flush);
                }
                Ok(Answer::Ok)
            }
            Command::Failover(how) => self.failover(how),
            Command::ResetSoft(shard) => {
                self.reset(shard, None);
                Ok(Answer::Ok)
            }
            Command::ResetHard(shard, id) => {
                self.reset(shard, Some(id));
                Ok(Answer::Ok)
            }
            Command::SaveConfig => {
                self.todo.save = true;
                Ok(Answer::Ok)
            }
            Command::Impose(imposed) => self.impose(&imposed),
        }
    }

    fn bump_epoch(&mut self) -> Result<Answer, Error> {
        let mine = self.nodes.me().config_epoch;
        if mine != Epoch(0) && mine == self.nodes.greatest_config_epoch() {
            return Ok(Answer::Text(format!("STILL {mine}")));
        }
        if self.cannot_save {
            return Err(CANNOT_SAVE);
        }
        // By hand, as TAKEOVER: also where no majority answers.
        self.raise_epoch();
        Ok(Answer::Text(format!("BUMPED {}", self.nodes.me().config_epoch)))
    }

    fn set_config_epoch(&mut self, epoch: Epoch) -> Result<Answer, Error> {
        if 1 < self.nodes.len() {
            return Err(Error::Text(
                "ERR The user can assign a config epoch only when the node does not know any other \
                 node.",
            ));
        }
        if self.nodes.me().config_epoch != Epoch(0) {
            return Err(Error::Text("ERR Node config epoch is already non-zero"));
        }
        self.nodes.me_mut().config_epoch = epoch;
        self.current_epoch = self.current_epoch.max(epoch);
        (self.todo.state, self.todo.save) = (true, true);
        let text = format!("configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH");
        self.log(LogLevel::Notice, text);
        Ok(Answer::Ok)
    }

    fn asked_to_replicate(&mut self, id: NodeId, is_empty: bool) -> Result<Answer, Error> {
        let Some(primary) = self.nodes.find(id) else { return Err(unknown_node(id.as_bytes())) };
        if primary == self.nodes.myself() {
            return Err(Error::Text("ERR Can't replicate myself"));
        }
        if self.nodes.at(primary).is_replica() {
            return Err(Error::Text("ERR I can only replicate a master, not a replica."));
        }
        let me = self.nodes.me();
        if me.is_primary() && (0 < me.slot_count() || !is_empty) {
            return Err(Error::Text(
                "ERR To set a master the node must be empty and without assigned slots.",
            ));
        }
        if me.role != Role::Replica(Some(primary)) {
            let sync = self.sync_from(primary);
            // A primary without keys has nothing to go on from.
            let sync = if self.is_primary() { Sync::Full } else { sync };
            self.replicate(primary, sync);
            self.todo.pong_all = true;
        }
        Ok(Answer::Ok)
    }

    /// Becomes a primary of a new shard, without slots. All frames from now on tell of it: nodes of
    /// the former shard must not follow this one.
    fn leave_shard(&mut self, shard: ShardId) {
        let me = self.nodes.myself();
        self.reset_manual();
        self.drop_election();
        self.nodes.set_primary(me);
        self.nodes.me_mut().shard = Some(shard);
        self.act(Action::Promote);
        self.log(LogLevel::Notice, format!("Moving myself to a new shard {shard}."));
        self.todo.owners_changed();
        self.todo.pong_all = true;
    }

    /// CLUSTER RESET. The client and the keys have been looked at; with an id it is a hard one.
    fn reset(&mut self, shard: ShardId, id: Option<NodeId>) {
        self.log(LogLevel::Notice, "Cluster reset (user request).".to_string());
        let was_replica = !self.is_primary();
        let me = self.nodes.myself();
        self.nodes.is_imposed = false;
        self.nodes.migrating.clear();
        self.nodes.importing.clear();
        self.reset_manual();
        self.drop_election();
        self.state.forget_rise();
        self.part();
        for key in self.nodes.keys() {
            self.nodes.disown_all(key);
            if key != me {
                self.delete_node(key);
            }
        }
        let strangers: Vec<_> = self.inbound.keys().copied().collect();
        strangers.into_iter().for_each(|link| self.drop_link(link));
        self.forgotten.clear();
        if let Some(id) = id {
            (self.current_epoch, self.last_vote_epoch) = (Epoch(0), Epoch(0));
            self.nodes.me_mut().config_epoch = Epoch(0);
            self.nodes.rename(me, id);
            let text = "configEpoch set to 0 via CLUSTER RESET HARD";
            self.log(LogLevel::Notice, text.to_string());
            self.log(LogLevel::Notice, format!("Node hard reset, now I'm {id}"));
        }
        self.nodes.me_mut().shard = Some(shard);
        self.log(LogLevel::Notice, format!("Moving myself to a new shard {shard}."));
        if was_replica {
            self.nodes.set_primary(me);
            self.act(Action::Promote);
        }
        // Also of a primary without keys: its last snapshot may have some.
        self.act(Action::Flush);
        self.todo.owners_changed();
    }
}

#[cfg(test)]
mod tests;
