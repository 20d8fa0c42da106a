//! A server process under test, and what it says.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
pub use crate::ports::free_port;

/// How long a process may take for anything before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for what a test looks for again and again: loading a large file, or the end.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// A folder of a test's own; it goes when this is dropped.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("process-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files takes one more");
        Self(path)
    }

    /// The path of a file in it, as an option takes it.
    pub fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().expect("our paths are plain").to_owned()
    }

    /// Writes a file; its path.
    pub fn write(&self, file: &str, text: &str) -> String {
        fs::write(self.0.join(file), text).expect("the folder is ours");
        self.path(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is below the target folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that was started here; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    process: Child,
    lines: Receiver<String>,
    /// What it has logged so far.
    pub log: Vec<String>,
}

/// What is left of a process that ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub log: Vec<String>,
    /// What it wrote to the error output.
    pub errors: String,
}

/// The program under test, ready to be given options: the one that `KEYLANE` names, or else the
/// one that was built with these tests.
pub fn keylane() -> Command {
    let named = env::var_os("KEYLANE");
    Command::new(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_keylane").into()))
}

impl Running {
    /// Starts `command`, which reads `input`.
    pub fn start_with_input(command: &mut Command, input: &str) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let mut stdin = process.stdin.take().expect("it is a pipe");
        // It may end before it reads.
        let _ = stdin.write_all(input.as_bytes());
        let stdout = process.stdout.take().expect("it is a pipe");
        let (sender, lines) = channel();
        let reader = move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().spawn(reader).expect("a thread to read its output");
        Self { process, lines, log: Vec::new() }
    }

    /// Starts `command`.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with_input(command, "")
    }

    /// Starts Keylane on `port` with more options, and waits until it is ready. It saves nothing
    /// unless they say so.
    pub fn ready(port: u16, options: &[&str]) -> Self {
        let usual = ["--port", &port.to_string(), "--save", ""];
        let mut running = Self::start(keylane().args(usual).args(options));
        running.wait_for("Ready to accept connections");
        running
    }

    /// Reads the log until a line holds `text`.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let found = line.contains(text);
                    self.log.push(line);
                    if found {
                        return;
                    }
                }
                Err(error) => panic!("no line with {text:?}: {error}\n{}", self.log.join("\n")),
            }
        }
    }

    /// Waits until the process has ended by itself.
    pub fn end(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it does not end:\n{}", self.log.join("\n"))
                }
            }
        }
        let status = self.process.wait().expect("it is our child");
        let mut errors = String::new();
        let mut stderr = self.process.stderr.take().expect("it is a pipe");
        stderr.read_to_string(&mut errors).expect("it writes text");
        Ended { status, log: std::mem::take(&mut self.log), errors }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs").count()
    }

    /// How much of its memory is in use.
    pub fn rss_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        number.expect("every process has this line") << 10
    }

    /// Waits until something holds of it; false if it does not within a test's patience.
    pub fn comes_to(&self, mut holds: impl FnMut(&Self) -> bool) -> bool {
        const PAUSE: Duration = Duration::from_millis(10);
        let tries = PATIENCE.as_millis() / PAUSE.as_millis();
        for _ in 0..tries {
            if holds(self) {
                return true;
            }
            thread::park_timeout(PAUSE);
        }
        holds(self)
    }

    /// Looks until there is something to see; what that is. The test fails if the process has
    /// ended before, or takes too long.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        #[expect(clippy::disallowed_methods, reason = "a test that waits has no other clock")]
        let began = Instant::now();
        loop {
            // A look that follows the end may be what the test is waiting for.
            let ended = self.process.try_wait().expect("it is our child");
            if let Some(seen) = look() {
                return seen;
            }
            let took = began.elapsed();
            if ended.is_some() || LONG_PATIENCE < took {
                self.log.extend(self.lines.try_iter());
                let log = self.log.join("\n");
                panic!("{what}: not so in {took:?}, the process ended: {ended:?}\n{log}");
            }
        }
    }

    /// Sends it a signal: `TERM`, `STOP` ...
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "{kill}");
    }

    /// A connection to it.
    pub fn client(&self, port: u16) -> Client {
        Client::connect(&format!("127.0.0.1:{port}")).expect("it listens")
    }
}

/// Children of a process that were not waited for included.
pub fn children(pid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(list.split_whitespace().map(str::to_owned));
    }
    found
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Ended {
    /// It ended with this status, and its log, then its error output, hold these texts in order.
    #[track_caller]
    pub fn check(&self, status: i32, texts: &[&str]) {
        let all = self.log.join("\n") + "\n" + &self.errors;
        assert_eq!(self.status.code(), Some(status), "{all}");
        check_order(&all, texts);
    }
}

/// `text` holds `parts` in their order.
#[track_caller]
pub fn check_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let found = rest.split_once(part);
        rest = found.unwrap_or_else(|| panic!("no {part:?} in its place:\n{text}")).1;
    }
}
