//! What commands about several sets have in common: reading them, and storing a result.

use alloc::vec::Vec;

use crate::base::number::DIGITS_MAX;
use crate::commands::ctx::Ctx;
use crate::effects::Class;
use crate::keyspace::db::Entry;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::resp::reply::Replies;
use crate::types::object::Collection;
use crate::types::set::Set;

/// The keys at these arguments.
pub(super) fn keys<'a>(ctx: &Ctx<'a>, args: core::ops::Range<usize>) -> Vec<Key<'a>> {
    args.map(|at| ctx.key(at)).collect()
}

/// The sets at these keys, `None` where there is none.
pub(super) fn read_sets<'d>(
    db: &'d mut Selected<'_>,
    keys: &[Key<'_>],
) -> Result<Vec<Option<&'d Set>>, Error> {
    for key in keys {
        db.read_set(*key)?;
    }
    let db = &*db;
    let set = |key: &Key<'_>| db.find(*key).and_then(Entry::as_object).and_then(Set::of);
    Ok(keys.iter().map(set).collect())
}

/// Writes all members.
pub(super) fn write_members(replies: &mut Replies<'_>, set: &Set) {
    let mut scratch = [0; DIGITS_MAX];
    replies.set(set.len());
    set.for_each(|member| replies.bulk(member.bytes(&mut scratch)));
}

/// Makes the key at argument 1 this set, or removes it if the set is empty; answers how many
/// members it has.
pub(super) fn store(ctx: &mut Ctx<'_>, set: Set, event: &'static str) {
    let (key, len) = (ctx.key(1), set.len());
    if 0 < len {
        ctx.db.set_object(key, set);
        ctx.db.changed(key, Class::Set, event);
    } else if ctx.db.discard(key, Removal::Replaced) {
        ctx.db.changed(key, Class::Generic, "del");
    }
    ctx.replies.integer(len as i64);
}
