//! A client that goes where nodes send it.

use std::collections::BTreeMap;

use crate::client::{Client, Reply};
use crate::nodes::Cluster;
use crate::servers::until;

/// How often one command is sent on, before that is a failure.
const HOPS_MAX: usize = 16;

/// A client of a cluster. It knows no slots: it remembers which node has served a key.
pub struct Routed<'c> {
    cluster: &'c Cluster,
    /// The node that is asked first.
    first: usize,
    connections: BTreeMap<String, Client>,
    served: BTreeMap<String, String>,
}

impl<'c> Routed<'c> {
    /// A client that has no connection yet.
    pub fn new(cluster: &'c Cluster) -> Self {
        Self::from_node(cluster, 0)
    }

    /// The same, that asks this node first.
    pub fn from_node(cluster: &'c Cluster, first: usize) -> Self {
        Self { cluster, first, connections: BTreeMap::new(), served: BTreeMap::new() }
    }

    /// What is replied to a command on this key by the node that serves it.
    pub fn call(&mut self, key: &str, words: &[&str]) -> Reply {
        let mut reply = Reply::Null;
        let cluster = self.cluster;
        let answered = || {
            reply = self.follow(key, words);
            let Reply::Error(text) = &reply else { return true };
            // The slot is at two nodes, or nodes do not agree on it for a moment.
            !text.starts_with(b"TRYAGAIN ") && !text.starts_with(b"CLUSTERDOWN ")
        };
        until(&format!("{}: {words:?}", cluster.mix), answered, || cluster.describe());
        reply
    }

    /// Sends a command where it belongs; at last to where it was sent on.
    fn follow(&mut self, key: &str, words: &[&str]) -> Reply {
        let first = || self.cluster.nodes[self.first].addr.clone();
        let mut address = self.served.get(key).cloned().unwrap_or_else(first);
        let mut asks = false;
        for _ in 0..HOPS_MAX {
            let reply = self.send(&address, asks, words);
            let Reply::Error(text) = &reply else { return reply };
            let text = String::from_utf8_lossy(text).into_owned();
            let words: Vec<&str> = text.split(' ').collect();
            match words.as_slice() {
                ["MOVED", _, to] => {
                    (address, asks) = ((*to).to_owned(), false);
                    self.served.insert(key.to_owned(), address.clone());
                }
                ["ASK", _, to] => (address, asks) = ((*to).to_owned(), true),
                _ => return reply,
            }
        }
        Reply::Error(b"TRYAGAIN it is sent to and fro".to_vec())
    }

    fn send(&mut self, address: &str, asks: bool, words: &[&str]) -> Reply {
        let client = self.connections.entry(address.to_owned()).or_insert_with(|| {
            Client::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
        });
        if asks {
            let reply = client.call(&["ASKING"]);
            assert!(matches!(reply, Ok(Reply::Simple(_))), "{address}: ASKING: {reply:?}");
        }
        client.call(words).unwrap_or_else(|error| panic!("{address}: {words:?}: {error}"))
    }
}
