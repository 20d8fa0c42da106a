//! By what elements are sorted, and how.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use super::NOT_NUMBERS;
use super::elements::{Elements, Item};
use super::request::Request;
use crate::base::partial_sort::sort_part;
use crate::keyspace::selected::Selected;
use crate::resp::error::Error;

/// Finds out by what each element is sorted.
pub(super) fn weigh(
    db: &mut Selected<'_>,
    elements: &mut Elements,
    request: &Request<'_>,
) -> Result<(), Error> {
    let by = request.by.as_ref().filter(|_| elements.by_pattern);
    let alpha = elements.alpha;
    let spelling = db.keyspace.settings.spelling();
    let (mut element, mut name, mut all_are_numbers) = (Vec::new(), Vec::new(), true);
    for at in 0..elements.items.len() {
        let item = &mut elements.items[at];
        let mut weigh = |text: &[u8]| match spelling.read(until_zero(text)) {
            Some(score) => item.score = score,
            None => all_are_numbers = false,
        };
        match by {
            None if alpha => return Ok(()),
            None => weigh(&elements.bytes[item.element.clone()]),
            Some(by) => {
                element.clear();
                element.extend_from_slice(&elements.bytes[item.element.clone()]);
                by.look_up(db, &element, &mut name, |text| match text {
                    Some(text) if alpha => {
                        let start = elements.bytes.len();
                        elements.bytes.extend_from_slice(text);
                        item.text = Some(start..elements.bytes.len());
                    }
                    Some(text) => weigh(text),
                    None => {}
                });
            }
        }
    }
    // All are looked up before the request fails.
    if all_are_numbers { Ok(()) } else { Err(NOT_NUMBERS) }
}

/// Sorts the elements, so far at least that the wanted ones are in their places.
pub(super) fn sort(elements: &mut Elements, request: &Request<'_>, wanted: &Range<usize>) {
    let Elements { bytes, items, alpha, by_pattern, .. } = elements;
    // Valkey compares what it does not store as C strings.
    let stores = request.store.is_some();
    let text = |range: &Range<usize>| {
        let text = &bytes[range.clone()];
        if stores { text } else { until_zero(text) }
    };
    let ascending = |a: &Item, b: &Item| -> Ordering {
        if *alpha && *by_pattern {
            a.text.as_ref().map(text).cmp(&b.text.as_ref().map(text))
        } else if *alpha {
            text(&a.element).cmp(text(&b.element))
        } else {
            let by_score = a.score.partial_cmp(&b.score).unwrap_or(Ordering::Equal);
            by_score.then_with(|| bytes[a.element.clone()].cmp(&bytes[b.element.clone()]))
        }
    };
    let compare = |a: &Item, b: &Item| {
        if request.descending { ascending(b, a) } else { ascending(a, b) }
    };
    // In which order equal ones come can be seen; but numbers and their elements are only equal
    // if they are the same.
    if wanted.len() < items.len() && (*by_pattern || !*alpha) {
        sort_part(items, wanted, &compare);
    } else {
        items.sort_by(compare);
    }
}

/// What C reads of a text.
fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(text)
}
