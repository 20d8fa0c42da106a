//! HyperLogLogs: estimates of how many different elements were seen, in 12 KB at most. They are
//! strings of Valkey's layout, so everything here works on bytes that may come from a client.
//!
//! ```text
//! 0    "HYLL"
//! 4    encoding: 0 dense, 1 sparse
//! 5    3 bytes of nothing
//! 8    the estimate when it was last asked for, u64 LE; the top bit says that it is outdated
//! 16   16384 registers: see `dense.rs` and `sparse.rs`
//! ```

mod dense;
mod estimate;
mod murmur;
mod sparse;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use sparse::Step;

/// Registers of a HyperLogLog.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of a hash that choose the register; the others count.
const INDEX_BITS: u32 = 14;
const HEADER_BYTES: usize = 16;
const MAGIC: [u8; 4] = *b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const OUTDATED: u64 = 1 << 63;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// The registers make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How registers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs of equal ones.
    Sparse,
}

/// One in which nothing was seen.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[ENCODING_AT] = SPARSE;
    bytes.extend_from_slice(&sparse::EMPTY);
    bytes
}

/// How the registers are kept if this is a HyperLogLog. Sparse registers may still be corrupt.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(&MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        DENSE if bytes.len() == HEADER_BYTES + dense::BYTES => Some(Encoding::Dense),
        SPARSE => Some(Encoding::Sparse),
        _ => None,
    }
}

/// Notes that `element` was seen; true if that changed a register. A sparse one becomes dense
/// rather than longer than `sparse_bytes`.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_bytes: usize) -> Result<bool, Corrupt> {
    let hash = murmur::hash(element);
    let index = usize::try_from(hash & (REGISTERS as u64 - 1)).expect("14 bits are an index");
    // A bit behind the last ends the run of zeros.
    let rest = hash >> INDEX_BITS | 1 << (u64::BITS - INDEX_BITS);
    let count = u8::try_from(rest.trailing_zeros() + 1).expect("51 at most");
    raise(bytes, index, count, sparse_bytes)
}

/// The estimate of when it was last asked for, if nothing changed since.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let cache = u64::from_le_bytes(*bytes.get(CACHE_AT..)?.first_chunk()?);
    (cache & OUTDATED == 0).then_some(cache)
}

/// Keeps an estimate.
pub fn keep(bytes: &mut [u8], estimate: u64) {
    bytes[CACHE_AT..HEADER_BYTES].copy_from_slice(&estimate.to_le_bytes());
}

/// Says that the estimate which is kept is outdated.
pub fn outdate(bytes: &mut [u8]) {
    bytes[HEADER_BYTES - 1] |= 1 << 7;
}

/// About how many different elements were seen.
pub fn estimate(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut counts = estimate::Counts::default();
    let registers = &bytes[HEADER_BYTES..];
    match checked_encoding(bytes) {
        Encoding::Dense => dense::for_each(registers, |_, value| counts.add(value, 1)),
        Encoding::Sparse => sparse::runs(registers, |_, run| counts.add(run.value, run.len))?,
    }
    Ok(counts.estimate())
}

/// Makes it dense; false if it was.
pub fn become_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if checked_encoding(bytes) == Encoding::Dense {
        return Ok(false);
    }
    let mut all = vec![0; HEADER_BYTES + dense::BYTES];
    all[..HEADER_BYTES].copy_from_slice(&bytes[..HEADER_BYTES]);
    all[ENCODING_AT] = DENSE;
    let registers = &mut all[HEADER_BYTES..];
    sparse::runs(&bytes[HEADER_BYTES..], |start, run| {
        if 0 < run.value {
            (start..start + run.len).for_each(|index| dense::set(registers, index, run.value));
        }
    })?;
    *bytes = all;
    Ok(true)
}

/// The runs of a sparse one, as text; `None` if it is dense.
pub fn described(bytes: &[u8]) -> Option<String> {
    match checked_encoding(bytes) {
        Encoding::Dense => None,
        Encoding::Sparse => Some(sparse::described(&bytes[HEADER_BYTES..])),
    }
}

/// The registers of several HyperLogLogs taken together: of each the highest.
#[derive(Debug)]
pub struct Union(Vec<u8>);

impl Default for Union {
    fn default() -> Self {
        Self(vec![0; REGISTERS])
    }
}

impl Union {
    /// Takes in one more.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        let (registers, union) = (&bytes[HEADER_BYTES..], &mut self.0);
        match checked_encoding(bytes) {
            Encoding::Dense => dense::for_each(registers, |index, value| {
                union[index] = union[index].max(value);
            }),
            Encoding::Sparse => sparse::runs(registers, |start, run| {
                let same = &mut union[start..start + run.len];
                same.iter_mut().for_each(|value| *value = run.value.max(*value));
            })?,
        }
        Ok(())
    }

    /// About how many different elements were seen by any of them.
    pub fn estimate(&self) -> u64 {
        let mut counts = estimate::Counts::default();
        self.0.iter().for_each(|value| counts.add(*value, 1));
        counts.estimate()
    }

    /// The registers in order.
    pub fn registers(&self) -> &[u8] {
        &self.0
    }

    /// Gives all registers to one that was taken in.
    pub fn store(&self, bytes: &mut Vec<u8>, sparse_bytes: usize) -> Result<(), Corrupt> {
        if checked_encoding(bytes) == Encoding::Dense {
            let registers = &mut bytes[HEADER_BYTES..];
            let values = self.0.iter().enumerate();
            values.for_each(|(index, value)| dense::set(registers, index, *value));
        } else {
            for (index, value) in self.0.iter().enumerate().filter(|(_, value)| 0 < **value) {
                raise(bytes, index, *value, sparse_bytes)?;
            }
        }
        outdate(bytes);
        Ok(())
    }
}

/// Raises a register to `value`; false if it was as high.
fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    sparse_bytes: usize,
) -> Result<bool, Corrupt> {
    if checked_encoding(bytes) == Encoding::Sparse {
        match sparse::raise(bytes, index, value, sparse_bytes)? {
            Step::Done(raised) => return Ok(raised),
            Step::TooLarge => become_dense(bytes)?,
        };
    }
    let registers = &mut bytes[HEADER_BYTES..];
    let raises = dense::get(registers, index) < value;
    if raises {
        dense::set(registers, index, value);
    }
    Ok(raises)
}

fn checked_encoding(bytes: &[u8]) -> Encoding {
    encoding(bytes).expect("the caller has looked whether the bytes are one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sha1::sha1;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use proptest::prelude::*;

    const SPARSE_BYTES: usize = 3000;

    fn of(elements: impl IntoIterator<Item = String>) -> Vec<u8> {
        let mut bytes = empty();
        for element in elements {
            add(&mut bytes, element.as_bytes(), SPARSE_BYTES).unwrap();
        }
        bytes
    }

    fn registers(bytes: &[u8]) -> Vec<u8> {
        let mut union = Union::default();
        union.add(bytes).unwrap();
        union.0
    }

    /// What a Valkey 9.1.2 made of the same elements.
    #[test]
    fn bytes_are_those_of_valkey() {
        let few = ["a", "b", "c", "d", "hello world", "123456789"];
        let bytes = of(few.map(String::from));
        let theirs = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\\{\x80Dv\x80CW\x84@h\x8cL\xee\x84K\xfb\
            \x80BZ";
        assert_eq!(bytes, theirs);
        let cases: [(u32, u64, usize, &str); 6] = [
            (100, 100, 285, "10284d924957df904fe939f436df8ee09605b6ef"),
            (1000, 1008, 1906, "5b90d5bb9790139af3f5b0b6e8ffc2ab1fcc86da"),
            (1500, 1509, 2719, "d1ae9ec8f8a22624731a839f7841168347bcf657"),
            (3000, 2979, 12304, "dd640a880ffefbaabc92371fff4b1b0974887003"),
            (10_000, 9973, 12304, "bbf1b0a6391cb55921ea3c8bf3d7ee8ea02b7791"),
            (100_000, 100_853, 12304, "963e6cee79a81da7857234caac0f76085c89dd79"),
        ];
        for (elements, count, length, digest) in cases {
            let mut bytes = of((0..elements).map(|number| format!("e{number}")));
            assert_eq!(cached(&bytes), None);
            assert_eq!((estimate(&bytes), bytes.len()), (Ok(count), length), "{elements}");
            keep(&mut bytes, count);
            assert_eq!(cached(&bytes), Some(count));
            let hex: String = sha1(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, digest, "{elements}");
        }
    }

    #[test]
    fn registers_that_make_no_sense_are_refused() {
        let header = &empty()[..HEADER_BYTES];
        let cases: [&[u8]; 6] =
            [b"", b"\x7f", b"\x7f\xfe", b"\x7f\xff\0", b"\x7f\xff\x80", b"\x7f\xfd\x40"];
        for registers in cases {
            let mut bytes = [header, registers].concat();
            assert_eq!(encoding(&bytes), Some(Encoding::Sparse));
            assert_eq!(estimate(&bytes), Err(Corrupt), "{registers:?}");
            assert_eq!(become_dense(&mut bytes), Err(Corrupt), "{registers:?}");
            assert_eq!(Union::default().add(&bytes), Err(Corrupt), "{registers:?}");
        }
        let mut dense = empty();
        become_dense(&mut dense).unwrap();
        dense[HEADER_BYTES..].fill(0xFF);
        assert_eq!(estimate(&dense), Ok(1 << 63), "as there");
        dense.push(0);
        let strings: [&[u8]; 4] = [b"", b"HYLL", &dense, b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"];
        for bytes in strings {
            assert_eq!(encoding(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn sparse_registers_are_as_dense_ones(
            steps in prop::collection::vec((0..REGISTERS, 1u8..36), 1..300),
            few: bool,
            sparse_bytes in 0usize..700,
        ) {
            let (mut sparse, mut dense, mut model) = (empty(), empty(), BTreeMap::new());
            become_dense(&mut dense).unwrap();
            for (index, value) in steps {
                let index = if few { index % 40 } else { index };
                let highest = model.entry(index).or_insert(0);
                let raises = *highest < value;
                *highest = value.max(*highest);
                prop_assert_eq!(raise(&mut sparse, index, value, sparse_bytes), Ok(raises));
                prop_assert_eq!(raise(&mut dense, index, value, sparse_bytes), Ok(raises));
            }
            let found = registers(&sparse);
            prop_assert_eq!(&found, &registers(&dense));
            for (index, value) in found.into_iter().enumerate() {
                prop_assert_eq!(value, model.get(&index).copied().unwrap_or(0));
            }
            prop_assert_eq!(estimate(&sparse), estimate(&dense));
            let is_sparse = encoding(&sparse) == Some(Encoding::Sparse);
            prop_assert!(!is_sparse || sparse.len() <= sparse_bytes.max(empty().len()));

            let mut union = Union::default();
            union.add(&sparse).unwrap();
            prop_assert_eq!(Ok(union.estimate()), estimate(&dense));
            let mut stored = empty();
            union.store(&mut stored, sparse_bytes).unwrap();
            prop_assert_eq!(registers(&stored), registers(&dense));
            prop_assert_eq!(cached(&stored), None);
        }

        /// Bytes that a client made up may be refused, but do no harm.
        #[test]
        fn any_bytes_do_no_harm(
            runs in prop::collection::vec(any::<u8>(), 0..60),
            index in 0..REGISTERS,
            value in 1u8..40,
            keeps_size: bool,
        ) {
            let mut bytes = empty();
            if keeps_size {
                // Damage a good one instead.
                bytes = of((0..50).map(|number| format!("{number}")));
                let bytes = &mut bytes[HEADER_BYTES..];
                for pair in runs.chunks_exact(2) {
                    let at = usize::from(pair[0]) % bytes.len();
                    bytes[at] = pair[1];
                }
            } else {
                bytes.truncate(HEADER_BYTES);
                bytes.extend_from_slice(&runs);
            }
            let is_good = estimate(&bytes).is_ok();
            let mut copy = bytes.clone();
            prop_assert_eq!(become_dense(&mut copy).is_ok(), is_good);
            prop_assert_eq!(Union::default().add(&bytes).is_ok(), is_good);
            prop_assert!(described(&bytes).is_some());
            let raised = raise(&mut bytes, index, value, SPARSE_BYTES);
            prop_assert!(!is_good || raised.is_ok());
            prop_assert_eq!(estimate(&bytes).is_ok(), is_good);
        }
    }
}
