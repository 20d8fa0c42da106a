//! Makes what differs small: takes things away while it still differs.

/// Tries, at most.
const TRIES_MAX: usize = 600;

/// As few of `items` as it takes for `differs` to hold, which holds for all of them.
pub fn shrink<T: Clone>(mut items: Vec<T>, mut differs: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut tries = 0;
    let mut size = items.len().div_ceil(2);
    while 0 < size {
        // From the end: what comes after the difference goes first.
        let mut end = items.len();
        let mut went = false;
        while 0 < end && tries < TRIES_MAX {
            let start = end.saturating_sub(size);
            let less = [&items[..start], &items[end..]].concat();
            tries += 1;
            if differs(&less) {
                items = less;
                went = true;
            }
            end = start;
        }
        // Once a single one went, others may have become needless.
        size = if size == 1 && went && tries < TRIES_MAX { 1 } else { size / 2 };
    }
    items
}

#[test]
fn only_what_matters_stays() {
    let check = |needed: &[usize]| {
        let all: Vec<usize> = (0..100).collect();
        let left = shrink(all, |some| needed.iter().all(|one| some.contains(one)));
        assert_eq!(left, needed);
    };
    check(&[0]);
    check(&[99]);
    check(&[3, 50, 51, 97]);
}
