//! The receive buffers lent to the kernel: one provided-buffer ring per shard.
//!
//! Layout: `COUNT` buffers of `SIZE` bytes, `STRIDE` apart in one anonymous mapping, and a ring of
//! as many descriptors in another. The kernel takes descriptors from the front as data comes in;
//! [`Buffers::recycle`] puts them back behind the tail. Few buffers are offered at first: the
//! kernel goes through all it is offered, and those it used a moment ago are still in the cache.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

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

/// The number of a buffer the kernel has filled.
#[derive(Debug, PartialEq, Eq)]
pub struct BufferId(u16);

/// All receive buffers of one ring. Must outlive it: the kernel writes into the mappings.
#[derive(Debug)]
pub struct Buffers {
    bytes: Mapping,
    descriptors: Mapping,
    tail: u16,
    /// Buffers below this number are in use or offered; the others were never touched.
    offered: u16,
}

/// The id of our only buffer group.
pub const GROUP: u16 = 0;

impl Buffers {
    /// Maps the buffers. Neither mapping is inherited by forked children: a snapshot child has no
    /// use for them, and the kernel pins the descriptors' page.
    pub fn new() -> io::Result<Self> {
        let bytes = Mapping::new(usize::from(COUNT) * STRIDE)?;
        let descriptors = Mapping::new(usize::from(COUNT) * size_of::<BufRingEntry>())?;
        let mut buffers = Self { bytes, descriptors, tail: 0, offered: 0 };
        buffers.offer_up_to(COUNT_FIRST);
        Ok(buffers)
    }

    /// Offers twice as many buffers, if there are more: a receive found none.
    #[cold]
    pub(super) fn widen(&mut self) {
        self.offer_up_to(self.offered.saturating_mul(2).min(COUNT));
    }

    fn offer_up_to(&mut self, count: u16) {
        for id in self.offered..count {
            self.offer(id);
        }
        self.offered = count;
        self.publish();
    }

    /// Hands the buffers to the ring behind `submitter`.
    pub fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.descriptors.start.as_ptr() as u64;
        // SAFETY: the descriptors are page aligned, COUNT entries long and stay mapped while the
        // ring lives: `DataRing` drops its ring before its buffers.
        unsafe { submitter.register_buf_ring_with_flags(address, COUNT, GROUP, 0) }
    }

    /// The first `len` bytes of a filled buffer.
    #[inline]
    pub fn bytes(&self, id: &BufferId, len: usize) -> &[u8] {
        assert!(id.0 < COUNT, "the kernel names a buffer of ours");
        assert!(len <= SIZE, "the kernel fills at most a buffer");
        // SAFETY: in bounds by the asserts; the kernel does not write to a buffer it has handed
        // out until `recycle` consumes the id, of which there is one.
        unsafe {
            let start = self.bytes.start.as_ptr().add(usize::from(id.0) * STRIDE);
            std::slice::from_raw_parts(start, len)
        }
    }

    /// The id in a completion.
    pub(super) fn filled(id: u16) -> BufferId {
        BufferId(id)
    }

    /// Gives a buffer back to the kernel, from the next [`Self::publish`] on.
    #[inline]
    pub fn recycle(&mut self, id: BufferId) {
        self.offer(id.0);
    }

    #[inline]
    fn offer(&mut self, id: u16) {
        let at = usize::from(self.tail & (COUNT - 1));
        let address = self.bytes.start.as_ptr() as u64 + (usize::from(id) * STRIDE) as u64;
        // SAFETY: `at` is below COUNT; the kernel reads an entry only after `publish`.
        let entry = unsafe { &mut *self.descriptors.start.cast::<BufRingEntry>().as_ptr().add(at) };
        entry.set_addr(address);
        entry.set_len(SIZE_BITS);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was recycled.
    #[inline]
    pub fn publish(&mut self) {
        let base = self.descriptors.start.cast::<BufRingEntry>().as_ptr();
        // SAFETY: the tail lies in the first descriptor of the mapping (io_uring_register(2),
        // IORING_REGISTER_PBUF_RING); the kernel only reads it.
        let tail = unsafe { &*BufRingEntry::tail(base).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}
