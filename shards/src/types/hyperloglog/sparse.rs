//! Sparse registers: runs of equal ones.
//!
//! ```text
//! 00LLLLLL             ZERO    1 to 64 registers of 0
//! 01LLLLLL LLLLLLLL    XZERO   1 to 16384 registers of 0, high bits first
//! 1VVVVVLL             VAL     1 to 4 registers of 1 to 32
//! ```
//! Lengths and values are kept less one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::{Corrupt, HEADER_BYTES, REGISTERS, outdate};

/// All registers 0: the longest XZERO there is.
pub(super) const EMPTY: [u8; 2] = [0x7F, 0xFF];

const XZERO: u8 = 1 << 6;
const VAL: u8 = 1 << 7;
const ZERO_LEN_MAX: usize = 64;
const VAL_LEN_MAX: usize = 4;
const VALUE_MAX: u8 = 32;
/// What takes the place of a run: two bytes, one, and two.
const SEQUENCE_BYTES_MAX: usize = 5;
/// Runs looked at for neighbours that can be joined: those of a sequence at most.
const JOIN_STEPS: usize = 5;
/// By how many bytes at most a growing one gets ahead of what it needs.
const SPARE_BYTES_MAX: usize = 300;

/// Registers of the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) value: u8,
    pub(super) len: usize,
    /// Bytes it takes.
    bytes: usize,
}

/// What came of raising a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Whether it was lower.
    Done(bool),
    /// Such a value, or so many bytes, need dense registers.
    TooLarge,
}

impl Run {
    /// The run that `bytes` begin with.
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        if first & VAL != 0 {
            let len = usize::from(first & 3) + 1;
            return Some(Self { value: (first >> 2 & 31) + 1, len, bytes: 1 });
        }
        let high = usize::from(first & 63);
        if first & XZERO == 0 {
            return Some(Self { value: 0, len: high + 1, bytes: 1 });
        }
        let low = usize::from(*bytes.get(1)?);
        Some(Self { value: 0, len: (high << 8 | low) + 1, bytes: 2 })
    }

    /// Whether its bytes are a VAL.
    fn is_val(self) -> bool {
        0 < self.value
    }
}

/// Shows all runs to `see`, each with the index of its first register.
pub(super) fn runs(mut bytes: &[u8], mut see: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    let mut start = 0;
    while !bytes.is_empty() {
        let run = Run::read(bytes).ok_or(Corrupt)?;
        if REGISTERS < start + run.len {
            return Err(Corrupt);
        }
        see(start, run);
        start += run.len;
        bytes = &bytes[run.bytes..];
    }
    if start == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// The runs as PFDEBUG DECODE shows them. Where the last byte of an XZERO is missing, it counts
/// as 0.
pub(super) fn described(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Some(first) = bytes.first() {
        let run = Run::read(bytes).or_else(|| Run::read(&[*first, 0]));
        let Run { value, len, bytes: run_bytes } = run.expect("no run is longer than two bytes");
        let separator = if text.is_empty() { "" } else { " " };
        match (value, run_bytes) {
            (0, 1) => write!(text, "{separator}z:{len}"),
            (0, _) => write!(text, "{separator}Z:{len}"),
            _ => write!(text, "{separator}v:{value},{len}"),
        }
        .expect("a string takes all");
        bytes = bytes.get(run_bytes..).unwrap_or_default();
    }
    text
}

/// Raises a register of a whole HyperLogLog, its header included, to `value`. The bytes are those
/// that Valkey would make, so they depend on the order in which registers are raised.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> Result<Step, Corrupt> {
    if VALUE_MAX < value {
        return Ok(Step::TooLarge);
    }
    let (mut at, mut start, mut before) = (HEADER_BYTES, 0, HEADER_BYTES);
    let run = loop {
        let run = Run::read(&bytes[at..]).ok_or(Corrupt)?;
        if index < start + run.len {
            break run;
        }
        before = at;
        at += run.bytes;
        start += run.len;
    };
    if value <= run.value {
        return Ok(Step::Done(false));
    }
    let mut sequence = Sequence::default();
    sequence.push(run.value, index - start);
    sequence.push(value, 1);
    sequence.push(run.value, start + run.len - 1 - index);
    let new = sequence.as_bytes();
    if run.bytes < new.len() {
        let longer = bytes.len() + new.len() - run.bytes;
        if bytes_max < longer {
            return Ok(Step::TooLarge);
        }
        if bytes.capacity() < longer {
            bytes.reserve_exact(new.len() + bytes.len().min(SPARE_BYTES_MAX));
        }
    }
    bytes.splice(at..at + run.bytes, new.iter().copied());
    join(bytes, before);
    outdate(bytes);
    Ok(Step::Done(true))
}

/// Joins runs of the same value that lie side by side, from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_STEPS {
        let Some(run) = Run::read(&bytes[at..]) else { return };
        let next = Run::read(&bytes[at + run.bytes..]);
        let both = next.filter(|next| run.is_val() && next.value == run.value);
        match both.map(|next| run.len + next.len) {
            // The run that comes of it may be joined with the one behind it, too.
            Some(len) if len <= VAL_LEN_MAX => {
                bytes[at + 1] = val(run.value, len);
                bytes.remove(at);
            }
            Some(_) | None => at += run.bytes,
        }
    }
}

/// The bytes that take the place of a run.
#[derive(Debug, Default)]
struct Sequence {
    bytes: [u8; SEQUENCE_BYTES_MAX],
    len: usize,
}

impl Sequence {
    /// Adds a run, unless it is empty.
    fn push(&mut self, value: u8, len: usize) {
        if len == 0 {
            return;
        }
        if 0 < value {
            self.put(val(value, len));
        } else if len <= ZERO_LEN_MAX {
            self.put(short(len - 1));
        } else {
            self.put(XZERO | short((len - 1) >> 8));
            self.put(short((len - 1) & 0xFF));
        }
    }

    fn put(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn val(value: u8, len: usize) -> u8 {
    VAL | (value - 1) << 2 | short(len - 1)
}

fn short(number: usize) -> u8 {
    u8::try_from(number).expect("parts of lengths are below 256")
}
