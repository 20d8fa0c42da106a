//! Whatever bytes come in as a listpack, they are refused, or they are a list like any other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shards::encodings::listpack::run::Run;
use shards::encodings::listpack::{Element, Listpack, Wanted};

/// Steps upon one listpack, at most.
const STEPS_MAX: usize = 32;
/// Bytes of an element that is added, at most.
const ELEMENT_BYTES_MAX: usize = 70;

// The first byte says whether the header is put right, and how many bytes behind it are steps.
fuzz_target!(|data: &[u8]| {
    let [first, input @ ..] = data else { return };
    let steps = usize::from(first / 4).min(STEPS_MAX * 2).min(input.len());
    let (steps, elements) = input.split_at(steps);
    let bytes = match first % 4 {
        0 => elements.to_vec(),
        count => whole(elements, count),
    };
    let Some(mut listpack) = Listpack::from_bytes(&bytes) else { return };
    assert_eq!(listpack.as_bytes(), bytes);
    let mut model: Vec<Vec<u8>> = listpack.iter().map(|element| element.to_vec()).collect();
    check(&listpack, &model);
    for step in steps.chunks_exact(2) {
        change(&mut listpack, &mut model, [step[0], step[1]], elements);
        assert!(listpack.iter().eq(model.iter().map(|element| Element::of(element))));
    }
    check(&listpack, &model);
    check_run(&listpack, &model, steps);
});

/// A listpack of these elements. Its header says that they are not counted, or as many as would
/// be right if all were small numbers, or anything.
fn whole(elements: &[u8], count: u8) -> Vec<u8> {
    let total = u32::try_from(elements.len() + 7).expect("inputs are short");
    let count = match count {
        1 => u16::MAX,
        2 => u16::try_from(elements.len() / 2).unwrap_or(u16::MAX),
        _ => u16::from(elements.first().copied().unwrap_or(0)),
    };
    [&total.to_le_bytes()[..], &count.to_le_bytes(), elements, &[0xFF]].concat()
}

fn change(listpack: &mut Listpack, model: &mut Vec<Vec<u8>>, [kind, place]: [u8; 2], from: &[u8]) {
    let start = usize::from(place).min(from.len());
    let end = from.len().min(start + usize::from(kind / 8) % ELEMENT_BYTES_MAX);
    let number = (i64::from(place) - 100) << (kind / 8);
    let element = if place % 2 == 0 { from[start..end].to_vec() } else { text(number) };
    let index = usize::from(place) % model.len().max(1);
    let at = listpack.seek(index.cast_signed());
    assert_eq!(at.is_none(), model.is_empty());
    match (kind % 8, at) {
        (0, _) => {
            listpack.push_back(&element[..]);
            model.push(element);
        }
        (1, _) => {
            listpack.push_front(&element[..]);
            model.insert(0, element);
        }
        (2, Some(at)) => {
            listpack.insert_before(at, &element[..]);
            model.insert(index, element);
        }
        (3, Some(at)) => {
            listpack.insert_after(at, &element[..]);
            model.insert(index + 1, element);
        }
        (4, Some(at)) => {
            listpack.replace(at, &element[..]);
            model[index] = element;
        }
        (5, Some(at)) => {
            let count = usize::from(kind / 8) % 4;
            let behind = listpack.remove(at, count);
            model.drain(index..model.len().min(index + count));
            let behind = behind.map(|at| listpack.get(at).to_vec());
            assert_eq!(behind.as_ref(), model.get(index));
        }
        (6, Some(at)) => {
            let tail = listpack.split_off(at);
            check(&tail, &model.split_off(index));
        }
        (7, Some(_)) if model.len() < 100 => {
            listpack.append(&listpack.clone());
            model.extend(model.clone());
        }
        (2.., _) => {}
    }
}

fn check(listpack: &Listpack, model: &[Vec<u8>]) {
    assert_eq!(listpack.len(), model.len());
    assert_eq!(listpack.is_empty(), model.is_empty());
    assert!(listpack.iter().map(|element| element.to_vec()).eq(model.iter().cloned()));
    assert!(listpack.iter().rev().map(|element| element.to_vec()).eq(model.iter().rev().cloned()));
    let mut at = listpack.first();
    for (index, element) in model.iter().enumerate() {
        let position = at.expect("there are as many elements");
        // These take time in proportion to the index.
        if index % 16 == model.len() % 16 {
            assert_eq!(listpack.seek(index.cast_signed()), Some(position));
            let from_first = listpack.first().and_then(|first| listpack.find(element, first, 0));
            assert!(from_first.is_some_and(|found| found <= position));
        }
        at = listpack.next(position);
        assert!(at.is_none_or(|next| listpack.prev(next) == Some(position)));
    }
    assert_eq!(at, None);
    let copy = Listpack::from_bytes(listpack.as_bytes()).expect("it is a listpack");
    assert_eq!(copy.len(), listpack.len());
}

/// The nodes of large lists are listpacks without header and end.
fn check_run(listpack: &Listpack, model: &[Vec<u8>], steps: &[u8]) {
    let (mut run, mut model) = (Run::of(listpack), model.to_vec());
    let (front, back, at) = match steps {
        [front, back, at, ..] => (usize::from(front % 8), usize::from(back % 8), usize::from(*at)),
        _ => (0, 0, 0),
    };
    run.remove_front(front);
    model.drain(..front.min(model.len()));
    run.remove_back(back);
    model.truncate(model.len().saturating_sub(back));
    if let Some(wanted) = model.get(at % model.len().max(1)).cloned() {
        let removed = run.remove_wanted(&Wanted::of(&wanted), 1, 2);
        let mut seen = 0;
        model.retain(|element| {
            seen += usize::from(*element == wanted);
            *element != wanted || !(2..4).contains(&seen)
        });
        assert_eq!(run.len(), model.len(), "{removed} went");
    }
    let tail = run.split_off(at % (model.len() + 1));
    let tail_model = model.split_off(at % (model.len() + 1));
    check(&tail.to_listpack(), &tail_model);
    check(&run.to_listpack(), &model);
    let parts = tail
        .parts(usize::from(u8::MAX))
        .flat_map(|part| part.iter().map(|element| element.to_vec()).collect::<Vec<_>>());
    assert!(parts.eq(tail_model));
}

fn text(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}
