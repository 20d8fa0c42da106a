//! A file that is being written, by one thread or by several: buffered, summed, pushed to the disk
//! bit by bit.
//!
//! Each thread gathers whole records and takes a place for them behind what there is. Only that is
//! done by one at a time: the checksum of a part is made before, and it is written after.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shards::base::crc64::{crc64, crc64_behind_zeros};
use shards::rdb::writer::Sink;

use crate::persistence::walking::{BUFFER_BYTES, ENOUGH_BYTES, Records, gather};
use crate::reactor::fork::write_behind;

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
    summing: Summing,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the next part goes.
    end: u64,
    /// Bytes the system was asked to write to the disk.
    pushed: u64,
    /// The checksum of all parts that have a place.
    sum: u64,
    /// The section that the last part belongs to.
    section: Option<usize>,
    error: Option<io::Error>,
}

impl Writing {
    /// Into `file`, which is empty.
    pub fn new(file: File, summing: Summing) -> Self {
        Self { file, summing, state: Mutex::default() }
    }

    /// What one thread adds to it.
    pub fn part(&self) -> Part<'_> {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Part { writing: self, buffer, section: None, head: Vec::new(), held: None, failed: false }
    }

    /// Puts the checksum behind what there is, after the first bytes, which were `before`, were
    /// replaced by `head`; and has the disk keep it all. How long the file is.
    ///
    /// # Errors
    /// The first one since the beginning.
    pub fn finish<const N: usize>(self, before: &[u8; N], head: &[u8; N]) -> io::Result<u64> {
        let State { end, mut sum, error, .. } = mem::take(&mut *self.lock());
        error.map_or(Ok(()), Err)?;
        if before != head {
            let change = crc64(0, before) ^ crc64(0, head);
            sum ^= crc64_behind_zeros(change, end.saturating_sub(N as u64));
            self.file.write_all_at(head, 0)?;
        }
        let sum = if self.summing == Summing::On { sum } else { 0 };
        self.file.write_all_at(&sum.to_le_bytes(), end)?;
        self.file.sync_all()?;
        Ok(end + 8)
    }

    /// A thread that panicked has told of it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The checksum of a part, if it is wanted.
    fn sum(&self, bytes: &[u8]) -> u64 {
        if self.summing == Summing::On { crc64(0, bytes) } else { 0 }
    }
}

impl State {
    /// A place for so many bytes of this checksum.
    fn place(&mut self, bytes: usize, sum: u64, summing: Summing) -> u64 {
        let at = self.end;
        self.end += bytes as u64;
        if summing == Summing::On {
            self.sum = crc64_behind_zeros(self.sum, bytes as u64) ^ sum;
        }
        at
    }
}

/// What one thread adds to a file: records that stay whole, in sections that are begun anew when
/// another thread is in another one.
#[derive(Debug)]
pub struct Part<'w> {
    writing: &'w Writing,
    buffer: Vec<u8>,
    section: Option<usize>,
    /// What begins the section.
    head: Vec<u8>,
    /// All others wait: a record does not fit into the buffer, and is half written.
    held: Option<MutexGuard<'w, State>>,
    failed: bool,
}

impl Part<'_> {
    /// Writes what was gathered; others wait until a flush.
    #[cold]
    fn spill_in_record(&mut self) {
        if self.held.is_none() {
            self.held = Some(self.writing.lock());
        }
        self.spill();
    }

    fn spill(&mut self) {
        if !self.failed && !self.buffer.is_empty() {
            let written = self.write();
            if let Err(error) = written {
                self.failed = true;
                self.held = None;
                self.writing.lock().error.get_or_insert(error);
            }
        }
        self.buffer.clear();
    }

    fn write(&mut self) -> io::Result<()> {
        let Self { writing, buffer, section, head, held, .. } = self;
        let sum = writing.sum(buffer);
        let mut own = None;
        let state = match held {
            Some(state) => state,
            None => own.insert(writing.lock()),
        };
        if state.section != *section {
            state.section = *section;
            let at = state.place(head.len(), writing.sum(head), writing.summing);
            writing.file.write_all_at(head, at)?;
        }
        let at = state.place(buffer.len(), sum, writing.summing);
        let (pushed, end) = (state.pushed, state.end);
        if pushed + SYNC_BYTES <= end {
            state.pushed = end;
        }
        let pushes = state.pushed != pushed;
        drop(own);
        writing.file.write_all_at(buffer, at)?;
        if pushes {
            write_behind(&writing.file, pushed, end - pushed);
        }
        Ok(())
    }
}

impl Sink for Part<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        gather(self, bytes, |part| &mut part.buffer, Self::spill_in_record);
    }
}

impl Records for Part<'_> {
    fn begin_section(&mut self, section: usize, head: &[u8]) {
        self.flush();
        self.section = Some(section);
        self.head.clear();
        self.head.extend_from_slice(head);
    }

    #[inline]
    fn end_record(&mut self) {
        if ENOUGH_BYTES <= self.buffer.len() || self.held.is_some() {
            self.flush();
        }
    }

    fn has_failed(&self) -> bool {
        self.failed
    }

    fn flush(&mut self) {
        self.spill();
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    /// A file of these bytes, made by `write` and `finish`.
    fn written(summing: Summing, head: &[u8; 4], write: impl FnOnce(&Writing)) -> Vec<u8> {
        let thread = thread::current();
        let name = format!("writing-{}-{:?}", std::process::id(), thread.id());
        let path = std::env::temp_dir().join(name);
        let writing = Writing::new(File::create_new(&path).unwrap(), summing);
        write(&writing);
        let bytes = writing.finish(b"0010", head).unwrap();
        let read = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(read.len() as u64, bytes);
        read
    }

    fn is_summed(read: &[u8]) -> bool {
        let (all, sum) = read.split_at(read.len() - 8);
        sum == crc64(0, all).to_le_bytes()
    }

    #[test]
    fn a_file_ends_in_the_checksum_of_what_it_is() {
        for bytes in [0, 1, 1000, BUFFER_BYTES, 3 * BUFFER_BYTES + 7] {
            for head in [b"0010", b"0080"] {
                let read = written(Summing::On, head, |writing| {
                    let mut part = writing.part();
                    part.put(b"0010");
                    (0..bytes).for_each(|number| part.put(&[number.to_le_bytes()[0]]));
                    part.flush();
                });
                assert_eq!((&read[..4], read.len()), (&head[..], 12 + bytes));
                assert!(is_summed(&read), "{bytes}");
            }
        }
        let read = written(Summing::Off, b"0011", |writing| {
            let mut part = writing.part();
            part.put(b"0010abc");
            part.flush();
        });
        assert_eq!(read, b"0011abc\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn records_of_several_threads_stay_whole_and_in_their_sections() {
        const RECORDS: usize = 400;
        let read = written(Summing::On, b"0010", |writing| {
            let mut first = writing.part();
            first.put(b"0010");
            first.flush();
            thread::scope(|scope| {
                for thread in 1..4u8 {
                    scope.spawn(move || {
                        let mut part = writing.part();
                        part.begin_section(thread.into(), &[0, thread]);
                        for record in 0..RECORDS {
                            // Some do not fit into a buffer.
                            let len = record % 7 * BUFFER_BYTES / 5;
                            let len_bytes = u32::try_from(len).unwrap().to_le_bytes();
                            part.put(&[&[thread][..], &len_bytes].concat());
                            part.put(&vec![thread; len]);
                            part.end_record();
                        }
                        part.flush();
                    });
                }
            });
        });
        assert!(is_summed(&read));
        let (mut rest, mut section, mut seen) = (&read[4..read.len() - 8], 0, [0; 4]);
        while let [kind, more @ ..] = rest {
            if *kind == 0 {
                (section, rest) = (more[0], &more[1..]);
                continue;
            }
            assert_eq!(*kind, section);
            let (len, more) = more.split_first_chunk().unwrap();
            let (record, more) = more.split_at(u32::from_le_bytes(*len) as usize);
            assert!(record.iter().all(|byte| byte == kind));
            seen[usize::from(section)] += 1;
            rest = more;
        }
        assert_eq!(seen, [0, RECORDS, RECORDS, RECORDS]);
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let writing = Writing::new(file, Summing::On);
        let mut part = writing.part();
        part.put(&vec![1; 3 * BUFFER_BYTES]);
        part.end_record();
        assert!(part.has_failed());
        let mut other = writing.part();
        other.put(b"more");
        other.flush();
        drop((part, other));
        let error = writing.finish(b"", b"").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }
}
