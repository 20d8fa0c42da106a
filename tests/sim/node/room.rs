//! Room for a primary's snapshot: a node that removes what it has before all of a primary comes.
//! This stands for `relay::upstream::room`; how much memory there is, is the setup's to say.

use keylane::config::choices::DisklessLoad;
use keylane::replication::handshake::SnapshotOffered;
use keylane::replication::link::events::{Event, Generation};
use keylane::replication::link::room::{Facts, Room, decide};

use crate::agenda::Env;
use crate::faults::Fault;
use crate::node::Node;
use crate::node::letters::{Letter, LinkWord};
use crate::node::upstream::{Intake, Upstream};

/// A snapshot that waits until all keys are gone.
#[derive(Debug)]
pub struct Arriving {
    generation: Generation,
    pub coming: Coming,
}

/// How it comes.
#[derive(Debug)]
pub enum Coming {
    /// In the stream: what has come, and whether that is all.
    Stream(Vec<u8>, bool),
    /// By connections of its own.
    Connections(SnapshotOffered),
}

impl Upstream {
    /// A snapshot is to be taken in.
    pub fn look_for_room(
        &mut self,
        node: &mut Node,
        env: &mut Env,
        generation: Generation,
        coming: Coming,
    ) {
        let setting = match env.setup.empties {
            true => DisklessLoad::FlushBeforeLoad,
            false => DisklessLoad::SwapDb,
        };
        let is_empty = node.image.values.iter().all(|value| *value == 0);
        let (used, primary_used, maxmemory, available) = (0, None, 0, None);
        let is_freeing = false;
        let facts =
            Facts { setting, is_empty, is_freeing, used, primary_used, maxmemory, available };
        if let Coming::Connections(SnapshotOffered { name, connections, .. }) = coming {
            self.open_connections(node, env, generation, (name, connections));
        }
        self.arriving = Some(Arriving { generation, coming });
        match decide(&facts) {
            Room::Beside => self.take_in(node, env),
            Room::EmptyFirst if env.has(Fault::HastyEmptying) => self.empty(node, env),
            Room::EmptyFirst => self.go_on_with_room(node, env),
            Room::Later => panic!("nothing is freed"),
            Room::Refused(lack) => panic!("nothing is short: {lack}"),
        }
    }

    /// Bytes of a snapshot have come.
    pub fn take_snapshot(&mut self, bytes: &[u8]) {
        match &mut self.arriving {
            Some(Arriving { coming: Coming::Stream(head, _), .. }) => head.extend(bytes),
            _ => self.intake.iter_mut().for_each(|intake| intake.bytes.extend(bytes)),
        }
    }

    /// Has control drop all keys when nothing changes them any more.
    pub fn go_on_with_room(&mut self, node: &mut Node, env: &mut Env) {
        if self.arriving.is_some() && self.dispatch.is_empty() {
            self.empty(node, env);
        }
    }

    fn empty(&mut self, node: &mut Node, env: &mut Env) {
        if !std::mem::replace(&mut self.is_emptying, true) {
            node.tell_control(env, Letter::Link(LinkWord::Empty));
        }
    }

    /// Control has seen to it that all keys are gone; or not, since no primary is followed.
    pub fn emptied(&mut self, node: &mut Node, env: &mut Env, are_gone: bool) {
        self.is_emptying = false;
        if are_gone {
            self.former = None;
            if !env.has(Fault::KeepsPlace) {
                self.happens(node, env, Event::Forget);
            }
            self.begin_stream(env);
        }
        self.take_in(node, env);
        if let Some((generation, primary)) = self.connects_to.take() {
            self.connect(node, env, generation, &primary);
        }
    }

    fn take_in(&mut self, node: &mut Node, env: &mut Env) {
        let Some(Arriving { generation, coming }) = self.arriving.take() else { return };
        match coming {
            Coming::Connections(_) => self.take_chunks_in(node, env),
            Coming::Stream(bytes, has_ended) => {
                let intake = Intake { generation, bytes, has_ended: false, outstanding: 0 };
                self.intake = Some(intake);
                for shard in 0..node.shards.len() {
                    node.relay_tells(env, shard, Letter::BeginStaging);
                }
                if has_ended {
                    self.end_snapshot(node, env);
                }
            }
        }
    }
}
