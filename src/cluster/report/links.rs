//! CLUSTER LINKS: the connections of the bus.

use shards::resp::reply::Replies;

use crate::cluster::machine::Machine;
use crate::cluster::machine::event::LinkId;

/// What the bus knows of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// Bytes that there is room for.
    pub allocated: usize,
    /// Bytes that wait to be sent.
    pub used: usize,
}

/// Writes the reply; `buffer` tells of a link what the bus knows.
pub fn write(machine: &Machine, buffer: impl Fn(LinkId) -> Buffer, replies: &mut Replies<'_>) {
    let links = machine.links();
    replies.array(links.len());
    for link in links {
        let Buffer { allocated, used } = buffer(link.link);
        let direction: &[u8] = match link.link {
            LinkId::Outbound(_) => b"to",
            LinkId::Inbound(_) => b"from",
        };
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        replies.map(6);
        replies.bulk(b"direction");
        replies.bulk(direction);
        replies.bulk(b"node");
        replies.bulk(link.node.as_bytes());
        replies.bulk(b"create-time");
        replies.integer(i64::try_from(link.since.0).unwrap_or(i64::MAX));
        replies.bulk(b"events");
        replies.bulk(if used == 0 { b"r" } else { b"rw" });
        replies.bulk(b"send-buffer-allocated");
        replies.integer(number(allocated));
        replies.bulk(b"send-buffer-used");
        replies.integer(number(used));
    }
}

#[cfg(test)]
mod tests {
    use shards::resp::reply::Protocol;

    use super::*;
    use crate::cluster::machine::bench::Bench;

    #[test]
    fn both_links_with_each_node_are_shown() {
        let bench = Bench::of("m primary 3 0-9, a primary 4 10-19");
        let buffer = |link| match link {
            LinkId::Outbound(_) => Buffer { allocated: 48, used: 0 },
            LinkId::Inbound(_) => Buffer { allocated: 48, used: 7 },
        };
        let mut out = Vec::new();
        write(&bench.machine, buffer, &mut Replies::new(&mut out, Protocol::Resp3));
        let text = String::from_utf8(out).expect("it is text").replace("\r\n", " ");
        let id = "a".repeat(40);
        assert!(text.starts_with(&format!("*2 %6 $9 direction $2 to $4 node $40 {id} ")), "{text}");
        assert!(
            text.contains(":1000000000000 ") || text.contains("create-time :10000000"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "$6 events $2 rw $21 send-buffer-allocated :48 $16 send-buffer-used :7 "
            )
        );
    }
}
