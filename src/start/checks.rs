//! What the system must grant before the server can keep its promises. Each failure is one
//! sentence that says what to do.

use std::env;
use std::fs;
use std::io;

use nix::errno::Errno;

use crate::config::table::Config;
use crate::log;
use crate::reactor::limits::{self, Limit};
use crate::reactor::ring;
use crate::start::{Failure, plain};

/// The oldest Linux whose io_uring has all that the rings use.
const KERNEL_MIN: (u32, u32) = (6, 1);
/// Locked memory below which no executor starts.
const LOCKED_BYTES_MIN: u64 = 512 << 10;
/// Locked memory that each shard's rings may take.
const LOCKED_BYTES_PER_SHARD: u64 = 512 << 10;

/// What the system says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct System {
    /// As `uname -r` gives it.
    release: String,
    /// The sysctl kernel.io_uring_disabled, where there is one.
    uring_disabled: Option<u32>,
    /// The error of making a ring.
    ring_error: Option<Errno>,
    locked_bytes: u64,
}

/// Looks whether io_uring can be used, and raises the limit of locked memory for so many shards.
///
/// # Errors
/// The first sentence of what is wrong.
pub fn system(shards: u16) -> Result<(), Failure> {
    let wanted = LOCKED_BYTES_MIN.max(LOCKED_BYTES_PER_SHARD * u64::from(shards));
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let locked_bytes = raise_locked_memory(wanted);
    let system = System {
        release: read("/proc/sys/kernel/osrelease"),
        uring_disabled: read("/proc/sys/kernel/io_uring_disabled").parse().ok(),
        ring_error: ring::probe().err().and_then(|error| error.raw_os_error()).map(Errno::from_raw),
        locked_bytes,
    };
    complaint(&system).map_or(Ok(()), |text| Err(Failure::Log(text)))
}

/// Raises the soft limit as far as it may and needs to; what holds then.
fn raise_locked_memory(wanted: u64) -> u64 {
    let Ok(limit) = limits::locked_memory() else { return u64::MAX };
    if wanted <= limit.soft {
        return limit.soft;
    }
    let soft = wanted.min(limit.hard);
    // A privileged process may raise the hard limit too.
    let raised = [Limit { soft: wanted, hard: limit.hard.max(wanted) }, Limit { soft, ..limit }];
    let raised = raised.into_iter().find(|&limit| limits::set_locked_memory(limit).is_ok());
    raised.map_or(limit.soft, |limit| limit.soft)
}

fn complaint(system: &System) -> Option<String> {
    let System { release, uring_disabled, ring_error, locked_bytes } = system;
    let (major, minor) = KERNEL_MIN;
    if kernel(release).is_some_and(|kernel| kernel < KERNEL_MIN) {
        return Some(format!(
            "Linux {release} is too old: its io_uring lacks what is needed, use Linux \
             {major}.{minor} or later."
        ));
    }
    if *locked_bytes < LOCKED_BYTES_MIN {
        return Some(format!(
            "Only {} KB of memory may be locked and each thread's rings need some: allow at least \
             {} KB by 'ulimit -l' or systemd's LimitMEMLOCK.",
            locked_bytes >> 10,
            LOCKED_BYTES_MIN >> 10
        ));
    }
    let error = (*ring_error)?;
    Some(match (error, uring_disabled) {
        (Errno::EPERM | Errno::EACCES, Some(disabled @ 1..)) => format!(
            "io_uring is switched off on this machine (kernel.io_uring_disabled is {disabled}): \
             run 'sysctl kernel.io_uring_disabled=0'."
        ),
        (Errno::EPERM | Errno::EACCES, _) => {
            "io_uring is not allowed to this process: let the seccomp profile of its container or \
             service allow io_uring_setup, io_uring_enter and io_uring_register (Docker: \
             --security-opt seccomp=unconfined)."
                .into()
        }
        (Errno::ENOSYS, _) => format!(
            "io_uring is missing in this kernel or hidden by a sandbox: use Linux {major}.{minor} \
             or later with CONFIG_IO_URING, outside of the sandbox."
        ),
        (Errno::ENOMEM, _) => format!(
            "No memory may be locked for io_uring ({} KB are allowed, and all processes of this \
             user share them): allow more by 'ulimit -l' or systemd's LimitMEMLOCK.",
            locked_bytes >> 10
        ),
        (Errno::EMFILE | Errno::ENFILE, _) => {
            "No more files can be opened: raise 'ulimit -n' or systemd's LimitNOFILE.".into()
        }
        (error, _) => format!(
            "io_uring cannot be used: {}; Linux {major}.{minor} or later is needed.",
            plain(&io::Error::from(error))
        ),
    })
}

/// Major and minor number of a release like `6.18.44-custom`.
fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

/// Goes to the working folder.
///
/// # Errors
/// If there is no such folder, or it may not be entered.
pub fn working_folder(config: &Config) -> Result<(), Failure> {
    env::set_current_dir(&config.dir).map_err(|error| {
        let (dir, error) = (config.dir.display(), plain(&error));
        Failure::of_config(&format!(
            "Can't chdir to '{dir}': {error}. Make the folder, or choose another `dir`."
        ))
    })
}

/// Raises the limit of open files to what the configuration asks for. Where that is not allowed,
/// fewer clients are served, and the log says so.
///
/// # Errors
/// If not even one client could be served.
pub fn open_files(config: &mut Config, shards: u16) -> Result<(), Failure> {
    let Ok(limit) = limits::open_files() else { return Ok(()) };
    let reserved = limits::files_besides_clients(usize::from(shards));
    let wanted = u64::from(config.maxclients) + reserved;
    if wanted <= limit.soft {
        return Ok(());
    }
    let mut refused = None;
    let all = limits::set_open_files(Limit { soft: wanted, hard: limit.hard.max(wanted) });
    if let Err(error) = all {
        refused = Some(plain(&error));
        let soft = wanted.min(limit.hard).max(limit.soft);
        // If not even this is allowed, the limit read below tells how many there are.
        let _ = limits::set_open_files(Limit { soft, ..limit });
    }
    let files = limits::open_files().map_or(limit.soft, |limit| limit.soft);
    let Some(error) = refused.filter(|_| files < wanted) else {
        let (clients, old) = (config.maxclients, limit.soft);
        log::notice(&format!(
            "Increased maximum number of open files to {wanted} to serve {clients} clients (it was \
             originally set to {old})."
        ));
        return Ok(());
    };
    let clients = clients_for(files, reserved).ok_or_else(|| {
        Failure::Log(format!(
            "Your current 'ulimit -n' of {files} is not enough for the server to start. Please \
             increase your open file limit to at least {wanted}. Exiting."
        ))
    })?;
    log::warning(&format!(
        "You requested maxclients of {} requiring at least {wanted} max file descriptors.",
        config.maxclients
    ));
    log::warning(&format!(
        "Server can't set maximum open files to {wanted} because of OS error: {error}."
    ));
    log::warning(&format!(
        "Current maximum open files is {files}. maxclients has been reduced to {clients} to \
         compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."
    ));
    config.maxclients = clients;
    Ok(())
}

fn clients_for(files: u64, reserved: u64) -> Option<u32> {
    let clients = files.checked_sub(reserved)?;
    u32::try_from(clients).ok().filter(|&clients| 0 < clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut System), begin: Option<&str>) {
        let mut system = System {
            release: "6.1.0-18-amd64".into(),
            uring_disabled: Some(0),
            ring_error: None,
            locked_bytes: 8 << 20,
        };
        change(&mut system);
        let complaint = complaint(&system);
        let matches = match (&complaint, begin) {
            (Some(complaint), Some(begin)) => complaint.starts_with(begin),
            (complaint, begin) => complaint.is_none() && begin.is_none(),
        };
        assert!(matches, "{system:?}: {complaint:?}");
    }

    #[test]
    fn what_is_missing_is_said_in_one_sentence() {
        check(|_| {}, None);
        check(|system| system.release = "7.0".into(), None);
        check(|system| system.release = String::new(), None);
        check(|system| system.release = "5.15.0-91".into(), Some("Linux 5.15.0-91 is too old"));
        check(|system| system.release = "6.0.19".into(), Some("Linux 6.0.19 is too old"));
        check(|system| system.locked_bytes = 64 << 10, Some("Only 64 KB of memory may be locked"));
        check(|system| system.ring_error = Some(Errno::ENOSYS), Some("io_uring is missing"));
        check(|system| system.ring_error = Some(Errno::EPERM), Some("io_uring is not allowed"));
        check(|system| system.ring_error = Some(Errno::ENOMEM), Some("No memory may be locked"));
        check(|system| system.ring_error = Some(Errno::EINVAL), Some("io_uring cannot be used: I"));
        check(
            |system| {
                (system.ring_error, system.uring_disabled) = (Some(Errno::EPERM), Some(2));
            },
            Some("io_uring is switched off on this machine (kernel.io_uring_disabled is 2)"),
        );
    }

    #[test]
    fn a_release_begins_with_two_numbers() {
        assert_eq!(kernel("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(kernel("6.1+"), Some((6, 1)));
        assert_eq!(kernel("unknown"), None);
    }

    #[test]
    fn clients_get_the_files_that_are_left() {
        assert_eq!(clients_for(1000, 64), Some(936));
        assert_eq!(clients_for(64, 64), None);
        assert_eq!(clients_for(10, 64), None);
    }
}
