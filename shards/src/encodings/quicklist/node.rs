//! A node of a quicklist, and how much goes into one: Valkey's rules, so that a list becomes a
//! quicklist, and one listpack again, at the same moments as there.

use alloc::boxed::Box;

use crate::encodings::allocation::size_class;
use crate::encodings::listpack::run::Run;
use crate::encodings::listpack::{self, Element};

/// Elements beyond this size stand alone where the setting counts elements; and no node becomes
/// larger then.
const SAFE_BYTES: usize = 8192;

/// What Valkey adds to the size of an element when it asks whether it fits a node.
const ELEMENT_OVERHEAD: usize = 8;

/// A listpack's header and end, of which two that are merged lose one.
const LISTPACK_OVERHEAD: usize = 7;

/// `list-max-listpack-size`: how many elements or bytes a node may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill(i16);

impl Fill {
    /// What a setting asks for: a number of elements, or -1 to -5 for 4, 8, 16, 32 or 64 KB.
    #[inline]
    pub fn of(setting: i32) -> Self {
        Self(i16::try_from(setting.clamp(-5, i32::from(i16::MAX))).expect("it was clamped"))
    }

    /// The number that asks for it.
    pub fn setting(self) -> i64 {
        self.0.into()
    }

    /// Bytes that a node has at most, unless one element has more.
    #[inline]
    pub fn bytes_max(self) -> usize {
        match self.0 {
            ..0 => 2048 << self.0.unsigned_abs(),
            0.. => SAFE_BYTES,
        }
    }

    /// Elements that a node has at most.
    #[inline]
    pub fn count_max(self) -> usize {
        match self.0 {
            ..0 => usize::MAX,
            0.. => usize::from(self.0.unsigned_abs()).max(1),
        }
    }

    /// Whether so much is too much for a node.
    #[inline]
    pub fn is_exceeded(self, bytes: usize, count: usize) -> bool {
        self.bytes_max() < bytes || self.count_max() < count
    }

    /// Whether so much is at most half of what it asks for.
    pub fn is_half(self, bytes: usize, count: usize) -> bool {
        match self.0 {
            ..0 => bytes <= self.bytes_max() / 2,
            0.. => count <= self.count_max() / 2,
        }
    }

    /// Whether an element of so many bytes stands alone.
    #[inline]
    pub fn is_large(self, bytes: usize) -> bool {
        self.bytes_max() < bytes
    }
}

/// A node.
#[derive(Clone, Debug)]
pub enum Node {
    /// Some elements.
    Packed(Run),
    /// One large element.
    Plain(Box<[u8]>),
}

impl Node {
    /// A node of one element.
    pub(super) fn of(bytes: &[u8], fill: Fill) -> Self {
        if fill.is_large(bytes.len()) {
            return Self::Plain(bytes.into());
        }
        let mut run = Run::default();
        run.push_back(Element::of(bytes), fill.bytes_max());
        Self::Packed(run)
    }

    /// Elements in it.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(run) => run.len(),
            Self::Plain(_) => 1,
        }
    }

    /// Whether it has no element: it goes before a caller sees it so.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes as Valkey counts them: those of a listpack, or of the one element.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        match self {
            Self::Packed(run) => run.listpack_bytes(),
            Self::Plain(bytes) => bytes.len(),
        }
    }

    /// Bytes of its allocation.
    pub fn memory(&self) -> usize {
        match self {
            Self::Packed(run) => run.memory(),
            Self::Plain(bytes) => size_class(bytes.len()),
        }
    }

    /// Its elements.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        match self {
            Self::Packed(run) => Iter::Packed(run.iter()),
            Self::Plain(bytes) => Iter::Plain(Some(bytes)),
        }
    }

    /// Its elements from this number on, which is one of theirs.
    pub(super) fn iter_from(&self, index: usize) -> Iter<'_> {
        match self {
            Self::Packed(run) => Iter::Packed(run.iter_from(index)),
            Self::Plain(bytes) => Iter::Plain(Some(bytes)),
        }
    }

    /// Whether an element of so many bytes may be added.
    #[inline]
    pub(super) fn admits(&self, bytes: usize, fill: Fill) -> bool {
        match self {
            Self::Packed(run) if !fill.is_large(bytes) => {
                !fill.is_exceeded(run.listpack_bytes() + bytes + ELEMENT_OVERHEAD, run.len() + 1)
            }
            Self::Packed(_) | Self::Plain(_) => false,
        }
    }

    /// Whether the two may become one.
    pub(super) fn merges_with(&self, other: &Self, fill: Fill) -> bool {
        match (self, other) {
            (Self::Packed(run), Self::Packed(other)) => {
                let bytes = run.listpack_bytes() + other.listpack_bytes() - LISTPACK_OVERHEAD;
                !fill.is_exceeded(bytes, run.len() + other.len())
            }
            (Self::Packed(_) | Self::Plain(_), _) => false,
        }
    }
}

/// The elements of a node, from either end.
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    /// Those of a run.
    Packed(listpack::Iter<'a>),
    /// A large one, if it has not been yet.
    Plain(Option<&'a [u8]>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Self::Packed(elements) => elements.next(),
            Self::Plain(bytes) => bytes.take().map(Element::Bytes),
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline(always)]
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(elements) => elements.next_back(),
            Self::Plain(bytes) => bytes.take().map(Element::Bytes),
        }
    }
}
