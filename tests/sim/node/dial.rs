//! A connection to a primary. This stands for `relay::dial`.

use keylane::replication::address::Address;
use keylane::replication::link::events::Generation;

use crate::agenda::{Env, Event};
use crate::network::{ConnId, Tried};
use crate::node::Node;
use crate::setup::Setup;

/// A connection, or one that is to be.
#[derive(Debug)]
pub struct Dial {
    pub generation: Generation,
    pub conn: ConnId,
    pub state: DialState,
    pub out: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialState {
    Connecting,
    /// It has just been connected, or will not be.
    New(bool),
    Open,
}

impl Dial {
    /// Begins to connect one node to another.
    pub fn begin(generation: Generation, node: &Node, primary: &Address, env: &mut Env) -> Self {
        let (from, to) = (node.run.node, Setup::node_at(primary));
        let conn = env.net.dial(from, to);
        let delay = 2 * env.net.latency(from, to, &mut env.random);
        env.agenda.add(delay, Event::Connects(node.run, conn));
        Self { generation, conn, state: DialState::Connecting, out: Vec::new() }
    }

    /// True when it has just been connected, false when it will not be.
    pub fn news(&mut self) -> Option<bool> {
        let DialState::New(is_open) = self.state else { return None };
        self.state = DialState::Open;
        Some(is_open)
    }

    /// Writes what there is room for. False if the connection has ended.
    pub fn write(&mut self, node: usize, env: &mut Env) -> bool {
        while !self.out.is_empty() && self.state == DialState::Open {
            match env.write(self.conn, node, &self.out) {
                Tried::Moved(count) => drop(self.out.drain(..count)),
                Tried::Later => break,
                Tried::Over => return false,
            }
        }
        true
    }
}
