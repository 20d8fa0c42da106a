//! A file that is being written: buffered, summed, pushed to the disk bit by bit.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use shards::base::crc64::{crc64, crc64_behind_zeros};
use shards::rdb::writer::Sink;

use crate::reactor::fork::write_behind;

/// Bytes that are gathered for one write.
const BUFFER_BYTES: usize = 256 << 10;
/// The system is asked to begin writing to the disk each time so many bytes are there: else all of
/// it would have to be written when the file is synced, and other writers would wait meanwhile.
const SYNC_BYTES: u64 = 4 << 20;

/// Whether a file ends in its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summing {
    /// It does.
    On,
    /// There is a zero instead.
    Off,
}

/// A file that is being written. After an error it takes no more, and says so at the end.
#[derive(Debug)]
pub struct Writing {
    file: File,
    buffer: Vec<u8>,
    /// Bytes written, those in the buffer not included.
    written: u64,
    /// Bytes the system was asked to write to the disk.
    pushed: u64,
    sum: Option<u64>,
    error: Option<io::Error>,
}

impl Writing {
    /// Into `file`, which is empty.
    pub fn new(file: File, summing: Summing) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        let sum = (summing == Summing::On).then_some(0);
        Self { file, buffer, written: 0, pushed: 0, sum, error: None }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Whether it took all so far.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Puts the checksum behind what there is, after the first bytes, which were `before`, were
    /// replaced by `head`; and has the disk keep it all.
    ///
    /// # Errors
    /// The first one since the beginning.
    ///
    /// # Panics
    /// If both are not of the same length.
    pub fn finish<const N: usize>(mut self, before: &[u8; N], head: &[u8; N]) -> io::Result<u64> {
        self.flush();
        if before != head {
            let change = crc64(0, before) ^ crc64(0, head);
            let behind = self.written.saturating_sub(N as u64);
            self.sum = self.sum.map(|sum| sum ^ crc64_behind_zeros(change, behind));
            if self.error.is_none() {
                self.error = self.file.write_all_at(head, 0).err();
            }
        }
        let sum = self.sum.unwrap_or(0);
        self.put(&sum.to_le_bytes());
        self.flush();
        match self.error {
            Some(error) => Err(error),
            None => self.file.sync_all().map(|()| self.written),
        }
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.sum = self.sum.map(|sum| crc64(sum, &self.buffer));
            self.error = self.file.write_all(&self.buffer).err();
            self.written += self.buffer.len() as u64;
        }
        self.buffer.clear();
        if self.pushed + SYNC_BYTES <= self.written {
            write_behind(&self.file, self.pushed, self.written - self.pushed);
            self.pushed = self.written;
        }
    }
}

impl Sink for Writing {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while BUFFER_BYTES < self.buffer.len() + rest.len() {
            let (now, later) = rest.split_at(BUFFER_BYTES - self.buffer.len());
            self.buffer.extend_from_slice(now);
            self.flush();
            rest = later;
        }
        self.buffer.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(summing: Summing, head: &[u8; 4], bytes: usize) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!("writing-{}-{bytes}", std::process::id()));
        let mut writing = Writing::new(File::create_new(&path).unwrap(), summing);
        writing.put(b"0010");
        (0..bytes).for_each(|number| writing.put(&[number.to_le_bytes()[0]]));
        assert_eq!(writing.bytes(), 4 + bytes as u64);
        assert_eq!(writing.finish(b"0010", head).unwrap(), 12 + bytes as u64);
        let read = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn a_file_ends_in_the_checksum_of_what_it_is() {
        for bytes in [0, 1, 1000, BUFFER_BYTES, 3 * BUFFER_BYTES + 7] {
            for head in [b"0010", b"0080"] {
                let read = written(Summing::On, head, bytes);
                let (all, sum) = read.split_at(4 + bytes);
                assert_eq!(&all[..4], head);
                assert_eq!(sum, crc64(0, all).to_le_bytes());
            }
        }
        assert_eq!(written(Summing::Off, b"0011", 3)[7..], [0; 8]);
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut writing = Writing::new(file, Summing::On);
        writing.put(&[1; 3 * BUFFER_BYTES]);
        assert!(writing.has_failed());
        let error = writing.finish(b"", b"").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }
}
