//! How entries look in replies: `[ID, [name, value ...]]`.

use crate::base::number::DIGITS_MAX;
use crate::resp::reply::Replies;
use crate::types::stream::id::{ID_BYTES_MAX, StreamId};
use crate::types::stream::node::Entry;

/// An ID.
#[inline]
pub(super) fn write_id(replies: &mut Replies<'_>, id: StreamId) {
    let mut text = [0; ID_BYTES_MAX];
    replies.bulk(id.format(&mut text));
}

/// An entry.
pub(super) fn write_entry(replies: &mut Replies<'_>, entry: &Entry<'_>) {
    let mut scratch = [0; DIGITS_MAX];
    let fields = entry.fields();
    replies.array(2);
    write_id(replies, entry.id);
    replies.array(2 * fields.len());
    for (name, value) in fields {
        replies.bulk(name.bytes(&mut scratch));
        replies.bulk(value.bytes(&mut scratch));
    }
}

/// An array of entries, no more than `count` if that is given.
pub(super) fn write_entries<'e>(
    replies: &mut Replies<'_>,
    entries: impl Iterator<Item = Entry<'e>>,
    count: Option<usize>,
) {
    let (start, mut written) = (replies.out.len(), 0);
    for entry in entries.take(count.unwrap_or(usize::MAX)) {
        write_entry(replies, &entry);
        written += 1;
    }
    replies.insert(start, |replies| replies.array(written));
}
