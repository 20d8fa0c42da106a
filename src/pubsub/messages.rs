//! Messages: on their way between threads, and as a client gets them.

use shards::resp::reply::{Protocol, Replies};

use crate::pubsub::kind::Kind;

/// Kind, channel and payload of a message.
pub type Message<'a> = (Kind, &'a [u8], &'a [u8]);

/// Messages in the order in which they were sent, all bytes in one piece.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    heads: Vec<Head>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    kind: Kind,
    channel: usize,
    payload: usize,
}

impl Messages {
    /// Adds one.
    pub fn push(&mut self, kind: Kind, channel: &[u8], payload: &[u8]) {
        self.bytes.extend_from_slice(channel);
        self.bytes.extend_from_slice(payload);
        self.heads.push(Head { kind, channel: channel.len(), payload: payload.len() });
    }

    /// Bytes that they take.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.heads.len() * size_of::<Head>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        let mut rest = &self.bytes[..];
        self.heads.iter().map(move |head| {
            let (message, after) = rest.split_at(head.channel + head.payload);
            rest = after;
            let (channel, payload) = message.split_at(head.channel);
            (head.kind, channel, payload)
        })
    }
}

/// A message as a client gets it; `pattern` is the one that matched, if it was one.
pub fn frame(protocol: Protocol, message: Message<'_>, pattern: Option<&[u8]>) -> Vec<u8> {
    let (kind, channel, payload) = message;
    let mut out = Vec::with_capacity(64 + channel.len() + payload.len());
    let mut replies = Replies::new(&mut out, protocol);
    match (kind, pattern) {
        (_, Some(pattern)) => {
            replies.push(4);
            replies.bulk(b"pmessage");
            replies.bulk(pattern);
        }
        (Kind::ShardChannel, None) => {
            replies.push(3);
            replies.bulk(b"smessage");
        }
        (Kind::Channel | Kind::Pattern | Kind::Prefix | Kind::Monitor, None) => {
            replies.push(3);
            replies.bulk(b"message");
        }
    }
    replies.bulk(channel);
    replies.bulk(payload);
    out
}

/// The reply to the beginning or end of a subscription: `word` says which, `count` how many are
/// left. There is no name if all were to end and there were none.
pub fn confirm(replies: &mut Replies<'_>, word: &[u8], name: Option<&[u8]>, count: usize) {
    replies.push(3);
    replies.bulk(word);
    match name {
        Some(name) => replies.bulk(name),
        None => replies.null(),
    }
    replies.integer(i64::try_from(count).expect("a client's subscriptions are counted"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut messages = Messages::default();
        assert!(messages.is_empty());
        let sent: [(Kind, &[u8], &[u8]); 3] = [
            (Kind::Channel, b"a", b"one"),
            (Kind::ShardChannel, b"", b""),
            (Kind::Channel, b"bb", b"\r\n"),
        ];
        for (kind, channel, payload) in sent {
            messages.push(kind, channel, payload);
        }
        assert!(messages.iter().eq(sent));
    }

    #[test]
    fn frames_are_pushes_where_the_protocol_has_them() {
        let check = |protocol, kind, pattern: Option<&[u8]>, expected: &str| {
            let bytes = frame(protocol, (kind, b"c", b"m"), pattern);
            assert_eq!(String::from_utf8(bytes).expect("it is text"), expected);
        };
        let (two, three) = (Protocol::Resp2, Protocol::Resp3);
        check(two, Kind::Channel, None, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
        check(three, Kind::ShardChannel, None, ">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
        let by_pattern = ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$1\r\nm\r\n";
        check(three, Kind::Channel, Some(b"*"), by_pattern);
    }
}
