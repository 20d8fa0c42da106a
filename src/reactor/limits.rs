//! Limits that the system sets for the process: open files and locked memory.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that are no clients: files, listeners, what the process was started with.
const FILES_RESERVED: u64 = 32;
/// Descriptors of each shard: its rings, eventfds and timers.
const FILES_PER_SHARD: u64 = 16;

/// A limit. No limit at all is the largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds now; the process may raise it up to `hard`.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

/// How many files and sockets may be open.
pub fn open_files() -> io::Result<Limit> {
    get(Resource::RLIMIT_NOFILE)
}

/// Sets how many files and sockets may be open.
pub fn set_open_files(limit: Limit) -> io::Result<()> {
    set(Resource::RLIMIT_NOFILE, limit)
}

/// How many bytes may be kept from being swapped.
pub fn locked_memory() -> io::Result<Limit> {
    get(Resource::RLIMIT_MEMLOCK)
}

/// Sets how many bytes may be kept from being swapped.
pub fn set_locked_memory(limit: Limit) -> io::Result<()> {
    set(Resource::RLIMIT_MEMLOCK, limit)
}

/// How many files are open besides the sockets of clients.
pub fn files_besides_clients(shards: usize) -> u64 {
    FILES_RESERVED + FILES_PER_SHARD * shards as u64
}

/// Raises the limit of open files, as far as it may, so that so many clients can be connected;
/// how many of them can.
pub fn allow_clients(clients: u32, shards: usize) -> u32 {
    let besides = files_besides_clients(shards);
    let wanted = besides + u64::from(clients);
    let Ok(limit) = open_files() else { return clients };
    if wanted <= limit.soft {
        return clients;
    }
    let raised = [
        Limit { soft: wanted, hard: limit.hard.max(wanted) },
        Limit { soft: wanted.min(limit.hard), ..limit },
    ];
    let raised = raised.into_iter().find(|&limit| set_open_files(limit).is_ok());
    let files = raised.unwrap_or(limit).soft;
    u32::try_from(files.saturating_sub(besides)).unwrap_or(u32::MAX).min(clients)
}

fn get(resource: Resource) -> io::Result<Limit> {
    let (soft, hard) = getrlimit(resource)?;
    Ok(Limit { soft, hard })
}

fn set(resource: Resource, limit: Limit) -> io::Result<()> {
    Ok(setrlimit(resource, limit.soft, limit.hard)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_can_be_set_to_what_it_is() {
        for (get, set) in [
            (open_files as fn() -> _, set_open_files as fn(_) -> _),
            (locked_memory, set_locked_memory),
        ] {
            let limit: Limit = get().unwrap();
            assert!(limit.soft <= limit.hard);
            let set: io::Result<()> = set(limit);
            set.unwrap();
            assert_eq!(get().unwrap(), limit);
        }
    }
}
