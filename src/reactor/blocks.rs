//! Blocks of bytes that are only ever appended to, in memory that a copy of the process does not
//! get: a block that grows beside a copy costs no copies of pages and splits no huge page.

use std::io;

use crate::reactor::mapping::Mapping;

/// Bytes that a block has room for. The system maps 32 of its pages for one.
pub const BLOCK_BYTES: usize = 128 << 10;

/// Bytes that were appended, up to [`BLOCK_BYTES`], in a mapping of their own.
#[derive(Debug)]
pub struct Block {
    memory: Mapping,
    /// How many bytes were appended: at most [`BLOCK_BYTES`].
    len: usize,
}

impl Block {
    /// Maps an empty block.
    ///
    /// # Errors
    /// The system's: it has no memory for the block, or no room for one more mapping.
    pub fn new() -> io::Result<Self> {
        let memory = Mapping::new(BLOCK_BYTES)?;
        // All pages at once take 20 us. One by one they fault while the block fills, which took an
        // entry of 100 bytes 34 ns instead of 20. Linux before 5.14 refuses, which does no harm.
        // SAFETY: the mapping is as long, and nothing is in it yet.
        unsafe {
            libc::madvise(memory.start().as_ptr().cast(), BLOCK_BYTES, libc::MADV_POPULATE_WRITE)
        };
        Ok(Self { memory, len: 0 })
    }

    /// How many bytes can still be appended.
    #[inline]
    pub fn room(&self) -> usize {
        BLOCK_BYTES - self.len
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    /// If there are more of them than [`Self::room`].
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "a block takes what it has room for");
        // SAFETY: in bounds by the assert, for the mapping has BLOCK_BYTES; this block owns it and
        // is borrowed mutably, so no slice of it exists, and `bytes` lies elsewhere.
        unsafe {
            let end = self.memory.start().as_ptr().add(self.len);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len());
        }
        self.len += bytes.len();
    }

    /// What was appended since the block was mapped or emptied.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has at least `len` bytes, all of them initialized (the system maps
        // zeros, `append` writes), and stays as it is while this block is borrowed.
        unsafe { std::slice::from_raw_parts(self.memory.start().as_ptr(), self.len) }
    }

    /// Forgets what was appended and keeps the memory, which the system need not map again.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_what_was_appended_since_it_was_emptied() {
        let mut block = Block::new().unwrap();
        assert_eq!((block.bytes(), block.room()), (&b""[..], BLOCK_BYTES));
        block.append(b"one");
        block.append(b"");
        block.append(b" two");
        assert_eq!((block.bytes(), block.room()), (&b"one two"[..], BLOCK_BYTES - 7));
        block.append(&vec![7; BLOCK_BYTES - 7]);
        assert_eq!((block.bytes().len(), block.room()), (BLOCK_BYTES, 0));
        block.append(b"");
        block.clear();
        assert_eq!((block.bytes(), block.room()), (&b""[..], BLOCK_BYTES));
        block.append(b"three");
        assert_eq!(block.bytes(), b"three");
    }

    #[test]
    #[should_panic(expected = "what it has room for")]
    fn a_full_block_takes_nothing() {
        let mut block = Block::new().unwrap();
        block.append(&vec![7; BLOCK_BYTES]);
        block.append(b"x");
    }

    #[test]
    fn a_copy_of_the_process_does_not_get_a_block() {
        let mut block = Block::new().unwrap();
        block.append(b"x");
        let start = format!("{:x}-", block.bytes().as_ptr() as usize);
        // The system may have joined the block with a mapping beside it, which then has the flag.
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let address = block.bytes().as_ptr() as usize;
        let mut is_inside = false;
        let mut flags = None;
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let bounds = range.and_then(|(from, to)| {
                Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
            });
            match (bounds, line.strip_prefix("VmFlags:")) {
                (Some((from, to)), _) => is_inside = (from..to).contains(&address),
                (None, Some(list)) if is_inside => flags = Some(list.to_owned()),
                (None, _) => {}
            }
        }
        let flags = flags.unwrap_or_else(|| panic!("{start} is mapped"));
        assert!(flags.split(' ').any(|flag| flag == "dc"), "MADV_DONTFORK is set: {flags}");
    }
}
