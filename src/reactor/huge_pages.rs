//! Huge pages of the heap: not asked for, or made whole again where forks have split them.

use std::fs;
use std::io;
use std::ops::Range;

use nix::sys::prctl;

/// Bytes of a huge page.
const HUGE_PAGE: usize = 2 << 20;

/// Keeps this process from getting huge pages from now on, also where it asks for them.
///
/// # Errors
/// The system's.
pub fn disable() -> io::Result<()> {
    Ok(prctl::set_thp_disable(true)?)
}

/// A way through all memory that was asked for in huge pages.
///
/// After a fork the first write to a huge page splits it, and it stays split: the next fork then
/// copies 512 entries of page tables for it instead of one. Where the system has huge pages at
/// hand, making one whole takes less than a millisecond.
#[derive(Debug)]
pub struct Sweep {
    /// What is left: huge pages, or what could be some.
    left: Vec<Range<usize>>,
}

impl Sweep {
    /// Through what there is now.
    ///
    /// # Errors
    /// The system's, if it does not say what there is.
    pub fn new() -> io::Result<Self> {
        Ok(Self { left: advised(&fs::read_to_string("/proc/self/smaps")?) })
    }

    /// Makes the next one whole, if it is not and can be. False if there is none.
    pub fn step(&mut self) -> bool {
        let Some(range) = self.left.last_mut() else { return false };
        let start = range.start;
        range.start += HUGE_PAGE;
        if range.end <= range.start {
            self.left.pop();
        }
        let start = std::ptr::without_provenance_mut(start);
        // SAFETY: what stands there stays there and as it is; where there is nothing any more, or
        // no huge page to be had, the call fails and nothing has changed.
        unsafe { libc::madvise(start, HUGE_PAGE, libc::MADV_COLLAPSE) };
        true
    }
}

/// The whole huge pages in what was asked for in such (`hg`, proc_pid_smaps(5)).
fn advised(smaps: &str) -> Vec<Range<usize>> {
    let mut mapping = 0..0;
    let mut found = Vec::new();
    for line in smaps.lines() {
        if let Some(range) = addresses(line) {
            mapping = range;
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && flags.split_whitespace().any(|flag| flag == "hg")
        {
            let whole = mapping.start.next_multiple_of(HUGE_PAGE)..mapping.end & !(HUGE_PAGE - 1);
            found.extend((whole.start < whole.end).then_some(whole));
        }
    }
    found
}

/// The addresses that the first line of a mapping begins with.
fn addresses(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_huge_pages_where_they_were_asked_for() {
        let smaps = "\
7f0000100000-7f0000900000 rw-p 00000000 00:00 0
Rss:                8192 kB
VmFlags: rd wr mr mw me ac hg
7f0001000000-7f0001400000 rw-p 00000000 00:00 0
VmFlags: rd wr mr mw me ac
7f0002100000-7f0002300000 rw-p 00000000 00:00 0 [heap]
VmFlags: rd wr hg
";
        let whole = 0x7f00_0020_0000..0x7f00_0080_0000;
        assert!(matches!(advised(smaps).as_slice(), [found] if *found == whole));
    }

    #[test]
    fn goes_through_all_of_the_heap_and_leaves_it_as_it_is() {
        let block: Vec<u32> = (0..4 << 20).collect();
        let mut sweep = Sweep::new().unwrap();
        let pages: usize = sweep.left.iter().map(|range| range.len() / HUGE_PAGE).sum();
        let mut steps = 0;
        while sweep.step() {
            steps += 1;
        }
        assert_eq!(steps, pages);
        assert!((0..4 << 20).eq(block));
    }
}
