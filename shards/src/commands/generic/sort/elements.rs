//! The elements to sort: copies, because looking up what they stand for changes the keyspace.

use alloc::vec::Vec;
use core::ops::Range;

use super::request::Request;
use crate::base::number::DIGITS_MAX;
use crate::encodings::listpack::Element;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;
use crate::types::list::List;
use crate::types::object::Object;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;

/// Copies of elements.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Their bytes, and those of what they are sorted by.
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Item>,
    /// Whether they are not in the order asked for.
    pub(super) must_be_sorted: bool,
    /// Whether they are sorted by bytes.
    pub(super) alpha: bool,
    /// Whether they are sorted by what a pattern names.
    pub(super) by_pattern: bool,
}

/// Where an element lies in the bytes, and what it is sorted by.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) element: Range<usize>,
    /// By numbers.
    pub(super) score: f64,
    /// By bytes that a pattern names; nothing stands before everything.
    pub(super) text: Option<Range<usize>>,
}

impl Elements {
    /// The element at a place.
    pub(super) fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.items[at].element.clone()]
    }

    fn push(&mut self, element: Element<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(element.bytes(&mut [0; DIGITS_MAX]));
        self.items.push(Item { element: start..self.bytes.len(), score: 0.0, text: None });
    }
}

/// Copies what the request needs of the value at `key`, and says which places are wanted.
pub(super) fn load(
    db: &mut Selected<'_>,
    key: Key<'_>,
    request: &Request<'_>,
) -> Result<(Elements, Range<usize>), Error> {
    let by_pattern = request.by.is_some();
    let mut elements = Elements {
        must_be_sorted: !request.is_unsorted,
        alpha: request.alpha,
        by_pattern,
        ..Elements::default()
    };
    let Some(entry) = db.read(key) else { return Ok((elements, 0..0)) };
    match entry.as_object() {
        Some(Object::List(list)) => {
            let wanted = load_list(&mut elements, list, request);
            Ok((elements, wanted))
        }
        Some(Object::Set(set)) => {
            if request.is_unsorted && request.store.is_some() {
                // What is stored must not depend on how the set keeps its members.
                elements.must_be_sorted = true;
                elements.alpha = true;
                elements.by_pattern = false;
            }
            let wanted = load_set(&mut elements, set, request);
            Ok((elements, wanted))
        }
        Some(Object::SortedSet(_)) => {
            let rules = db.sorted_set_rules();
            let set = db.write_as::<SortedSet>(key)?.expect("it was found just now");
            // As in Valkey, it stays a skiplist from then on.
            set.prepare(usize::MAX, 0, &rules);
            let wanted = load_sorted_set(&mut elements, set, request);
            Ok((elements, wanted))
        }
        _ => Err(Error::WrongType),
    }
}

fn load_list(elements: &mut Elements, list: &List, request: &Request<'_>) -> Range<usize> {
    let wanted = request.wanted(list.len());
    if elements.must_be_sorted {
        list.forward(0).for_each(|element| elements.push(element));
        return wanted;
    }
    if request.descending {
        let all = list.backward();
        all.skip(wanted.start).take(wanted.len()).for_each(|element| elements.push(element));
    } else {
        let rest = list.forward(wanted.start);
        rest.take(wanted.len()).for_each(|element| elements.push(element));
    }
    0..wanted.len()
}

fn load_set(elements: &mut Elements, set: &Set, request: &Request<'_>) -> Range<usize> {
    let wanted = request.wanted(set.len());
    if elements.must_be_sorted {
        set.for_each(|element| elements.push(element));
        return wanted;
    }
    let members = set.iter().skip(wanted.start).take(wanted.len());
    members.for_each(|element| elements.push(element));
    0..wanted.len()
}

fn load_sorted_set(
    elements: &mut Elements,
    set: &SortedSet,
    request: &Request<'_>,
) -> Range<usize> {
    let len = set.len();
    let wanted = request.wanted(len);
    if elements.must_be_sorted {
        set.iter(0..len, false).for_each(|(element, _)| elements.push(element));
        return wanted;
    }
    let ranks = if request.descending { len - wanted.end..len - wanted.start } else { wanted };
    let count = ranks.len();
    set.iter(ranks, request.descending).for_each(|(element, _)| elements.push(element));
    0..count
}
