//! What the system tells of this process and this machine: memory, processor time, chance.

use std::fs::{self, File};
use std::io::Read;

/// Processor time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the kernel.
    pub system: u64,
    /// Outside of it.
    pub user: u64,
}

/// Processor time of all threads of this process.
pub fn cpu_time() -> CpuTime {
    usage(libc::RUSAGE_SELF)
}

/// Processor time of the processes that this one started and waited for.
pub fn cpu_time_of_children() -> CpuTime {
    usage(libc::RUSAGE_CHILDREN)
}

fn usage(who: libc::c_int) -> CpuTime {
    // SAFETY: an all-zero rusage is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid for the call to fill.
    if unsafe { libc::getrusage(who, &mut usage) } != 0 {
        return CpuTime::default();
    }
    let micros = |time: libc::timeval| {
        let micros = time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_usec);
        u64::try_from(micros).unwrap_or(0)
    };
    CpuTime { system: micros(usage.ru_stime), user: micros(usage.ru_utime) }
}

/// Bytes of memory that the process has in RAM; 0 if the system does not say.
pub fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    // SAFETY: no pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0) * u64::try_from(page).unwrap_or(0)
}

/// Bytes of RAM that the machine has; 0 if the system does not say.
pub fn total_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// The system's name and release, and the processor's: `Linux 6.1.0 x86_64`.
pub fn name() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

/// A name that nobody else has or can guess: 40 hexadecimal digits.
pub fn random_name() -> String {
    let mut bytes = [0; 20];
    let mut source = File::open("/dev/urandom").expect("the hash seed came from there");
    source.read_exact(&mut bytes).expect("the system is never out of chance");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_this_process() {
        assert!(resident_bytes() < total_bytes());
        assert!((1 << 20) < resident_bytes());
        let before = cpu_time();
        let names: Vec<String> = (0..100).map(|_| random_name()).collect();
        assert!(
            names.iter().all(|name| name.len() == 40 && *name != names[0] || name == &names[0])
        );
        assert_ne!(names[0], names[1]);
        let after = cpu_time();
        assert!(before.user + before.system <= after.user + after.system);
        assert!(name().starts_with("Linux "));
    }
}
