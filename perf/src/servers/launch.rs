//! Processes of servers: how one is started on its CPUs, what it said last, and how its end is
//! waited for.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a process that should end is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Starts a command on `cpus`. What it writes is added to the file `log` of its folder, which is
/// made if it is not there.
///
/// # Errors
///
/// A sentence on the folder, or on what could not be run.
pub fn spawn(cpus: &str, command: &[String], dir: &Path) -> Result<Child, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(problem)?;
    let log = OpenOptions::new().create(true).append(true).open(dir.join("log"));
    let log = log.map_err(problem)?;
    let errors = log.try_clone().map_err(problem)?;
    // `taskset` becomes the server, so the child's pid is the server's.
    let mut server = Command::new("taskset");
    server.args(["-c", cpus]).args(command).stdin(Stdio::null()).stdout(log).stderr(errors);
    server.spawn().map_err(|error| format!("cannot run taskset: {error}"))
}

/// The last lines that the server of this folder wrote.
pub fn last_words(dir: &Path, count: usize) -> String {
    let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Waits until a process that was asked to end has ended; kills it if it takes longer.
pub fn wait_or_kill(child: &mut Child, patience: Duration) {
    let began = Instant::now();
    while began.elapsed() < patience && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(POLL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_to_what_a_server_said_before() {
        let dir = std::env::temp_dir().join(format!("perf-launch-{}", std::process::id()));
        for word in ["one", "two", "three"] {
            let command = ["sh", "-c", &format!("echo {word}")].map(str::to_owned);
            wait_or_kill(&mut spawn("0", &command, &dir).unwrap(), Duration::from_secs(60));
        }
        assert_eq!(last_words(&dir, 2), "two\nthree");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn kills_what_does_not_end() {
        let dir = std::env::temp_dir().join(format!("perf-launch-kill-{}", std::process::id()));
        let mut child = spawn("0", &["sleep", "600"].map(str::to_owned), &dir).unwrap();
        wait_or_kill(&mut child, Duration::ZERO);
        assert!(child.try_wait().unwrap().is_some_and(|status| !status.success()));
        fs::remove_dir_all(&dir).unwrap();
    }
}
