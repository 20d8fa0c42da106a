//! Text to a descriptor, without the allocator: for a process whose memory may be torn.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::IntoRawFd;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1024;

/// Somewhere to write to.
pub(super) struct Out {
    fd: libc::c_int,
    buffer: [u8; BUFFER_BYTES],
    len: usize,
}

impl Out {
    /// To the end of `file`; to standard output if there is none or it cannot be opened.
    pub fn open(file: Option<&CString>) -> Self {
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let opened = file.and_then(|file: &CString| open::<CStr>(file, flags, mode).ok());
        // It stays open: the process ends.
        Self::to(opened.map_or(libc::STDOUT_FILENO, IntoRawFd::into_raw_fd))
    }

    /// To a descriptor.
    pub fn to(fd: libc::c_int) -> Self {
        Self { fd, buffer: [0; BUFFER_BYTES], len: 0 }
    }

    /// The descriptor.
    pub fn fd(&self) -> libc::c_int {
        self.fd
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(BUFFER_BYTES) {
            if BUFFER_BYTES < self.len + chunk.len() {
                self.flush();
            }
            self.buffer[self.len..self.len + chunk.len()].copy_from_slice(chunk);
            self.len += chunk.len();
        }
    }

    /// Lets nothing wait in the buffer. What cannot be written is lost.
    pub fn flush(&mut self) {
        let mut rest = &self.buffer[..self.len];
        while !rest.is_empty() {
            // SAFETY: the pointer and length are of a slice.
            let written = unsafe { libc::write(self.fd, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(written @ 1..) => rest = &rest[written..],
                Ok(0) | Err(_) => break,
            }
        }
        self.len = 0;
    }
}

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
