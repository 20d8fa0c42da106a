//! The queues that the ring shares with the kernel: what a request is named, and how the kernel is
//! entered.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};

use super::DataRing;

/// Completions for each request that the ring can hold: multishot requests give many for one.
const CQ_PER_SQ: u32 = 8;

/// What a request was for: the top byte of its user data.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Accept = 1,
    Receive = 2,
    Send = 3,
    Wake = 4,
    Cancel = 5,
    Watch = 6,
    Alarm = 7,
}

/// A ring as this module wants it. Kernels before 6.6 do not know how to leave out the array
/// between ring and requests; it costs a little and nothing else.
pub(super) fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(entries * CQ_PER_SQ)
        .dontfork();
    let with_array = builder.clone();
    match builder.setup_no_sqarray().build(entries) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => with_array.build(entries),
        built => built,
    }
}

/// The queues, and the number by which this thread enters the kernel for them. They stay on the
/// thread that made them.
pub(super) struct Queues {
    pub(super) ring: IoUring,
    /// An index into what the thread has registered, instead of a descriptor.
    number: u32,
    /// No other thread may enter by this number.
    _thread: PhantomData<*const ()>,
}

impl Queues {
    /// Queues with room for so many requests.
    pub(super) fn new(entries: u32) -> io::Result<Self> {
        let ring = build(entries)?;
        let number = register(ring.as_raw_fd())?;
        Ok(Self { ring, number, _thread: PhantomData })
    }

    /// io_uring_enter, always with GETEVENTS: without it a DEFER_TASKRUN ring completes nothing.
    pub(super) fn enter(&self, to_submit: usize, wait: Option<Duration>) -> io::Result<()> {
        const GETEVENTS: u32 = 1;
        const EXT_ARG: u32 = 1 << 3;
        const REGISTERED_RING: u32 = 1 << 4;
        #[repr(C)]
        struct Argument {
            sigmask: u64,
            sigmask_bytes: u32,
            min_wait_usec: u32,
            timeout: u64,
        }
        let timeout =
            wait.map(|wait| types::Timespec::new().sec(wait.as_secs()).nsec(wait.subsec_nanos()));
        let timeout_at = timeout.as_ref().map_or(0, |timeout| std::ptr::from_ref(timeout) as u64);
        let argument =
            Argument { sigmask: 0, sigmask_bytes: 8, min_wait_usec: 0, timeout: timeout_at };
        let to_submit = libc::c_uint::try_from(to_submit).expect("the queue is small");
        // SAFETY: the number is that of our ring, on the thread that registered it; `argument` and
        // the timeout it points to live until the call returns; entries obey the promise in `push`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.number,
                to_submit,
                libc::c_uint::from(wait.is_some()),
                GETEVENTS | EXT_ARG | REGISTERED_RING,
                &raw const argument,
                size_of::<Argument>(),
            )
        };
        if 0 <= result {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Time is over; a signal (also SIGCONT after SIGSTOP); completions must be collected
            // first; memory is short for a moment: all are answered by the next turn.
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        }
    }
}

impl Drop for Queues {
    /// What a thread has registered it keeps open, until it ends.
    fn drop(&mut self) {
        let mut update = Update { offset: self.number, reserved: 0, data: 0 };
        // A ring that is not registered is not kept either.
        let _ = update_registered(self.ring.as_raw_fd(), UNREGISTER_RING_FDS, &mut update);
    }
}

impl DataRing {
    /// Asks to hear when another thread rings.
    pub(super) fn arm_wake(&mut self) {
        if self.ending {
            return;
        }
        let target = (&raw mut *self.wake_count).cast();
        let entry = opcode::Read::new(types::Fd(self.wake.as_raw_fd()), target, 8).build();
        self.push(entry.user_data(user_data(Op::Wake, 0, 0)));
        self.waking = true;
    }

    /// Has [`Completion::Woken`] come in so long, or earlier if that was asked for before. A turn
    /// that waits no longer than this sets a timer of the processor each time: this sets one.
    ///
    /// [`Completion::Woken`]: super::Completion::Woken
    pub fn wake_in(&mut self, delay: Duration) {
        if self.is_alarmed || self.ending {
            return;
        }
        *self.alarm_delay = types::Timespec::new().sec(delay.as_secs()).nsec(delay.subsec_nanos());
        let entry = opcode::Timeout::new(&raw const *self.alarm_delay).build();
        self.push(entry.user_data(user_data(Op::Alarm, 0, 0)));
        self.is_alarmed = true;
    }

    pub(super) fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: every pointer in an entry is to memory the ring owns until the request has
        // completed: `Socket::sending` (whose heap block does not move), `wake_count`, `buffers`;
        // or to `alarm_delay`, which is read when the request is submitted.
        while unsafe { self.queues.ring.submission().push(&entry) }.is_err() {
            let queued = self.queues.ring.submission().len();
            self.queues.enter(queued, None).expect("a full queue can be submitted");
        }
    }
}

/// Operation in 8 bits, generation in 24, index in 32.
pub(super) const fn user_data(op: Op, generation: u32, index: u32) -> u64 {
    (op as u64) << 56 | (generation as u64 & 0xFF_FFFF) << 32 | index as u64
}

#[expect(clippy::cast_possible_truncation, reason = "takes a word apart")]
pub(super) const fn split_user_data(data: u64) -> (u8, u32, u32) {
    ((data >> 56) as u8, (data >> 32) as u32 & 0xFF_FFFF, data as u32)
}

const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;

/// io_uring_rsrc_update: one entry of the list of what a thread has registered.
#[repr(C)]
struct Update {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// Registers the ring's own descriptor with the calling thread, which spares the kernel a look-up
/// with a shared counter at each enter. Returns the index to use instead.
fn register(ring_fd: RawFd) -> io::Result<u32> {
    let ring_fd_bits = u64::try_from(ring_fd).expect("a descriptor is not negative");
    let mut update = Update { offset: u32::MAX, reserved: 0, data: ring_fd_bits };
    update_registered(ring_fd, REGISTER_RING_FDS, &mut update)?;
    Ok(update.offset)
}

fn update_registered(ring_fd: RawFd, how: libc::c_uint, update: &mut Update) -> io::Result<()> {
    let one: libc::c_uint = 1;
    // SAFETY: `update` is one valid io_uring_rsrc_update, read and written during the call.
    let result = unsafe {
        libc::syscall(libc::SYS_io_uring_register, ring_fd, how, std::ptr::from_mut(update), one)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
