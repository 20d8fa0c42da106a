//! What the system tells of this process and this machine: memory, processor time, chance.

pub mod available;
pub mod names;

use std::fs::{self, File};
use std::io::Read;

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::kill;
use nix::sys::time::TimeVal;
use nix::unistd::{Pid, SysconfVar, sysconf};

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
    usage(UsageWho::RUSAGE_SELF)
}

/// Processor time of this thread.
pub fn cpu_time_of_thread() -> CpuTime {
    usage(UsageWho::RUSAGE_THREAD)
}

/// Processor time of the processes that this one started and waited for.
pub fn cpu_time_of_children() -> CpuTime {
    usage(UsageWho::RUSAGE_CHILDREN)
}

impl std::ops::Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { system: self.system + other.system, user: self.user + other.user }
    }
}

fn usage(who: UsageWho) -> CpuTime {
    let Ok(usage) = getrusage(who) else { return CpuTime::default() };
    let micros = |time: TimeVal| {
        let micros = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
        u64::try_from(micros).unwrap_or(0)
    };
    CpuTime { system: micros(usage.system_time()), user: micros(usage.user_time()) }
}

/// Bytes of memory that the process has in RAM; 0 if the system does not say.
pub fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(0);
    pages.unwrap_or(0) * u64::try_from(page).unwrap_or(0)
}

/// Bytes of RAM that the machine has; 0 if the system does not say.
pub fn total_bytes() -> u64 {
    let text = fs::read_to_string(available::MEMINFO).unwrap_or_default();
    available::of_machine(&text, "MemTotal:").unwrap_or(0)
}

/// The system's name and release, and the processor's: `Linux 6.1.0 x86_64`.
pub fn name() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

/// Makes a name that is unique and cannot be guessed: 40 hexadecimal digits.
pub fn random_name() -> String {
    random().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that cannot be guessed.
pub fn random() -> [u8; 20] {
    let mut bytes = [0; 20];
    let mut source = File::open("/dev/urandom").expect("the hash seed came from there");
    source.read_exact(&mut bytes).expect("the system is never out of chance");
    bytes
}

/// Whether a process of this number is there, whatever user it belongs to.
pub fn is_alive(pid: u32) -> bool {
    let Ok(number) = i32::try_from(pid) else { return false };
    // No signal is sent. What may not be asked is there.
    0 < number && kill(Pid::from_raw(number), None) != Err(Errno::ESRCH)
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

    #[test]
    fn the_system_knows_which_processes_are_there() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
        assert!(is_alive(std::process::id()));
        assert!(is_alive(1), "it belongs to another user, perhaps");
        assert!(!is_alive(0) && !is_alive(u32::MAX));
    }
}
