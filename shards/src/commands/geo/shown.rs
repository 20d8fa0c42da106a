//! Places and distances in replies.

use alloc::format;
use libm::rint;

use crate::base::geohash::Place;
use crate::resp::reply::{Protocol, Replies};

/// A place: longitude and latitude, with up to 17 decimals.
pub(super) fn place(replies: &mut Replies<'_>, place: Place) {
    replies.array(2);
    coordinate(replies, place.longitude);
    coordinate(replies, place.latitude);
}

fn coordinate(replies: &mut Replies<'_>, degrees: f64) {
    let text = format!("{degrees:.17}");
    let text = match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0",
        text => text,
    };
    match replies.protocol {
        Protocol::Resp2 => replies.bulk(text.as_bytes()),
        Protocol::Resp3 => {
            replies.out.push(b',');
            replies.out.extend_from_slice(text.as_bytes());
            replies.out.extend_from_slice(b"\r\n");
        }
    }
}

/// A distance, with four decimals.
pub(super) fn distance(replies: &mut Replies<'_>, distance: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "the earth has an end")]
    let scaled = rint(distance * 10_000.0) as i64;
    replies.bulk(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}
