//! What a client is told of stale copies.

use shards::resp::reply::{Protocol, Replies};

/// The channel on which a client in RESP2 is told for another one.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// That copies of these keys are stale, or of all keys if there is no list.
pub fn stale(protocol: Protocol, keys: Option<&[&[u8]]>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut replies = Replies::new(&mut out, protocol);
    match protocol {
        Protocol::Resp2 => {
            replies.array(3);
            replies.bulk(b"message");
            replies.bulk(CHANNEL);
        }
        Protocol::Resp3 => {
            replies.push(2);
            replies.bulk(b"invalidate");
        }
    }
    match keys {
        Some(keys) => {
            replies.array(keys.len());
            keys.iter().for_each(|key| replies.bulk(key));
        }
        None => replies.null(),
    }
    out
}

/// In RESP3: that the client is gone which was to be told in its place.
pub fn redirection_broken(id: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut replies = Replies::new(&mut out, Protocol::Resp3);
    replies.push(2);
    replies.bulk(b"tracking-redir-broken");
    replies.integer(i64::try_from(id).expect("ids count connections"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resp2_is_told_as_by_a_channel() {
        let check = |bytes: Vec<u8>, expected: &str| {
            assert_eq!(String::from_utf8(bytes).expect("it is text"), expected);
        };
        let channel = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
        check(stale(Protocol::Resp2, Some(&[b"k"])), &format!("{channel}*1\r\n$1\r\nk\r\n"));
        check(stale(Protocol::Resp2, None), &format!("{channel}$-1\r\n"));
        check(stale(Protocol::Resp3, None), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    }
}
