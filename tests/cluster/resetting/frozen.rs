//! A file system in which writes to some files never end, until it is gone: a process that writes
//! there sleeps in the kernel, and no signal wakes it. The kernel asks this program by `/dev/fuse`;
//! see `linux/fuse.h`.
//!
//! ```text
//! request: length u32, operation u32, number u64, node u64, 16 bytes, then what it is about
//! reply:   length u32, error i32, number u64, then the answer
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use nix::fcntl::OFlag;

/// Bytes of the longest write, and of what a request has besides at most.
const WRITE_BYTES_MAX: u32 = 1 << 16;
const REQUEST_BYTES_MAX: usize = (1 << 16) + (1 << 13);
const REQUEST_HEAD: usize = 40;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const UNLINK: u32 = 10;
const OPEN: u32 = 14;
const WRITE: u32 = 16;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const RELEASEDIR: u32 = 29;
const FSYNCDIR: u32 = 30;
const CREATE: u32 = 35;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// The node of the folder itself.
const ROOT: u64 = 1;

/// What cannot be found, and what cannot be done.
const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;

/// The file system, in a folder; gone when this is dropped.
pub struct Frozen {
    folder: PathBuf,
    thaws: Arc<AtomicBool>,
    asleep: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Frozen {
    /// Makes the folder, in which writes to files never end whose name has this in it. `Err` says
    /// why that cannot be had here: it takes a system's administrator.
    pub fn mount(folder: &Path, freezes: &'static str) -> Result<Self, String> {
        let said = |error: std::io::Error| error.to_string();
        fs::create_dir(folder).map_err(said)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let device = options.open("/dev/fuse").map_err(|error| format!("/dev/fuse: {error}"))?;
        // The program that mounts has it as its first descriptor.
        let stdin = Stdio::from(device.try_clone().map_err(said)?);
        let mut mount = Command::new("mount");
        mount.args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0"]);
        let done = mount.arg("frozen").arg(folder).stdin(stdin).output().map_err(said)?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned());
        }
        let (thaws, asleep) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let serving = Serving {
            device,
            freezes,
            frozen: BTreeSet::new(),
            next: ROOT + 1,
            thaws: thaws.clone(),
            asleep: asleep.clone(),
        };
        let thread = Builder::new().spawn(|| serving.run()).map_err(said)?;
        Ok(Self { folder: folder.to_owned(), thaws, asleep, thread: Some(thread) })
    }

    /// How many writes do not end.
    pub fn asleep(&self) -> usize {
        self.asleep.load(Ordering::Relaxed)
    }

    /// Ends the file system: those that sleep wake, and their writes fail.
    pub fn thaw(&mut self) {
        self.thaws.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.thaw();
    }
}

/// What answers the kernel.
struct Serving {
    device: File,
    freezes: &'static str,
    /// The files that are not written.
    frozen: BTreeSet<u64>,
    /// The node that is made next.
    next: u64,
    thaws: Arc<AtomicBool>,
    asleep: Arc<AtomicUsize>,
}

impl Serving {
    fn run(mut self) {
        const PAUSE: Duration = Duration::from_millis(1);
        let mut bytes = vec![0; REQUEST_BYTES_MAX];
        while !self.thaws.load(Ordering::Relaxed) {
            match self.device.read(&mut bytes) {
                Ok(length) => self.hear(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
                // The request was taken back, or the folder is gone.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => return,
            }
        }
    }

    fn hear(&mut self, request: &[u8]) {
        let u32_at = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four"));
        let u64_at = |at: usize| u64::from_ne_bytes(request[at..at + 8].try_into().expect("eight"));
        let (operation, number, node) = (u32_at(4), u64_at(8), u64_at(16));
        let about = &request[REQUEST_HEAD..];
        let answer = match operation {
            FORGET | BATCH_FORGET | INTERRUPT => return,
            WRITE if self.frozen.contains(&node) => {
                self.asleep.fetch_add(1, Ordering::Relaxed);
                return;
            }
            // Behind the file's handle and the offset stands how much it is.
            WRITE => {
                Ok([u32_at(REQUEST_HEAD + 16), 0].into_iter().flat_map(u32::to_ne_bytes).collect())
            }
            INIT => Ok(greeting()),
            GETATTR => Ok([&[0; 16][..], &attributes(node)].concat()),
            LOOKUP => Err(ENOENT),
            CREATE => Ok(self.create(about)),
            OPEN | OPENDIR => Ok(vec![0; 16]),
            RELEASE | RELEASEDIR | FLUSH | FSYNC | FSYNCDIR | UNLINK => Ok(Vec::new()),
            _ => Err(ENOSYS),
        };
        let (error, answer) = match answer {
            Ok(answer) => (0, answer),
            Err(error) => (-error, Vec::new()),
        };
        let length = u32::try_from(16 + answer.len()).expect("it is short");
        let head = [&length.to_ne_bytes()[..], &i32::to_ne_bytes(error), &number.to_ne_bytes()];
        // The request may have been taken back.
        let _ = self.device.write(&[&head.concat()[..], &answer].concat());
    }

    /// Makes a file, whose name stands behind four numbers.
    fn create(&mut self, about: &[u8]) -> Vec<u8> {
        let name = String::from_utf8_lossy(&about[16..]).into_owned();
        let node = self.next;
        self.next += 1;
        if name.contains(self.freezes) {
            self.frozen.insert(node);
        }
        // Its node, nothing that may be remembered, what it is; then a handle.
        [&node.to_ne_bytes()[..], &[0; 32], &attributes(node), &[0; 16]].concat()
    }
}

/// Version 7.31, and the longest write.
fn greeting() -> Vec<u8> {
    let numbers = [7, 31, 0, 0, 0, WRITE_BYTES_MAX, 1];
    let head: Vec<u8> = numbers.into_iter().flat_map(u32::to_ne_bytes).collect();
    [&head[..], &[0; 36]].concat()
}

/// What a node is: the folder, or an empty file.
fn attributes(node: u64) -> Vec<u8> {
    const FOLDER: u32 = 0o40755;
    const FILE: u32 = 0o100644;
    let mode = if node == ROOT { FOLDER } else { FILE };
    // Number, size, blocks, three times; then parts of these, what it is, names, owners and more.
    let times = [node, 0, 0, 0, 0, 0].into_iter().flat_map(u64::to_ne_bytes);
    let rest = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].into_iter().flat_map(u32::to_ne_bytes);
    times.chain(rest).collect()
}
