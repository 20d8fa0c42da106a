//! SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]
//! [STORE destination], and SORT_RO, which does not store
//!
//! Patterns name keys that only the elements tell. Where there are several shards, all of them are
//! at hand for requests with such patterns: see [`KEYS`].

mod elements;
mod order;
mod pattern;
mod request;

use alloc::vec::Vec;
use core::ops::Range;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Begin, Command, Find, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::encodings::quicklist::End;
use crate::encodings::quicklist::node::Fill;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::types::list::List;
use elements::Elements;
use pattern::Pattern;
use request::{Form, Request};

pub(super) const SORT: Command = Command {
    spec: Spec {
        name: "sort",
        since: "1.0.0",
        summary: "Sorts the elements of a list, a set or a sorted set; may store the result.",
        syntax: "key [BY by-pattern] [LIMIT offset count] [GET get-pattern [GET get-pattern ...]] \
                 [ASC | DESC] [ALPHA] [STORE destination]",
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::MovableKeys]),
        keys: KEYS,
        ..EACH
    },
    run: |ctx| sort(ctx, Form::Full),
};

pub(super) const SORT_RO: Command = Command {
    spec: Spec {
        name: "sort_ro",
        since: "7.0.0",
        summary: "Returns the elements of a list, a set or a sorted set in some order.",
        syntax: "key [BY by-pattern] [LIMIT offset count] [GET get-pattern [GET get-pattern ...]] \
                 [ASC | DESC] [ALPHA]",
        flags: Flags::of(&[Flag::ReadOnly, Flag::MovableKeys]),
        keys: KEYS.split_at(2).0,
        ..EACH
    },
    run: |ctx| sort(ctx, Form::ReadOnly),
};

const EACH: Spec = Spec {
    group: Group::Generic,
    complexity: "O(N+M*log(M)), N being the number of elements and M that of those returned; all \
                 shards stand still for patterns that name keys.",
    arity: Arity::AtLeast(2),
    categories: &["set", "sortedset", "list", "dangerous"],
    ..Spec::EMPTY
};

const KEYS: &[KeySpec] = &[
    KeySpec::first(&["RO", "ACCESS"]),
    KeySpec {
        begin: Begin::Unknown,
        find: Find::Anywhere(request::reaches),
        flags: &["RO", "ACCESS"],
    },
    KeySpec {
        begin: Begin::Unknown,
        find: Find::Place(request::store_place),
        flags: &["OW", "UPDATE"],
    },
];

const NOT_NUMBERS: Error = Error::Text("ERR One or more scores can't be converted into double");

fn sort(ctx: &mut Ctx<'_>, form: Form) -> Result<(), Error> {
    let request = Request::parse(ctx.args, form)?;
    let key = ctx.key(1);
    let (mut elements, wanted) = elements::load(&mut ctx.db, key, &request)?;
    if elements.must_be_sorted {
        order::weigh(&mut ctx.db, &mut elements, &request)?;
        order::sort(&mut elements, &request, &wanted);
    }
    match request.store {
        Some(place) => {
            let key = ctx.key(place);
            store(ctx, key, &elements, wanted, &request.gets);
        }
        None => reply(ctx, &elements, wanted, &request.gets),
    }
    Ok(())
}

/// Says what is to be said of each element that is wanted; `None` for what is not there.
fn show_each(
    db: &mut Selected<'_>,
    elements: &Elements,
    wanted: Range<usize>,
    gets: &[Pattern<'_>],
    mut show: impl FnMut(Option<&[u8]>),
) {
    let mut name = Vec::new();
    for element in wanted.map(|at| elements.get(at)) {
        if gets.is_empty() {
            show(Some(element));
        }
        for get in gets {
            get.look_up(db, element, &mut name, &mut show);
        }
    }
}

fn reply(ctx: &mut Ctx<'_>, elements: &Elements, wanted: Range<usize>, gets: &[Pattern<'_>]) {
    let Ctx { db, replies, .. } = ctx;
    replies.array(wanted.len() * gets.len().max(1));
    show_each(db, elements, wanted, gets, |text| match text {
        Some(text) => replies.bulk(text),
        None => replies.null(),
    });
}

/// Makes `key` a list of what is to be said of each element.
fn store(
    ctx: &mut Ctx<'_>,
    key: Key<'_>,
    elements: &Elements,
    wanted: Range<usize>,
    gets: &[Pattern<'_>],
) {
    let mut list = List::default();
    list.become_quicklist(Fill::of(ctx.db.keyspace.settings.limits.list.listpack_size));
    show_each(&mut ctx.db, elements, wanted, gets, |text| {
        list.push(End::Right, text.unwrap_or_default());
    });
    list.settle();
    let len = list.len();
    if 0 < len {
        ctx.db.set_object(key, list);
        ctx.db.effects.dirty += len as u64 - 1;
        ctx.db.changed(key, Class::List, "sortstore");
    } else if ctx.db.discard(key, Removal::Replaced) {
        ctx.db.changed(key, Class::Generic, "del");
    }
    ctx.replies.integer(len as i64);
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Harness;

    /// Valkey's events and what it propagates, as observed.
    #[test]
    fn commands_leave_behind_what_valkey_does() {
        let mut harness = Harness::new();
        harness.run("RPUSH l 3 1 2");
        harness.run("SET w_1 5");
        harness.run("SET d 1");
        harness.check("SORT l", 0, "", "");
        harness.check("SORT l BY w_*", 0, "keymiss:w_3 keymiss:w_2", "");
        harness.check("SORT l STORE e", 3, "new:e sortstore:e", "SORT l STORE e");
        harness.check("SORT l STORE d", 3, "sortstore:d", "SORT l STORE d");
        harness.check("SORT l LIMIT 1 1 STORE d", 1, "sortstore:d", "SORT l LIMIT 1 1 STORE d");
        harness.check("SORT none STORE d", 1, "keymiss:none del:d", "SORT none STORE d");
        harness.check("SORT none STORE d", 0, "keymiss:none", "");
        harness.check("SORT_RO l", 0, "", "");
    }
}
