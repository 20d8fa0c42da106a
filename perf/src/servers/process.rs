//! What the kernel knows of a process: its CPU time, its memory; and where it may run.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// CPU time of all its threads, user and system, in the kernel's ticks of 10 ms.
pub fn cpu_time(pid: u32) -> Result<Duration, String> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses and may hold anything.
    let fields: Vec<&str> = match stat.rsplit_once(") ") {
        Some((_, rest)) => rest.split(' ').collect(),
        None => Vec::new(),
    };
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 10)),
        _ => Err(format!("/proc/{pid}/stat is not as expected: {stat}")),
    }
}

/// CPU time of the threads that live now, in nanoseconds: for what is too little for ticks.
pub fn cpu_time_of_threads(pid: u32) -> Result<Duration, String> {
    let mut total = 0;
    for tid in threads(pid)? {
        let schedstat = read(&format!("/proc/{pid}/task/{tid}/schedstat"))?;
        let nanoseconds = schedstat.split(' ').next().and_then(|text| text.parse::<u64>().ok());
        total += nanoseconds.ok_or(format!("schedstat is not as expected: {schedstat}"))?;
    }
    Ok(Duration::from_nanos(total))
}

/// The ids of its threads.
pub fn threads(pid: u32) -> Result<Vec<u32>, String> {
    let path = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Bytes of memory it holds.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    status_bytes(pid, "VmRSS:")
}

/// Most bytes of memory that it held since that was forgotten.
pub fn peak_bytes(pid: u32) -> Result<u64, String> {
    status_bytes(pid, "VmHWM:")
}

/// Makes the memory that it holds now the most that it held.
pub fn forget_peak(pid: u32) -> Result<(), String> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").map_err(|error| format!("{path}: {error}"))
}

fn status_bytes(pid: u32, name: &str) -> Result<u64, String> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.ok_or(format!("/proc/{pid}/status has no {name}"))? << 10)
}

/// Bytes of memory of all processes that no file is behind: a copy of a process counts when one of
/// the two writes.
pub fn anonymous_bytes() -> Result<u64, String> {
    let meminfo = read("/proc/meminfo")?;
    let kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("AnonPages:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.ok_or("/proc/meminfo has no AnonPages")? << 10)
}

/// Keeps this process, and what it starts from now on, on `cpus`.
pub fn pin_self(cpus: &str) -> Result<(), String> {
    let pid = std::process::id().to_string();
    output(Command::new("taskset").args(["-a", "-c", "-p", cpus, &pid])).map(drop)
}

/// How many processors there are, wherever this process may run.
pub fn processors() -> Result<usize, String> {
    let text = read("/proc/cpuinfo")?;
    Ok(text.lines().filter(|line| line.starts_with("processor")).count())
}

/// Runs a command to its end; its standard output, or a sentence with what it said.
pub fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} ended with {}: {}", output.status, complaint.trim()))
}

/// A small file's text.
pub fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_this_process() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_ok());
        assert!(cpu_time_of_threads(pid).unwrap() > Duration::ZERO);
        forget_peak(pid).unwrap();
        assert!(0 < resident_bytes(pid).unwrap() && 0 < peak_bytes(pid).unwrap());
        assert!(anonymous_bytes().unwrap() > 0);
        assert!(!threads(pid).unwrap().is_empty());
    }

    #[test]
    fn says_what_a_failed_command_said() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]));
        assert_eq!(error.unwrap_err(), "sh ended with exit status: 3: broken");
    }
}
