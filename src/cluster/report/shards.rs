//! CLUSTER SHARDS: the nodes of each shard, and its slots.

use std::collections::BTreeMap;

use shards::resp::reply::Replies;

use super::endpoint::{Viewer, plain_port};
use crate::cluster::nodes::node::Node;
use crate::cluster::nodes::{Key, Nodes, Shard};

/// Writes the reply.
pub fn write(nodes: &Nodes, viewer: Viewer, replies: &mut Replies<'_>) {
    let mut shards: BTreeMap<Shard, Vec<Key>> = BTreeMap::new();
    for (key, node) in nodes.iter() {
        if !node.is_in_handshake() {
            shards.entry(nodes.shard(key)).or_default().push(key);
        }
    }
    replies.array(shards.len());
    for (shard, mut keys) in shards {
        // The primary first, as readers expect it; all nodes show them in one order.
        keys.sort_by_key(|key| (!nodes.at(*key).is_primary(), nodes.at(*key).id));
        replies.map(3);
        replies.bulk(b"slots");
        let ranges = keys.iter().flat_map(|key| nodes.at(*key).slot_set().ranges());
        let ranges: Vec<_> = ranges.collect();
        replies.array(2 * ranges.len());
        for range in ranges {
            replies.integer(i64::from(range.first.number()));
            replies.integer(i64::from(range.last.number()));
        }
        replies.bulk(b"nodes");
        replies.array(keys.len());
        keys.iter().for_each(|key| write_node(nodes.at(*key), viewer, replies));
        replies.bulk(b"id");
        match shard {
            Shard::Named(id) => replies.bulk(id.as_bytes()),
            // A shard of a Redis 7.0 has no id: its primary's is as good.
            Shard::Of(id) => replies.bulk(id.as_bytes()),
        }
    }
}

/// A value of a node.
enum Value {
    Text(String),
    Number(i64),
}

fn write_node(node: &Node, viewer: Viewer, replies: &mut Replies<'_>) {
    let health = match node {
        node if node.is_failed() => "fail",
        node if node.is_replica() && node.offset == 0 => "loading",
        _ => "online",
    };
    let role = if node.is_replica() { "replica" } else { "master" };
    let text = |text: &str| Value::Text(text.to_string());
    let tls = Viewer { security: super::endpoint::Security::Tls, ..viewer }.port(node);
    let offset = i64::try_from(node.offset).unwrap_or(i64::MAX);
    let fields = [
        ("id", Some(Value::Text(node.id.to_string()))),
        ("port", Some(plain_port(node)).filter(|port| *port != 0).map(|p| Value::Number(p.into()))),
        ("tls-port", Some(tls).filter(|port| *port != 0).map(|port| Value::Number(port.into()))),
        ("ip", Some(Value::Text(viewer.ip(node)))),
        ("endpoint", Some(Value::Text(viewer.host(node).unwrap_or_default()))),
        ("hostname", some_text(&node.names.hostname)),
        ("role", Some(text(role))),
        ("replication-offset", Some(Value::Number(offset))),
        ("health", Some(text(health))),
        ("availability-zone", some_text(&node.names.zone)),
    ];
    let fields: Vec<_> =
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    replies.map(fields.len());
    for (name, value) in fields {
        replies.bulk(name.as_bytes());
        match value {
            Value::Text(text) => replies.bulk(text.as_bytes()),
            Value::Number(number) => replies.integer(number),
        }
    }
}

fn some_text(text: &str) -> Option<Value> {
    if text.is_empty() { None } else { Some(Value::Text(text.to_string())) }
}

#[cfg(test)]
mod tests {
    use shards::resp::reply::Protocol;

    use super::super::endpoint::{Endpoint, Network, Security};
    use super::*;
    use crate::cluster::machine::bench::Bench;

    #[test]
    fn shards_show_their_nodes_and_slots() {
        let mut bench = Bench::of("m primary 3 0-9 20, a primary 4, r replica m, s replica m");
        bench.node_mut('r').offset = 7;
        let viewer =
            Viewer { endpoint: Endpoint::Ip, network: Network::V4, security: Security::Plain };
        let mut out = Vec::new();
        write(bench.machine.nodes(), viewer, &mut Replies::new(&mut out, Protocol::Resp2));
        let text = String::from_utf8(out).expect("it is text").replace("\r\n", " ");
        let (a, m, r) = ("a".repeat(40), "m".repeat(40), "r".repeat(40));
        let first = format!(
            "*2 *6 $5 slots *0 $5 nodes *1 *14 $2 id $40 {a} $4 port :7000 $2 ip $9 10.0.0.97 \
             $8 endpoint $9 10.0.0.97 $4 role $6 master $18 replication-offset :0 $6 health \
             $6 online $2 id $40 {a} "
        );
        assert!(text.starts_with(&first), "{text}");
        let second = format!("*6 $5 slots *4 :0 :9 :20 :20 $5 nodes *3 *14 $2 id $40 {m} ");
        assert!(text[first.len()..].starts_with(&second), "{text}");
        let replica = format!(
            "$40 {r} $4 port :7000 $2 ip $10 10.0.0.114 $8 endpoint $10 10.0.0.114 $4 role \
             $7 replica $18 replication-offset :7 $6 health $6 online "
        );
        assert!(text.contains(&replica), "{text}");
        assert!(text.contains("$18 replication-offset :0 $6 health $7 loading"), "{text}");
    }
}
