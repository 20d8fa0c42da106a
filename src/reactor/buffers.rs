//! The receive buffers lent to the kernel: one provided-buffer ring per shard.
//!
//! Layout: `COUNT` buffers of `SIZE` bytes, `STRIDE` apart in one anonymous mapping, and a ring of
//! as many descriptors in another. The kernel takes descriptors from the front as data comes in;
//! [`Buffers::recycle`] puts them back behind the tail. Few buffers are offered at first: the
//! kernel goes through all it is offered, and those it used a moment ago are still in the cache.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::reactor::mapping::Mapping;

/// How many buffers a ring has at most. A power of two, as the kernel asks.
pub const COUNT: u16 = 1024;
/// How many are offered at first.
const COUNT_FIRST: u16 = 64;
/// Bytes in a buffer: what one receive may bring.
pub const SIZE: usize = SIZE_BITS as usize;
const SIZE_BITS: u32 = 8192;
/// Buffers do not start a power of two apart: small requests, which use only the first lines of
/// each buffer, would otherwise all fall into the same few cache sets.
const STRIDE: usize = SIZE + 192;

/// The id of our only buffer group.
pub(super) const GROUP: u16 = 0;

/// A buffer that the kernel has filled: who has this has the buffer, until it is recycled.
#[derive(Debug, PartialEq, Eq)]
pub struct BufferId {
    number: u16,
    /// Of which ring: numbers of two rings' buffers must not be mixed.
    set: u32,
}

/// All receive buffers of one ring, which only lends them: others cannot take their place while
/// the kernel writes to them.
#[derive(Debug)]
pub struct Buffers {
    bytes: Mapping,
    descriptors: Mapping,
    set: u32,
    tail: Cell<u16>,
    /// Buffers below this number are in use or offered; the others were never touched.
    offered: Cell<u16>,
}

impl Buffers {
    /// Maps the buffers. Neither mapping is inherited by forked children: a snapshot child has no
    /// use for them, and the kernel pins the descriptors' page.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        static SETS: AtomicU32 = AtomicU32::new(0);
        let set = SETS.fetch_add(1, Ordering::Relaxed);
        assert!(set < u32::MAX, "a process makes a few rings");
        let bytes = Mapping::new(usize::from(COUNT) * STRIDE)?;
        let descriptors = Mapping::new(usize::from(COUNT) * size_of::<BufRingEntry>())?;
        let (tail, offered) = Default::default();
        let buffers = Self { bytes, descriptors, set, tail, offered };
        buffers.offer_up_to(COUNT_FIRST);
        Ok(buffers)
    }

    /// Offers twice as many buffers, if there are more: a receive found none.
    #[cold]
    pub(super) fn widen(&self) {
        self.offer_up_to(self.offered.get().saturating_mul(2).min(COUNT));
    }

    fn offer_up_to(&self, count: u16) {
        for number in self.offered.get()..count {
            self.offer(number);
        }
        self.offered.set(count);
        self.publish();
    }

    /// Hands the buffers to the ring behind `submitter`, their only one.
    pub(super) fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.descriptors.start().as_ptr() as u64;
        // SAFETY: the descriptors are page aligned, COUNT entries long and stay mapped while the
        // kernel has requests that use them: a `DataRing` that is dropped sees to their end first.
        unsafe { submitter.register_buf_ring_with_flags(address, COUNT, GROUP, 0) }
    }

    /// The first `len` bytes of a filled buffer.
    #[inline]
    pub fn bytes<'a>(&'a self, id: &'a BufferId, len: usize) -> &'a [u8] {
        assert!(id.set == self.set && id.number < COUNT, "a buffer of ours");
        assert!(len <= SIZE, "the kernel fills at most a buffer");
        // SAFETY: in bounds by the asserts; the kernel does not write to a buffer it has handed
        // out until `recycle` consumes the id, of which there is one, and which is borrowed here.
        unsafe {
            let start = self.bytes.start().as_ptr().add(usize::from(id.number) * STRIDE);
            std::slice::from_raw_parts(start, len)
        }
    }

    /// The buffer with the number in a completion.
    pub(super) fn filled(&self, number: u16) -> BufferId {
        BufferId { number, set: self.set }
    }

    /// Gives a buffer back to the kernel, from the next turn on. What was in it cannot be looked at
    /// any more:
    ///
    /// ```compile_fail,E0505
    /// # use keylane::reactor::buffers::{BufferId, Buffers};
    /// fn first(buffers: &Buffers, id: BufferId) -> Option<u8> {
    ///     let bytes = buffers.bytes(&id, 1);
    ///     buffers.recycle(id);
    ///     bytes.first().copied()
    /// }
    /// ```
    #[inline]
    pub fn recycle(&self, id: BufferId) {
        assert!(id.set == self.set, "a buffer of ours");
        self.offer(id.number);
    }

    #[inline]
    fn offer(&self, number: u16) {
        let tail = self.tail.get();
        let at = usize::from(tail & (COUNT - 1));
        let address = self.bytes.start().as_ptr() as u64 + (usize::from(number) * STRIDE) as u64;
        // SAFETY: `at` is below COUNT, and there is no other reference to an entry; the kernel
        // reads one only after `publish`.
        let entry =
            unsafe { &mut *self.descriptors.start().cast::<BufRingEntry>().as_ptr().add(at) };
        entry.set_addr(address);
        entry.set_len(SIZE_BITS);
        entry.set_bid(number);
        self.tail.set(tail.wrapping_add(1));
    }

    /// Lets the kernel see what was recycled.
    #[inline]
    pub(super) fn publish(&self) {
        let base = self.descriptors.start().cast::<BufRingEntry>().as_ptr();
        // SAFETY: the tail lies in the first descriptor of the mapping (io_uring_register(2),
        // IORING_REGISTER_PBUF_RING); the kernel only reads it.
        let tail = unsafe { &*BufRingEntry::tail(base).cast::<AtomicU16>() };
        tail.store(self.tail.get(), Ordering::Release);
    }
}
