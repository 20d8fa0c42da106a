//! Whatever bytes come in as an intset, they are refused, or they are a set like any other.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use shards::encodings::intset::Intset;

// The first byte says whether the header is put right, and how many integers behind it are added
// and removed.
fuzz_target!(|data: &[u8]| {
    let [first, input @ ..] = data else { return };
    let changes = (usize::from(first / 4) * 8).min(input.len());
    let (changes, integers) = input.split_at(changes);
    let bytes = match first % 4 {
        0 => integers.to_vec(),
        width => whole(integers, 1 << width),
    };
    let Some(mut set) = Intset::from_bytes(&bytes) else { return };
    assert_eq!(set.as_bytes(), bytes);
    let mut model: BTreeSet<i64> = set.iter().collect();
    check(&set, &model);
    for change in changes.as_chunks::<8>().0 {
        // Numbers of all widths, and such as are there.
        let number = i64::from_le_bytes(*change) >> (change[0] % 64);
        let known = model.range(number..).next().copied().filter(|_| change[1] % 2 == 0);
        let number = known.unwrap_or(number);
        match change[2] % 2 {
            0 => assert_eq!(set.insert(number), model.insert(number)),
            _ => assert_eq!(set.remove(number), model.remove(&number)),
        }
        check(&set, &model);
    }
});

fn whole(integers: &[u8], width: u32) -> Vec<u8> {
    let len = u32::try_from(integers.len()).expect("inputs are short") / width;
    let integers = &integers[..(len * width) as usize];
    [&width.to_le_bytes()[..], &len.to_le_bytes(), integers].concat()
}

fn check(set: &Intset, model: &BTreeSet<i64>) {
    assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
    assert!(set.iter().eq(model.iter().copied()));
    assert!(set.iter().rev().eq(model.iter().rev().copied()));
    for (index, number) in model.iter().enumerate() {
        assert!(set.contains(*number));
        assert_eq!(set.get(index), Some(*number));
        assert_eq!(number.checked_add(1).is_some_and(|it| set.contains(it)), {
            number.checked_add(1).is_some_and(|it| model.contains(&it))
        });
    }
    assert_eq!(set.get(model.len()), None);
    assert!(Intset::from_bytes(set.as_bytes()).is_some());
}
