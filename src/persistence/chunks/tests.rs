//! Chunks at every cut, with every changed byte, and with what has no place.

use shards::base::random::Random;

use super::taking::{Came, Keys, Taking, head};
use super::*;
use crate::persistence::walking::{Origin, OriginOf};

fn chunk(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&[0; HEADER], payload].concat();
    header.seal(&mut bytes);
    bytes
}

fn keys(keys: u32, goes_on: bool) -> Header {
    Header { goes_on, db: 3, slots: (7, 9), keys, ..Header::of(Kind::Keys) }
}

fn origin() -> Origin {
    Origin { replid: "c0ffee".repeat(6) + "0123", offset: 1 << 40, of: OriginOf::Stream(5) }
}

fn end(keys: u64) -> Vec<u8> {
    chunk(Header::of(Kind::End), &keys.to_le_bytes())
}

/// All that one connection brings, and what comes of it.
fn whole() -> (Vec<Vec<u8>>, Vec<Came>) {
    let functions = Header { goes_on: true, ..Header::of(Kind::Function) };
    let chunks = vec![
        chunk(Header::of(Kind::Head), &head(&origin())),
        chunk(functions, b"#!lua na"),
        chunk(Header::of(Kind::Function), b"me=l"),
        chunk(keys(2, false), b"two records"),
        chunk(keys(0, true), b"the beginning "),
        chunk(keys(0, true), b"of one and "),
        chunk(keys(1, false), b"its end"),
        end(3),
    ];
    let of =
        |keys, bytes: &[u8]| Came::Keys(Keys { db: 3, slots: (7, 9), keys, bytes: bytes.to_vec() });
    let came = vec![
        Came::Head(origin()),
        Came::Function(b"#!lua name=l".to_vec()),
        of(2, b"two records"),
        of(1, b"the beginning of one and its end"),
        Came::End(3),
    ];
    (chunks, came)
}

fn take(pieces: &[&[u8]]) -> (Vec<Came>, Result<(), Broken>) {
    let (mut taking, mut came) = (Taking::new(), Vec::new());
    let result = pieces.iter().try_for_each(|piece| taking.take(piece, &mut came));
    (came, result)
}

#[test]
fn chunks_come_out_wherever_they_are_cut() {
    let (chunks, came) = whole();
    let bytes = chunks.concat();
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(take(&[first, second]), (came.clone(), Ok(())), "cut at {cut}");
    }
    let seed = 5;
    let mut random = Random::new(seed);
    for round in 0..300 {
        let mut pieces = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let len = usize::try_from(random.below(40)).unwrap().min(rest.len());
            let (piece, behind) = rest.split_at(len);
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(take(&pieces), (came.clone(), Ok(())), "seed {seed} round {round}");
    }
}

#[test]
fn every_changed_byte_is_found() {
    let (chunks, came) = whole();
    let bytes = chunks.concat();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let (found, result) = take(&[&bad]);
            // A length that has become longer may wait for more.
            let waits = result.is_ok() && found.len() < came.len();
            assert!(result.is_err() || waits, "byte {at} bit {bit}: {found:?}");
            assert!(came.starts_with(&found), "byte {at} bit {bit}: {found:?}");
        }
    }
}

#[test]
fn what_has_no_place_is_refused() {
    let (chunks, _) = whole();
    let changed = |at: usize, byte: u8| {
        let mut bytes = chunks[3].clone();
        bytes[at] = byte;
        bytes
    };
    let other_db = Header { db: 4, ..keys(1, false) };
    for (bytes, broken) in [
        (changed(2, 5), Broken::Length(11 + (5 << 16))),
        (chunk(keys(1, false), b""), Broken::Length(0)),
        (changed(4, 0), Broken::Kind(0)),
        (changed(4, 5), Broken::Kind(5)),
        (changed(5, 2), Broken::Flags(2)),
        (chunk(Header { goes_on: true, ..Header::of(Kind::End) }, b"x"), Broken::Flags(1)),
        (chunk(Header { slots: (9, 7), ..keys(1, false) }, b"x"), Broken::Slots(9, 7)),
        (chunk(Header { slots: (7, 16384), ..keys(1, false) }, b"x"), Broken::Slots(7, 16384)),
        (chunk(keys(0, false), b"x"), Broken::Keys(0)),
        (chunk(keys(1, true), b"x"), Broken::Keys(1)),
        (chunk(keys(3, false), b"xxxxxx"), Broken::Keys(3)),
        (chunk(Header { keys: 1, ..Header::of(Kind::End) }, b"x"), Broken::Keys(1)),
        (changed(20, b'x'), Broken::Sum),
        (chunk(Header::of(Kind::Head), b"short"), Broken::Payload(Kind::Head)),
        (chunk(Header::of(Kind::End), b"short"), Broken::Payload(Kind::End)),
        (end(1), Broken::Count { says: 1, came: 0 }),
        ([end(0), vec![0]].concat(), Broken::Behind),
        ([chunks[4].clone(), end(0)].concat(), Broken::Torn),
        ([chunks[4].clone(), chunk(other_db, b"x")].concat(), Broken::Torn),
    ] {
        assert_eq!(take(&[&bytes]).1, Err(broken), "{broken}");
    }
}
