//! Which processors this process may use.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// The processors the process may run on, ascending.
///
/// # Errors
/// The system's.
pub fn allowed() -> io::Result<Vec<usize>> {
    let this_thread = Pid::from_raw(0);
    let set = sched_getaffinity(this_thread)?;
    // Only a number beyond the set's end is an error.
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect())
}
