//! Nodes that this one was reset away from (R15). They still know it, by its address and after a
//! soft reset by its id: they connect, and speak to it as to a node of their cluster.
//!
//! ```text
//! RESET --> all other nodes are former ones --it meets one, or a node of its cluster names one-->
//!           that one is a node like all others
//! ```
//! A former node takes this one for a node that it knows, so its link begins with a PING. What
//! comes by such a link changes nothing here. The PONG says that this node is there, and nothing of
//! its new cluster: no other node, and no slots. Else two clusters would become one.
//!
//! A MEET of such a link is not an operator's: Valkey 8.1 and later, and this server, send it to
//! nodes that do not connect to them ([`Machine::tend_links`]), which is what brought nodes back
//! after a soft reset. A MEET that an operator asks for is the first frame of a link, and is heard.
//! So links of former nodes stay, one of each: a Valkey whose link ended before its MEET was
//! answered begins the next link with it, which is heard as an operator's.
//!
//! Nothing is told to former nodes when this one is reset. FORGOTTEN about oneself is never sent:
//! Valkey 9.1 frees the sender, and goes on using it.

use crate::cluster::frame::Beat;
use crate::cluster::ids::NodeId;
use crate::cluster::machine::event::LinkId;
use crate::cluster::machine::{Inbound, Machine};
use crate::cluster::nodes::NODES_MAX;

impl Machine {
    /// Makes former nodes of all others: this node is about to forget them.
    pub(in crate::cluster) fn part(&mut self) {
        let others = self.nodes.others().filter(|(_, node)| !node.is_in_handshake());
        let others: Vec<NodeId> = others.map(|(_, node)| node.id).collect();
        let former = &mut self.nodes.former;
        if NODES_MAX < former.len() + others.len() {
            // Those of earlier clusters.
            former.clear();
        }
        former.extend(others);
    }

    /// Whether a heartbeat of a node that is not known comes by a link which a former node has made
    /// to this one as to a node of its cluster.
    pub(super) fn is_of_former(&mut self, link: LinkId, beat: Beat, sender: NodeId) -> bool {
        let is_former = self.nodes.former.contains(&sender);
        let Some(inbound) = self.inbound.get_mut(&link).filter(|_| is_former) else { return false };
        if beat == Beat::Ping && inbound.former.is_none() {
            inbound.former = Some(sender);
            let theirs = |(other, one): (&LinkId, &Inbound)| {
                (*other != link && one.former == Some(sender)).then_some(*other)
            };
            if let Some(other) = self.inbound.iter().find_map(theirs) {
                self.drop_link(other);
            }
            return true;
        }
        inbound.former == Some(sender)
    }

    /// Whether a link leads to a former node that is not known.
    pub(in crate::cluster) fn is_for_former(&self, link: LinkId) -> bool {
        self.inbound
            .get(&link)
            .is_some_and(|inbound| inbound.former.is_some() && inbound.node.is_none())
    }
}

#[cfg(test)]
mod tests;
