//! ADDSLOTS, DELSLOTS, FLUSHSLOTS, SETSLOT: slots by hand.

use shards::base::slot::Slot;
use shards::resp::error::Error;

use super::unknown_node;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::Machine;
use crate::cluster::machine::action::{Answer, Sync};
use crate::cluster::machine::event::SetSlot;
use crate::cluster::nodes::Key;
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;

const YIELDING: Error =
    Error::Text("ERR This primary has started without data, and waits for a replica to take over");
const NOT_LOADED: Error = Error::Text("ERR This primary does not know yet which keys it has");
const HANDING_OVER: Error =
    Error::Text("ERR A manual failover of this primary is under way: use SETSLOT when it is over");
const REPLICA: Error = Error::Text("ERR Please use SETSLOT only with masters.");
const NOT_A_PRIMARY: Error = Error::Text("ERR Target node is not a master");

impl Machine {
    pub(super) fn add_slots(&mut self, slots: &SlotSet) -> Result<Answer, Error> {
        if !self.is_primary() {
            return Err(Error::Text("ERR Slots can be added to a primary only"));
        }
        if let Some(busy) = slots.first_common(self.nodes.owned()) {
            return Err(numbered("ERR Slot ", busy, " is already busy"));
        }
        let me = self.nodes.myself();
        self.nodes.importing.retain(|slot, _| !slots.contains(*slot));
        self.nodes.own_unowned(slots, me);
        self.todo.owners_changed();
        Ok(Answer::Ok)
    }

    pub(super) fn del_slots(&mut self, slots: &SlotSet) -> Result<Answer, Error> {
        if !self.is_primary() {
            return Err(Error::Text("ERR Slots can be taken from a primary only"));
        }
        if let Some(free) = slots.without(self.nodes.owned()).iter().next() {
            return Err(numbered("ERR Slot ", free, " is already unassigned"));
        }
        self.nodes.disown_slots(slots);
        let before = self.recently_deleted().cloned().unwrap_or_default();
        self.deleted = Some((self.now.at, before.with(slots)));
        self.todo.owners_changed();
        Ok(Answer::Ok)
    }

    pub(super) fn flush_slots(&mut self) -> Result<Answer, Error> {
        if !self.is_primary() {
            return Err(Error::Text("ERR Slots can be taken from a primary only"));
        }
        self.nodes.disown_all(self.nodes.myself());
        self.todo.owners_changed();
        Ok(Answer::Ok)
    }

    pub(super) fn set_slot(&mut self, slot: Slot, request: SetSlot) -> Result<Answer, Error> {
        self.may_set_slots()?;
        match request {
            SetSlot::Migrating(id) => {
                let target = self.target(slot, id.as_bytes())?;
                let (number, shown) = (slot.number(), self.shown(target));
                self.log(LogLevel::Notice, format!("Migrating slot {number} to node {shown}"));
                self.given.remove(&slot);
                self.begin_migrating(slot, target);
            }
            SetSlot::Importing(id) => {
                let source = self.source(slot, id.as_bytes())?;
                let (number, shown) = (slot.number(), self.shown(source));
                self.log(LogLevel::Notice, format!("Importing slot {number} from node {shown}"));
                self.nodes.importing.insert(slot, source);
            }
            SetSlot::Stable => {
                let number = slot.number();
                self.log(LogLevel::Notice, format!("Marking slot {number} stable"));
                self.nodes.migrating.remove(&slot);
                self.nodes.importing.remove(&slot);
            }
            SetSlot::Node { owner, keys } => self.assign(slot, owner, keys)?,
        }
        self.todo.owners_changed();
        Ok(Answer::Ok)
    }

    /// Whether SETSLOT may be asked of this node.
    ///
    /// # Errors
    /// It is a replica, or a primary whose data a replica has or may have, or one that hands over:
    /// its heir would not know of it.
    pub fn may_set_slots(&self) -> Result<(), Error> {
        match () {
            () if !self.is_primary() => Err(REPLICA),
            () if self.is_yielding() => Err(YIELDING),
            () if self.lacks_data() => Err(NOT_LOADED),
            () if self.manual.is_under_way() => Err(HANDING_OVER),
            () => Ok(()),
        }
    }

    /// The node with the id `word`, to which this node's `slot` is to migrate.
    ///
    /// # Errors
    /// The slot is not this node's, or no other primary has the id.
    pub fn target(&self, slot: Slot, word: &[u8]) -> Result<Key, Error> {
        if self.nodes.owner(slot) != Some(self.nodes.myself()) {
            return Err(numbered("ERR I'm not the owner of hash slot ", slot, ""));
        }
        self.other_primary(word)
    }

    /// The node with the id `word`, from which `slot` is to be imported.
    ///
    /// # Errors
    /// The slot is this node's, or no other primary has the id.
    pub fn source(&self, slot: Slot, word: &[u8]) -> Result<Key, Error> {
        if self.nodes.owner(slot) == Some(self.nodes.myself()) {
            return Err(numbered("ERR I'm already the owner of hash slot ", slot, ""));
        }
        self.other_primary(word)
    }

    fn other_primary(&self, word: &[u8]) -> Result<Key, Error> {
        let unknown = || Error::naming("ERR I don't know about node ", word, "");
        let found = NodeId::parse(word).and_then(|id| self.nodes.find(id));
        let key = found.ok_or_else(unknown)?;
        if key == self.nodes.myself() {
            return Err(Error::Text("ERR Target node is myself"));
        }
        if self.nodes.at(key).is_replica() { Err(NOT_A_PRIMARY) } else { Ok(key) }
    }

    /// The node with the id, to which `slot` may be assigned, of which this node has so many keys.
    ///
    /// # Errors
    /// There is no such primary, or the keys would be lost, or this node may take no newer epoch.
    pub fn assignee(&self, slot: Slot, id: NodeId, keys: usize) -> Result<Key, Error> {
        let owner = self.nodes.find(id).ok_or_else(|| unknown_node(id.as_bytes()))?;
        if self.nodes.at(owner).is_replica() {
            return Err(NOT_A_PRIMARY);
        }
        let me = self.nodes.myself();
        let (is_mine, imports) = (owner == me, self.nodes.importing.contains_key(&slot));
        if self.nodes.owner(slot) == Some(me) && !is_mine && keys != 0 {
            return Err(numbered(
                "ERR Can't assign hashslot ",
                slot,
                " to a different node while I still hold keys for this hash slot.",
            ));
        }
        if is_mine && imports {
            self.may_raise_epoch()?;
        }
        Ok(owner)
    }

    /// SETSLOT NODE: the end of a migration by hand.
    fn assign(&mut self, slot: Slot, id: NodeId, keys: usize) -> Result<(), Error> {
        let owner = self.assignee(slot, id, keys)?;
        let me = self.nodes.myself();
        let (was_mine, is_mine) = (self.nodes.owner(slot) == Some(me), owner == me);
        let (number, shown) = (slot.number(), self.shown(owner));
        let text = format!(
            "Assigning slot {number} to node {shown} in shard {}",
            self.nodes.shown_shard(owner)
        );
        self.log(LogLevel::Notice, text);
        if keys == 0 {
            self.nodes.migrating.remove(&slot);
        }
        self.nodes.own(slot, owner);
        self.given.remove(&slot);
        if is_mine && let Some(source) = self.nodes.importing.remove(&slot) {
            self.note_given(slot, source);
            self.raise_epoch();
            self.todo.pong_all = true;
            let text = format!(
                "ConfigEpoch updated after importing slot {number}. New configEpoch set to {}",
                self.nodes.me().config_epoch
            );
            self.log(LogLevel::Notice, text);
        }
        let is_last = was_mine && !is_mine && self.nodes.me().slot_count() == 0;
        if is_last && self.settings.allows_migration {
            let text = format!(
                "Lost my last slot during slot migration. Reconfiguring myself as a replica of \
                 {shown}"
            );
            self.log(LogLevel::Notice, text);
            self.replicate(owner, Sync::Full);
        }
        Ok(())
    }
}

fn numbered(before: &'static str, slot: Slot, after: &str) -> Error {
    Error::naming(before, slot.number().to_string().as_bytes(), after)
}
