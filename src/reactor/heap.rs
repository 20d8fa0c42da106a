//! What the allocator says of its heap, and giving memory back to the system.

use std::ffi::{CStr, c_char, c_void};

use tikv_jemalloc_sys as jemalloc;

/// The arenas' number that stands for all of them.
const ALL_ARENAS: usize = 4096;

/// Blocks of so many bytes and more are in an arena of their own, whichever thread asked for them:
/// `oversize_threshold` of the allocator's settings.
const LARGE_BYTES: usize = 4 << 20;

/// Bytes of the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// In use.
    pub allocated: u64,
    /// Of pages that have something in use.
    pub active: u64,
    /// Of pages that are in RAM.
    pub resident: u64,
    /// Of pages that are left to the system to take.
    pub muzzy: u64,
    /// In use by objects of the small classes.
    pub small_allocated: u64,
    /// Of the slabs that hold them.
    pub small_slabs: u64,
}

/// The heap as it is now.
pub fn heap() -> Heap {
    // The statistics are of the last epoch: begin a new one.
    write(c"epoch", 1u64);
    let bytes = |name: &CStr| read(name).unwrap_or(0);
    let page = bytes(c"arenas.page");
    let of_all = |name: &str| {
        let name = format!("stats.arenas.{ALL_ARENAS}.{name}\0");
        CStr::from_bytes_with_nul(name.as_bytes()).map_or(0, bytes)
    };
    Heap {
        allocated: bytes(c"stats.allocated"),
        active: bytes(c"stats.active"),
        resident: bytes(c"stats.resident"),
        muzzy: of_all("pmuzzy") * page,
        small_allocated: of_all("small.allocated"),
        small_slabs: bytes(c"stats.active").saturating_sub(of_all("large.allocated")),
    }
}

/// The number of the arena that this thread allocates from; `None` if the allocator does not say.
pub fn arena() -> Option<u32> {
    let mut arena = 0u32;
    control(c"thread.arena", Some(&mut arena), NOTHING).then_some(arena)
}

/// Bytes of an arena that are in use, as of the last call of [`heap`].
pub fn arena_bytes(arena: u32) -> u64 {
    let of_class = |class: &str| {
        let name = format!("stats.arenas.{arena}.{class}.allocated\0");
        CStr::from_bytes_with_nul(name.as_bytes()).ok().and_then(read).unwrap_or(0)
    };
    of_class("small") + of_class("large")
}

/// Gives pages that nothing is in back to the system. False if the allocator refuses.
pub fn purge() -> bool {
    command("purge")
}

/// Lets one thread of the allocator's give pages back that have been empty for long enough; or
/// leaves that to the threads that allocate, at their next allocations. False if it refuses.
///
/// Pages come back in many small pieces, which takes a shard's thread tens of milliseconds after a
/// large collection was deleted.
pub fn decay_in_background(wanted: bool) -> bool {
    // Before the first one is started: they may not be limited after.
    write(c"max_background_threads", 1usize);
    write(c"background_thread", wanted)
}

/// Lets blocks of four megabytes and more go back to the system when they are freed: replies and
/// requests that grow to such a size leave all their smaller copies behind. False if the allocator
/// refuses.
///
/// jemalloc does so by itself, but not while a thread of its own gives pages back
/// ([`decay_in_background`]).
pub fn give_large_blocks_back() -> bool {
    let block = Vec::<u8>::with_capacity(LARGE_BYTES);
    let (mut arena, address) = (0u32, block.as_ptr());
    if !control(c"arenas.lookup", Some(&mut arena), Some(&address)) {
        return false;
    }
    let name = format!("arena.{arena}.dirty_decay_ms\0");
    CStr::from_bytes_with_nul(name.as_bytes()).is_ok_and(|name| write(name, 0isize))
}

fn command(verb: &str) -> bool {
    let name = format!("arena.{ALL_ARENAS}.{verb}\0");
    // These commands neither read nor write a value.
    CStr::from_bytes_with_nul(name.as_bytes())
        .is_ok_and(|name| control(name, None::<&mut ()>, NOTHING))
}

/// The allocator's own report, for people.
pub fn report() -> String {
    unsafe extern "C" fn append(to: *mut c_void, text: *const c_char) {
        // SAFETY: jemalloc hands back the pointer it was given below, and a C string.
        let (report, text) = unsafe { (&mut *to.cast::<String>(), CStr::from_ptr(text)) };
        report.push_str(&text.to_string_lossy());
    }
    let mut report = String::new();
    // SAFETY: `report` outlives the call and nothing else uses it meanwhile.
    unsafe {
        let to = (&raw mut report).cast::<c_void>();
        jemalloc::malloc_stats_print(Some(append), to, std::ptr::null());
    }
    report
}

/// A figure of type size_t.
fn read(name: &CStr) -> Option<u64> {
    let mut value = 0usize;
    control(name, Some(&mut value), NOTHING).then_some(value as u64)
}

/// Writes a value of the type that the name has; false if the allocator does not take it.
fn write<T: Copy>(name: &CStr, value: T) -> bool {
    control(name, None::<&mut ()>, Some(&value))
}

/// No new value.
const NOTHING: Option<&()> = None;

/// Reads or writes the number that a name has, or does what it says. False if the allocator does
/// not, or the number has another length.
fn control<Old: Copy, New: Copy>(name: &CStr, old: Option<&mut Old>, new: Option<&New>) -> bool {
    let mut bytes = size_of::<Old>();
    let old_bytes = if old.is_some() { &raw mut bytes } else { std::ptr::null_mut() };
    let old = old.map_or(std::ptr::null_mut(), std::ptr::from_mut).cast::<c_void>();
    let new_bytes = if new.is_some() { size_of::<New>() } else { 0 };
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref).cast_mut().cast::<c_void>();
    // SAFETY: both are null or of numbers, and jemalloc is told how many bytes it may write and
    // read: it refuses if there are more or fewer. No name here frees what is in use.
    let failed = unsafe { jemalloc::mallctl(name.as_ptr(), old, old_bytes, new, new_bytes) };
    failed == 0 && bytes == size_of::<Old>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_gives_its_figures() {
        let before = heap();
        assert!(0 < before.allocated && before.allocated <= before.active);
        assert!(before.active <= before.resident && before.small_allocated <= before.allocated);
        let block = vec![1u8; 3 << 20];
        assert!(before.allocated + (2 << 20) < heap().allocated, "{}", block.len());
        let arena = arena().unwrap();
        // Other tests ask for memory meanwhile.
        let (mine, all) = (arena_bytes(arena), heap());
        assert!((3 << 20) <= mine && mine <= all.allocated, "{mine} of {all:?}");
        assert!(report().contains("jemalloc"));
        assert!(purge());
        assert!(decay_in_background(true) && decay_in_background(false));
    }

    #[test]
    fn large_blocks_go_back_at_once() {
        assert!(decay_in_background(true) && give_large_blocks_back());
        let before = heap().resident;
        for _ in 0..8 {
            drop(vec![1u8; 4 * LARGE_BYTES]);
        }
        let more = heap().resident.saturating_sub(before);
        assert!(more < LARGE_BYTES as u64, "{more} bytes more");
    }
}
