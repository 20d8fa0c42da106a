//! Sorting only as far as the wanted elements need it: the quicksort of Bentley and McIlroy (1993)
//! that leaves alone what does not concern them. It is not stable, and where it puts equal elements
//! is what clients of Valkey see, which sorts this way too.

use core::cmp::Ordering;
use core::ops::Range;

/// Below this many elements they are sorted by insertion.
const FEW: usize = 7;
/// Above this many elements the pivot is a median of nine.
const MANY: usize = 40;

/// Sorts `items` so that those at `wanted` are the ones that belong there.
pub fn sort_part<T>(items: &mut [T], wanted: &Range<usize>, compare: &impl Fn(&T, &T) -> Ordering) {
    let (mut items, mut wanted) = (items, wanted.clone());
    loop {
        let len = items.len();
        if len < FEW {
            insert_all(items, compare);
            return;
        }
        let pivot = pivot(items, compare);
        items.swap(0, pivot);
        let (less, greater) = partition(items, compare);
        if concerns(0..less, &wanted) {
            sort_part(&mut items[..less], &wanted, compare);
        }
        let start = len - greater;
        if !concerns(start..len, &wanted) {
            return;
        }
        items = &mut items[start..];
        wanted = wanted.start.saturating_sub(start)..wanted.end.saturating_sub(start);
    }
}

/// Whether a part of more than one element overlaps what is wanted.
fn concerns(part: Range<usize>, wanted: &Range<usize>) -> bool {
    1 < part.len() && part.start < wanted.end && wanted.start < part.end
}

fn insert_all<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..items.len() {
        let mut at = end;
        while 0 < at && compare(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

fn pivot<T>(items: &[T], compare: &impl Fn(&T, &T) -> Ordering) -> usize {
    let (len, middle) = (items.len(), items.len() / 2);
    if len == FEW {
        return middle;
    }
    let median = |a: usize, b: usize, c: usize| {
        let less = |a: usize, b: usize| compare(&items[a], &items[b]).is_lt();
        if less(a, b) {
            if less(b, c) {
                b
            } else if less(a, c) {
                c
            } else {
                a
            }
        } else if less(c, b) {
            b
        } else if less(a, c) {
            a
        } else {
            c
        }
    };
    if len <= MANY {
        return median(0, middle, len - 1);
    }
    let step = len / 8;
    median(
        median(0, step, 2 * step),
        median(middle - step, middle, middle + step),
        median(len - 1 - 2 * step, len - 1 - step, len - 1),
    )
}

/// Splits by the first element: returns how many are less, which stand first then, and how many
/// are greater, which stand last.
fn partition<T>(items: &mut [T], compare: &impl Fn(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    // Equal ones gather at both ends: below `low_end` and from `high_start` on.
    let (mut low_end, mut low) = (1, 1);
    let (mut high, mut high_start) = (len, len);
    loop {
        while low < high {
            match compare(&items[low], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(low_end, low);
                    low_end += 1;
                }
                Ordering::Less => {}
            }
            low += 1;
        }
        while low < high {
            match compare(&items[high - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    high_start -= 1;
                    items.swap(high - 1, high_start);
                }
                Ordering::Greater => {}
            }
            high -= 1;
        }
        if high <= low {
            break;
        }
        items.swap(low, high - 1);
        low += 1;
        high -= 1;
    }
    // Then they go to the middle.
    let (less, greater) = (low - low_end, high_start - low);
    let count = low_end.min(less);
    (0..count).for_each(|at| items.swap(at, low - count + at));
    let count = greater.min(len - high_start);
    (0..count).for_each(|at| items.swap(low + at, len - count + at));
    (less, greater)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_wanted_is_where_it_belongs(
            mut items in prop::collection::vec(0u8..60, 0..200),
            from in 0usize..200,
            count in 0usize..50,
        ) {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let start = from.min(items.len());
            let wanted = start..items.len().min(start + count);
            sort_part(&mut items, &wanted, &Ord::cmp);
            prop_assert_eq!(&items[wanted.clone()], &sorted[wanted]);
            items.sort_unstable();
            prop_assert_eq!(items, sorted);
        }

        #[test]
        fn all_can_be_wanted(mut items in prop::collection::vec(any::<u16>(), 0..300)) {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let all = 0..items.len();
            sort_part(&mut items, &all, &Ord::cmp);
            prop_assert_eq!(items, sorted);
        }
    }

    /// As GEOSEARCH of a Valkey 9.1.2 shows members of three places, with COUNT.
    #[test]
    fn equal_elements_come_as_in_valkey() {
        let groups = ["ACEKLNRWY[\\]", "DFGHJMOPTUZ", "BIQSVX^"];
        let members = || {
            groups
                .iter()
                .enumerate()
                .flat_map(|(at, group)| group.chars().map(move |member| (at, member)))
        };
        for (count, descending, expected) in [
            (1, false, "]"),
            (5, false, "]EKAL"),
            (12, false, "]EKALNRWY[\\C"),
            (29, false, "]EKALNRWY[\\CHDFGJMOPTUZSIQBVX"),
            (5, true, "V^XBS"),
            (12, true, "V^XBSQIHDFGJ"),
            (29, true, "V^XBSQIHDFGJMOPTUZRLY[\\]KECAW"),
        ] {
            let mut items: Vec<(usize, char)> = members().collect();
            let order = |a: &(usize, char), b: &(usize, char)| {
                if descending { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) }
            };
            sort_part(&mut items, &(0..count), &order);
            let shown: String = items[..count].iter().map(|item| item.1).collect();
            assert_eq!(shown, expected, "{count} {descending}");
        }
    }
}
