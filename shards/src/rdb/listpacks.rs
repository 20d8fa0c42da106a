//! Listpacks that came from outside, and what old files have in their place.

use alloc::vec::Vec;

use crate::encodings::listpack::{Element, Listpack, Position};
use crate::rdb::error::{Error, Problem};
use crate::rdb::reader::{Reader, Source};
use crate::rdb::{ziplist, zipmap};

/// Up to how many elements each is compared with each.
const FEW: usize = 16;
/// Up to how many elements they are decoded and sorted at once.
const MANY: usize = 4096;

/// What is checked beyond the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Elements of any sort.
    Elements,
    /// Different elements.
    Members(&'static str),
    /// Elements in groups of so many, of which the first ones differ.
    Groups(usize, &'static str),
}

/// Reads a listpack; it may be empty.
pub(super) fn read<S: Source>(reader: &mut Reader<S>, holds: Holds) -> Result<Listpack, Error> {
    let listpack = reader.with_blob(Listpack::from_bytes)?;
    let listpack = listpack.ok_or_else(|| reader.error(Problem::Encoding("listpack")))?;
    check(reader, &listpack, "listpack", holds)?;
    Ok(listpack)
}

/// Reads a ziplist, as a listpack; it may be empty.
pub(super) fn read_ziplist<S: Source>(
    reader: &mut Reader<S>,
    holds: Holds,
) -> Result<Listpack, Error> {
    let mut listpack = Listpack::new();
    let count =
        reader.with_blob(|bytes| ziplist::walk(bytes, |element| push(&mut listpack, element)))?;
    count.ok_or_else(|| reader.error(Problem::Encoding("ziplist")))?;
    check(reader, &listpack, "ziplist", holds)?;
    Ok(listpack)
}

/// Reads a zipmap, as a listpack of names and values; it may be empty.
pub(super) fn read_zipmap<S: Source>(reader: &mut Reader<S>) -> Result<Listpack, Error> {
    let mut listpack = Listpack::new();
    let count = reader.with_blob(|bytes| {
        zipmap::walk(bytes, |name, value| {
            push(&mut listpack, Element::of(name))?;
            push(&mut listpack, Element::of(value))
        })
    })?;
    count.ok_or_else(|| reader.error(Problem::Encoding("zipmap")))?;
    check(reader, &listpack, "zipmap", Holds::Groups(2, "field"))?;
    Ok(listpack)
}

/// `None` if it would not fit.
fn push(listpack: &mut Listpack, element: Element<'_>) -> Option<()> {
    listpack.fits(element.len()).then(|| listpack.push_back(element))
}

fn check<S: Source>(
    reader: &Reader<S>,
    listpack: &Listpack,
    encoding: &'static str,
    holds: Holds,
) -> Result<(), Error> {
    let (group, name) = match holds {
        Holds::Elements => return Ok(()),
        Holds::Members(name) => (1, name),
        Holds::Groups(group, name) => (group, name),
    };
    let count = listpack.len();
    if !count.is_multiple_of(group) {
        return Err(reader.error(Problem::Encoding(encoding)));
    }
    let firsts = count / group;
    let found = if firsts <= FEW {
        has_duplicate_among_few(listpack, group)
    } else if firsts <= MANY {
        has_duplicate(listpack, group)
    } else {
        let found = has_duplicate_among_many(listpack, group, firsts);
        found.map_err(|problem| reader.error(problem))?
    };
    if found { Err(reader.error(Problem::Duplicate(name))) } else { Ok(()) }
}

/// Elements that are kept as text may yet be numbers.
fn canonical(element: Element<'_>) -> Element<'_> {
    match element {
        Element::Int(_) => element,
        Element::Bytes(bytes) => Element::of(bytes),
    }
}

fn is_same(a: Element<'_>, b: Element<'_>) -> bool {
    match (a, b) {
        (Element::Int(a), Element::Int(b)) => a == b,
        (Element::Bytes(a), Element::Bytes(b)) => a == b,
        (Element::Int(_) | Element::Bytes(_), _) => false,
    }
}

/// Whether two of the first elements of the groups, [`FEW`] at most, are the same.
fn has_duplicate_among_few(listpack: &Listpack, group: usize) -> bool {
    let (mut few, mut count) = ([Element::Int(0); FEW], 0);
    for (place, element) in few.iter_mut().zip(listpack.iter().step_by(group)) {
        *place = canonical(element);
        count += 1;
    }
    let mut rest = &few[..count];
    while let Some(first) = rest.split_off_first() {
        if rest.iter().any(|other| is_same(*first, *other)) {
            return true;
        }
    }
    false
}

/// Whether two of the first elements of the groups are the same.
fn has_duplicate(listpack: &Listpack, group: usize) -> bool {
    let firsts = listpack.iter().step_by(group).map(canonical);
    let mut keys: Vec<_> = firsts.map(sort_key).collect();
    keys.sort_unstable();
    keys.array_windows().any(|[a, b]| a == b)
}

/// As [`has_duplicate`], in less memory than the elements take.
///
/// It looks at parts that double: a short dump comes to many elements only if they repeat, and the
/// first part already shows that.
fn has_duplicate_among_many(
    listpack: &Listpack,
    group: usize,
    count: usize,
) -> Result<bool, Problem> {
    let (mut places, mut rest) = (Vec::<Position>::new(), listpack.iter());
    let key = |place: &Position| sort_key(canonical(listpack.get(*place)));
    let mut len = 0;
    while len < count {
        len = count.min(MANY.max(2 * len));
        places.try_reserve_exact(len - places.len()).map_err(|_| Problem::Memory)?;
        while places.len() < len {
            places.push(rest.place());
            rest.nth(group - 1);
        }
        places.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        if places.array_windows().any(|[a, b]| key(a) == key(b)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Numbers by value; strings by their first bytes, which tell them apart as a rule, then by all.
fn sort_key(element: Element<'_>) -> (i64, Option<&[u8]>) {
    match element {
        Element::Int(number) => (number, None),
        Element::Bytes(bytes) => {
            let (mut first, len) = ([0; 8], bytes.len().min(8));
            first[..len].copy_from_slice(&bytes[..len]);
            (i64::from_be_bytes(first), Some(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::kind::Version;
    use crate::rdb::writer::{Compression, Writer};
    use crate::rdb::ziplist::tests::of as ziplist;
    use alloc::format;

    fn blob(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Writer::new(&mut out, Version::V11, Compression::Off).blob(bytes);
        out
    }

    fn listpack(elements: &[&[u8]]) -> Vec<u8> {
        let mut listpack = Listpack::new();
        elements.iter().for_each(|element| listpack.push_back(*element));
        blob(listpack.as_bytes())
    }

    #[test]
    fn elements_that_come_twice_are_found_among_few_and_many() {
        let many: Vec<Vec<u8>> = (0..5 * MANY)
            .map(|n| if n % 2 == 0 { format!("{n}") } else { format!("prefix that is long {n}") })
            .map(String::into_bytes)
            .collect();
        for count in [2, 3, 16, 17, 40, MANY, MANY + 1, 5 * MANY] {
            let good: Vec<&[u8]> = many[..count].iter().map(Vec::as_slice).collect();
            let read_all = |elements: &[&[u8]], holds| {
                read(&mut Reader::new(&*listpack(elements)), holds).map(|it| it.len())
            };
            assert_eq!(read_all(&good, Holds::Members("member")), Ok(count));
            for twice in [0, 1, count - 1] {
                let mut bad = good.clone();
                bad[(twice + 1) % count] = bad[twice];
                let problem = read_all(&bad, Holds::Members("member")).unwrap_err().problem;
                assert_eq!(problem, Problem::Duplicate("member"), "{count} {twice}");
                assert_eq!(read_all(&bad, Holds::Elements), Ok(count));
            }
            let pairs: Vec<&[u8]> = good.iter().flat_map(|name| [*name, b"same"]).collect();
            assert_eq!(read_all(&pairs, Holds::Groups(2, "field")), Ok(2 * count));
            let problem = read_all(&pairs[1..], Holds::Groups(2, "field")).unwrap_err().problem;
            assert_eq!(problem, Problem::Encoding("listpack"));
        }
    }

    #[test]
    fn a_number_as_text_is_the_same_number() {
        // `5` in text and in 16 bits, as no server writes it.
        let bytes = blob(b"\x0e\0\0\0\x02\0\x815\x02\xf1\x05\0\x03\xff");
        let read = read(&mut Reader::new(&*bytes), Holds::Members("member"));
        assert_eq!(read.unwrap_err().problem, Problem::Duplicate("member"));
    }

    #[test]
    fn old_lists_become_listpacks() {
        let bytes = blob(&ziplist(&[b"a", b"12", b"b", b"x"]));
        let read = read_ziplist(&mut Reader::new(&*bytes), Holds::Groups(2, "field")).unwrap();
        let expected = listpack(&[b"a", b"12", b"b", b"x"]);
        assert_eq!(blob(read.as_bytes()), expected);
        let bytes = blob(b"\x02\x01a\x0212\x00\x01b\x01\0x\xff");
        assert!(read_zipmap(&mut Reader::new(&*bytes)).is_err());
        let bytes = blob(b"\x02\x01a\x02\x0012\x01b\x01\0x\xff");
        let read = read_zipmap(&mut Reader::new(&*bytes)).unwrap();
        assert_eq!(blob(read.as_bytes()), expected);
    }

    use alloc::string::String;
}
