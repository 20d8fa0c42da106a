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

use crate::base::number::DIGITS_MAX;
use crate::base::slot::Slot;
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
    // In a cluster the keys that patterns name must be where the key is.
    let slot = ctx.db.keyspace.settings.in_cluster.then(|| Slot::of(ctx.args[1]));
    let request = Request::parse(ctx.args, form, slot)?;
    let key = ctx.key(1);
    let (mut elements, wanted) = elements::load(&mut ctx.db, key, &request)?;
    if elements.must_be_sorted {
        order::weigh(&mut ctx.db, &mut elements, &request)?;
        order::sort(&mut elements, &request, &wanted);
    }
    match request.store {
        Some(place) => {
            let key = ctx.key(place);
            store(ctx, key, &elements, wanted, &request);
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
    request: &Request<'_>,
) {
    let mut list = List::default();
    list.become_quicklist(Fill::of(ctx.db.keyspace.settings.limits.list.listpack_size));
    show_each(&mut ctx.db, elements, wanted, &request.gets, |text| {
        list.push(End::Right, text.unwrap_or_default());
    });
    list.settle();
    let len = list.len();
    let logs_stored = request.reads_other_keys() && ctx.db.effects.keeps_log;
    if 0 < len {
        if logs_stored {
            log_stored(&mut ctx.db, key, &list);
        }
        ctx.db.set_object(key, list);
        ctx.db.effects.dirty += len as u64 - 1;
        ctx.db.changed(key, Class::List, "sortstore");
    } else if ctx.db.discard(key, Removal::Replaced) {
        if logs_stored {
            ctx.db.effects.log_instead(&[b"DEL", key.bytes]);
        }
        ctx.db.changed(key, Class::Generic, "del");
    }
    ctx.replies.integer(len as i64);
}

/// Logs what is stored at `key`, and no request. A replica may have other values yet, or no more,
/// at keys that only the elements tell: they may be in other logs, or fields whose time has come.
fn log_stored(db: &mut Selected<'_>, key: Key<'_>, list: &List) {
    let (mut bytes, mut ends, mut scratch) = (Vec::new(), Vec::new(), [0; DIGITS_MAX]);
    for element in list.forward(0) {
        bytes.extend_from_slice(element.bytes(&mut scratch));
        ends.push(bytes.len());
    }
    let starts = core::iter::once(0).chain(ends.iter().copied());
    let elements = starts.zip(&ends).map(|(start, end)| &bytes[start..*end]);
    let words: Vec<&[u8]> = [b"RPUSH", key.bytes].into_iter().chain(elements).collect();
    db.effects.log_instead(&[b"DEL", key.bytes]);
    db.effects.log_instead(&words);
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use crate::commands::testing::Harness;

    #[test]
    fn patterns_of_other_slots_are_refused_in_a_cluster() {
        let mut harness = Harness::new();
        harness.run("RPUSH l 1");
        harness.keyspace.settings.in_cluster = true;
        for (options, refused) in [
            ("BY w_*", Some("BY")),
            ("BY {l}w_*", None),
            ("BY w_{l}_*", None),
            ("BY l*", Some("BY")),
            ("BY *{l}", Some("BY")),
            ("BY w?{l}*", Some("BY")),
            ("BY {l*}", Some("BY")),
            ("BY {}{l}*", Some("BY")),
            ("BY {{l}*", Some("BY")),
            ("BY {l}*->{b}", None),
            ("BY nosort", None),
            ("BY nosort BY w_*", Some("BY")),
            ("BY w_* LIMIT a b", Some("BY")),
            ("GET #", None),
            ("GET x", Some("GET")),
            ("GET {l}x", None),
            ("GET #{b}", Some("GET")),
            ("BY nosort GET w_*", Some("GET")),
        ] {
            let reply = harness.run(&format!("SORT l {options}"));
            let expected = refused.map(|option| {
                format!(
                    "-ERR {option} option of SORT denied in Cluster mode when keys formed by the \
                     pattern may be in different slots.\\r\\n"
                )
            });
            match expected {
                Some(expected) => assert_eq!(reply, expected, "{options}"),
                None => assert!(!reply.starts_with('-'), "{options}: {reply}"),
            }
        }
    }

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

    #[test]
    fn what_keys_elsewhere_decide_is_logged_as_it_came_out() {
        let mut harness = Harness::new();
        harness.run("RPUSH l 3 1 2");
        harness.run("MSET w_1 9 w_2 5 w_3 7");
        let asked = "SORT l BY w_* STORE d";
        harness.check(asked, 3, "new:d sortstore:d", "DEL d; RPUSH d 2 3 1");
        let asked = "SORT l BY nosort GET w_* GET # STORE d";
        harness.check(asked, 6, "sortstore:d", "DEL d; RPUSH d 7 3 9 1 5 2");
        harness.check("SORT none GET w_* STORE d", 1, "keymiss:none del:d", "DEL d");
        harness.check("SORT none GET w_* STORE d", 0, "keymiss:none", "");
    }
}
