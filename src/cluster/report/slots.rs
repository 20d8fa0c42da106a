//! CLUSTER SLOTS: who serves which range.

use shards::resp::reply::Replies;

use super::endpoint::{Endpoint, Viewer};
use crate::cluster::nodes::node::Node;
use crate::cluster::nodes::{Key, Nodes};
use crate::cluster::slot_set::SlotRange;

/// Writes the reply: for each range its ends, its primary, and replicas that have data.
pub fn write(nodes: &Nodes, viewer: Viewer, replies: &mut Replies<'_>) {
    let mut ranges: Vec<(SlotRange, Key)> = Vec::new();
    for (key, node) in nodes.iter() {
        ranges.extend(node.slot_set().ranges().into_iter().map(|range| (range, key)));
    }
    ranges.sort_unstable_by_key(|(range, _)| range.first);
    replies.array(ranges.len());
    for (range, primary) in ranges {
        let has_data = |node: &&Node| !node.is_failed() && node.offset != 0;
        let replicas = nodes.replicas_of(primary).map(|(_, node)| node).filter(has_data);
        let all: Vec<&Node> = [nodes.at(primary)].into_iter().chain(replicas).collect();
        replies.array(2 + all.len());
        replies.integer(i64::from(range.first.number()));
        replies.integer(i64::from(range.last.number()));
        all.into_iter().for_each(|node| write_node(node, viewer, replies));
    }
}

fn write_node(node: &Node, viewer: Viewer, replies: &mut Replies<'_>) {
    replies.array(4);
    match viewer.host(node) {
        Some(host) => replies.bulk(host.as_bytes()),
        None => replies.null(),
    }
    replies.integer(i64::from(viewer.port(node)));
    replies.bulk(node.id.as_bytes());
    let (hostname, zone) = (&node.names.hostname, &node.names.zone);
    let mut rest = Vec::new();
    if viewer.endpoint != Endpoint::Ip {
        rest.push(("ip", viewer.ip(node)));
    }
    if viewer.endpoint != Endpoint::Hostname && !hostname.is_empty() {
        rest.push(("hostname", hostname.clone()));
    }
    if !zone.is_empty() {
        rest.push(("availability-zone", zone.clone()));
    }
    replies.map(rest.len());
    for (name, value) in rest {
        replies.bulk(name.as_bytes());
        replies.bulk(value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use shards::resp::reply::Protocol;

    use super::super::endpoint::{Network, Security};
    use super::*;
    use crate::cluster::machine::bench::Bench;

    fn shown(bench: &Bench, endpoint: Endpoint) -> String {
        let viewer = Viewer { endpoint, network: Network::V4, security: Security::Plain };
        let mut out = Vec::new();
        write(bench.machine.nodes(), viewer, &mut Replies::new(&mut out, Protocol::Resp2));
        String::from_utf8(out).expect("it is text").replace("\r\n", " ")
    }

    #[test]
    fn ranges_come_in_order_with_replicas_that_have_data() {
        let mut bench =
            Bench::of("m primary 3 0-9 20, a primary 4 10-19, r replica m, s replica m");
        bench.node_mut('r').offset = 7;
        bench.node_mut('m').names.zone = "z1".to_string();
        let (m, a, r) = ("m".repeat(40), "a".repeat(40), "r".repeat(40));
        let node =
            |ip: &str, id: &str, rest: &str| format!("*4 ${} {ip} :7000 $40 {id} {rest}", ip.len());
        let me = |bench: &Bench| {
            let port = bench.node('m').ports.client;
            format!("*4 $10 10.0.0.109 :{port} $40 {m} *2 $17 availability-zone $2 z1 ")
        };
        let replica = node("10.0.0.114", &r, "*0 ");
        let expected = format!(
            "*3 *4 :0 :9 {}{replica}*3 :10 :19 {}*4 :20 :20 {}{replica}",
            me(&bench),
            node("10.0.0.97", &a, "*0 "),
            me(&bench)
        );
        assert_eq!(shown(&bench, Endpoint::Ip), expected);
        bench.node_mut('r').health = crate::cluster::nodes::node::Health::Suspected;
        assert_eq!(shown(&bench, Endpoint::Ip), expected, "PFAIL is shown");
    }

    #[test]
    fn the_preferred_endpoint_comes_first_and_the_others_behind() {
        let mut bench = Bench::of("m primary 3, a primary 4 0-9, b primary 4 10-19");
        bench.node_mut('a').names.hostname = "my.host".to_string();
        let shown = |endpoint| shown(&bench, endpoint);
        assert!(shown(Endpoint::Ip).contains("*2 $8 hostname $7 my.host"));
        let by_name = shown(Endpoint::Hostname);
        assert!(by_name.contains("*4 $7 my.host :7000"), "{by_name}");
        assert!(by_name.contains("*4 $1 ? :7000"), "{by_name}");
        assert!(by_name.contains("*2 $2 ip $9 10.0.0.97"), "{by_name}");
        let unknown = shown(Endpoint::Unknown);
        assert!(unknown.contains("*4 $-1 :7000"), "{unknown}");
        assert!(unknown.contains("*4 $2 ip $9 10.0.0.97 $8 hostname $7 my.host"), "{unknown}");
    }
}
