//! Memory that the system would still give this process: what the machine has available, and what
//! the limits of its control groups leave.
//!
//! Files in the page cache count as used by a group, but those that are not in use are given up
//! before anything else, so they are available.

use std::fs;

/// What the machine has.
pub(super) const MEMINFO: &str = "/proc/meminfo";

/// Bytes that the system would still give; `None` if it does not say.
pub fn bytes() -> Option<u64> {
    bytes_by(&|path| fs::read_to_string(path).ok())
}

/// The same, by what these files say.
fn bytes_by(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let machine = read(MEMINFO).and_then(|text| of_machine(&text, "MemAvailable:"));
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let groups = groups.lines().flat_map(|line| left_by(line, read));
    machine.into_iter().chain(groups).min()
}

/// Bytes of a line of `/proc/meminfo` that begins so.
pub(super) fn of_machine(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What the limits of a group and of those above it leave, of a line of `/proc/self/cgroup`.
fn left_by(line: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<u64> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let (root, names) = if controllers.is_empty() {
        ("/sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"])
    } else if controllers.split(',').any(|controller| controller == "memory") {
        let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
        ("/sys/fs/cgroup/memory", names)
    } else {
        return Vec::new();
    };
    let [limit, usage, unused] = names;
    let group = group.trim_end_matches('/');
    // In a container the group's path may be one that is not seen from inside; its root is.
    let above = group.rmatch_indices('/').map(|(at, _)| &group[..at]);
    let left = |group: &str| {
        let number =
            |name: &str| read(&format!("{root}{group}/{name}"))?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(limit)?, number(usage)?);
        let stat = read(&format!("{root}{group}/memory.stat")).unwrap_or_default();
        let mut fields = stat.lines().filter_map(|line| line.split_once(' '));
        let cached = fields.find(|(name, _)| *name == unused);
        let cached = cached.and_then(|(_, bytes)| bytes.parse::<u64>().ok()).unwrap_or(0);
        Some(limit.saturating_sub(usage.saturating_sub(cached)))
    };
    [group].into_iter().chain(above).filter_map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: (&str, &str) =
        (MEMINFO, "MemTotal:  9 kB\nMemAvailable:       4 kB\nBuffers: 1 kB\n");

    fn by(files: &[(&str, &str)]) -> Option<u64> {
        bytes_by(&|path| {
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_least_of_all_limits_counts() {
        assert_eq!(by(&[]), None);
        assert_eq!(by(&[MACHINE]), Some(4096));
        let v2 = ("/proc/self/cgroup", "0::/a/b\n");
        let max = ("/sys/fs/cgroup/a/memory.max", "3000\n");
        let current = ("/sys/fs/cgroup/a/memory.current", "2000\n");
        assert_eq!(by(&[MACHINE, v2, max, current]), Some(1000), "of the group above");
        let stat = ("/sys/fs/cgroup/a/memory.stat", "anon 9\ninactive_file 500\n");
        assert_eq!(by(&[MACHINE, v2, max, current, stat]), Some(1500));
        let over = ("/sys/fs/cgroup/a/memory.current", "4000\n");
        assert_eq!(by(&[MACHINE, v2, max, over]), Some(0));
        let none = ("/sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(by(&[MACHINE, v2, none]), Some(4096));
        let v1 = ("/proc/self/cgroup", "5:cpu:/x\n4:memory:/hidden\n0::/\n");
        let max = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n");
        let current = ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "2500\n");
        assert_eq!(by(&[MACHINE, v1, max, current]), Some(500), "of the root of a container");
    }

    #[test]
    fn this_system_says_something() {
        assert!(bytes().is_some_and(|bytes| 0 < bytes));
    }
}
