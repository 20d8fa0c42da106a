//! Reports of crashes: what a thread was at when a fault or a panic ended the process.
//!
//! A fault is reported by the signal's handler, on the thread that it hit. So nothing on its way
//! allocates, locks or waits, but for the walk up the stack, which the C library cannot promise;
//! an alarm ends the process should that hang. Then the process dies of the same signal.

mod out;
mod registers;

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};
use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::unistd::{alarm, gettid, pause};

use crate::reactor::crash::out::Out;

/// The signals that are reported.
const SIGNALS: [c_int; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
/// Bytes of the stack that handlers run on: what is at fault may be the thread's own stack.
const STACK_BYTES: usize = 128 << 10;
/// Seconds that a report may take.
const PATIENCE_SECONDS: u32 = 10;
/// Frames of the stack that are shown.
const FRAMES_MAX: usize = 100;
/// Arguments, and bytes of one, that are shown.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

static ENABLED: AtomicBool = AtomicBool::new(true);
static HIDES_ARGS: AtomicBool = AtomicBool::new(true);
/// The thread that reports, or 0.
static REPORTER: AtomicI32 = AtomicI32::new(0);
/// Where reports go; not set for standard output.
static FILE: OnceLock<CString> = OnceLock::new();
/// What is known of the process from its start on.
static FACTS: OnceLock<String> = OnceLock::new();
/// The last answer to INFO.
static INFO: Mutex<String> = Mutex::new(String::new());

thread_local! {
    static WORK: Work = const {
        Work { name: Cell::new(""), args: Cell::new(std::ptr::null()), count: Cell::new(0) }
    };
}

/// The command that a thread runs. Told for each command, so its end is one number: no arguments.
struct Work {
    name: Cell<&'static str>,
    args: Cell<*const &'static [u8]>,
    count: Cell<usize>,
}

/// A command runs on this thread for as long as this is there, and so are its arguments.
#[derive(Debug)]
#[must_use = "the command is over when this is dropped"]
pub struct AtWork<'a>(PhantomData<&'a [&'a [u8]]>);

/// Says which command runs on this thread from now on. Its arguments cannot go first:
///
/// ```compile_fail,E0716
/// let work = keylane::reactor::crash::at_work("get", &[&Vec::from(b"get")]);
/// drop(work);
/// ```
#[inline]
pub fn at_work<'a>(name: &'static str, args: &'a [&'a [u8]]) -> AtWork<'a> {
    WORK.with(|work| {
        work.name.set(name);
        work.args.set(args.as_ptr().cast());
        work.count.set(args.len());
    });
    AtWork(PhantomData)
}

impl Drop for AtWork<'_> {
    #[inline]
    fn drop(&mut self) {
        WORK.with(|work| work.count.set(0));
    }
}

/// Reports faults from now on. `facts` are lines that every report holds.
pub fn install(facts: String) {
    // Reports made before are without.
    let _ = FACTS.set(facts);
    // The first walk up the stack loads a library: not in a handler.
    stack_trace(&mut [std::ptr::null_mut(); 4]);
    for signal in SIGNALS {
        // SAFETY: an all-zero sigaction is valid; the handler has the type that SA_SIGINFO asks
        // for, and lives for ever.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    guard_thread();
}

/// Writes reports into `file` from now on. It is told once, at start.
pub fn use_file(file: &Path) {
    // A path with a zero byte was refused before.
    if let Ok(file) = CString::new(file.as_os_str().as_bytes()) {
        let _ = FILE.set(file);
    }
}

/// Whether crashes are reported, and whether reports are without what clients sent.
pub fn configure(enabled: bool, hides_args: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
    HIDES_ARGS.store(hides_args, Ordering::Relaxed);
}

/// Keeps an answer to INFO for a report to come. Returns the text that it replaces, for its room.
pub fn keep_info(text: String) -> String {
    std::mem::replace(&mut *INFO.lock().unwrap_or_else(PoisonError::into_inner), text)
}

/// Gives this thread a stack for the handlers of its faults, for as long as the process lives.
pub fn guard_thread() {
    // SAFETY: a fresh mapping, used for nothing else; it is never taken away.
    unsafe {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let stack = libc::mmap(std::ptr::null_mut(), STACK_BYTES, protection, flags, -1, 0);
        if stack != libc::MAP_FAILED {
            let stack = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: STACK_BYTES };
            libc::sigaltstack(&stack, std::ptr::null_mut());
        }
    }
}

/// Writes to memory that cannot be written to: DEBUG SEGFAULT.
pub fn fault() {
    // SAFETY: the mapping is ours alone. Writing to it is refused by the processor: the process
    // ends here, as it was asked to.
    unsafe {
        let (bytes, flags) = (4096, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let page = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ, flags, -1, 0);
        page.cast::<u8>().write_volatile(1);
    }
}

/// Reports a panic of this thread, which is to end the process.
pub fn report_panic(info: &PanicHookInfo<'_>) {
    if !begins_report() {
        return;
    }
    let mut out = Out::open(FILE.get());
    let trace = Backtrace::force_capture();
    // What cannot be written cannot be helped.
    let _ = write_panic(&mut out, info, &trace);
    out.flush();
}

/// Whether this thread is to write the report. No other will then.
fn begins_report() -> bool {
    if !ENABLED.load(Ordering::Relaxed) {
        return false;
    }
    REPORTER.compare_exchange(0, thread_id(), Ordering::AcqRel, Ordering::Acquire).is_ok()
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if begins_report() {
        alarm::set(PATIENCE_SECONDS);
        let mut out = Out::open(FILE.get());
        // SAFETY: the system gives both to a handler with SA_SIGINFO, valid while it runs.
        let (info, context) = unsafe { (&*info, &*context.cast::<libc::ucontext_t>()) };
        let _ = write_fault(&mut out, signal, info, context);
        out.flush();
    } else if ![0, thread_id()].contains(&REPORTER.load(Ordering::Acquire)) {
        // Another thread reports, and then ends the process.
        loop {
            pause();
        }
    }
    // SAFETY: no pointers. The signal comes again when the handler returns, and ends the process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

fn write_fault(
    out: &mut Out,
    signal: c_int,
    info: &libc::siginfo_t,
    context: &libc::ucontext_t,
) -> fmt::Result {
    write_head(out)?;
    writeln!(out, "Keylane crashed by signal: {signal}, si_code: {}", info.si_code)?;
    if info.si_code <= 0 {
        // SAFETY: a signal that a process sent has these fields.
        let (pid, user) = unsafe { (info.si_pid(), info.si_uid()) };
        writeln!(out, "Killed by PID: {pid}, UID: {user}")?;
    } else if signal == libc::SIGSEGV || signal == libc::SIGBUS {
        // SAFETY: faults of memory have an address.
        writeln!(out, "Accessing address: {:p}", unsafe { info.si_addr() })?;
    }
    if let Some(at) = registers::instruction(context) {
        writeln!(out, "Crashed running the instruction at: {at:#x}")?;
    }
    write_thread(out)?;
    // The walk begins in the handler; the offsets are what `addr2line -Cfie keylane` takes.
    write!(out, "\n------ STACK TRACE ------\n")?;
    let mut frames = [std::ptr::null_mut(); FRAMES_MAX];
    let count = stack_trace(&mut frames);
    out.flush();
    // SAFETY: the frames were just filled so far; the call writes to the descriptor and does not
    // allocate.
    unsafe { libc::backtrace_symbols_fd(frames.as_ptr(), count, out.fd()) };
    write!(out, "\n------ REGISTERS ------\n")?;
    registers::write(out, context)?;
    write_rest(out)
}

fn write_panic(out: &mut Out, info: &PanicHookInfo<'_>, trace: &Backtrace) -> fmt::Result {
    write_head(out)?;
    writeln!(out, "Keylane crashed, this is a bug: {info}")?;
    write_thread(out)?;
    write!(out, "\n------ STACK TRACE ------\n{trace}")?;
    write_rest(out)
}

fn write_head(out: &mut Out) -> fmt::Result {
    write!(out, "\n\n=== KEYLANE BUG REPORT START: Cut & paste starting from here ===\n")
}

fn write_thread(out: &mut Out) -> fmt::Result {
    let mut name = [0_u8; 16];
    // SAFETY: the system writes at most 16 bytes, the last of them zero.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    write!(out, "Thread: ")?;
    out.bytes(name);
    writeln!(out, " ({})", thread_id())
}

/// What reports of faults and of panics have in common.
fn write_rest(out: &mut Out) -> fmt::Result {
    write!(out, "\n------ CURRENT COMMAND ------\n")?;
    write_work(out, HIDES_ARGS.load(Ordering::Relaxed))?;
    write!(out, "\n------ PROCESS ------\n{}", FACTS.get().map_or("", String::as_str))?;
    let memory = crate::reactor::allocator::used_memory();
    writeln!(out, "used_memory:{memory}")?;
    write!(out, "\n------ INFO OUTPUT (as it was asked for last) ------\n")?;
    // The thread that is just replacing it may be the one that crashed: nothing waits here.
    match INFO.try_lock() {
        Ok(info) if info.is_empty() => writeln!(out, "INFO was not asked for.")?,
        Ok(info) => out.bytes(info.as_bytes()),
        Err(_) => writeln!(out, "It was just being replaced.")?,
    }
    write!(
        out,
        "\n=== KEYLANE BUG REPORT END. Please report it with all lines since START. ===\n\n"
    )
}

/// The command that runs; only the lengths of what the client sent besides its name, if that is
/// not for all eyes.
fn write_work(out: &mut Out, hides: bool) -> fmt::Result {
    let (name, args, count) =
        WORK.with(|work| (work.name.get(), work.args.get(), work.count.get()));
    if count == 0 {
        return writeln!(out, "none");
    }
    // SAFETY: what `at_work` answered borrows these arguments and was not dropped, on this thread;
    // a caller that forgets it would break this, and none has a reason to.
    let args = unsafe { std::slice::from_raw_parts(args, count) };
    writeln!(out, "{name} ({count} arguments)")?;
    for (place, arg) in args.iter().take(ARGS_MAX).enumerate() {
        if hides && place != 0 {
            writeln!(out, "argv[{place}]: {} bytes", arg.len())?;
        } else {
            let shown = &arg[..arg.len().min(ARG_BYTES_MAX)];
            writeln!(out, "argv[{place}]: \"{}\"", shown.escape_ascii())?;
        }
    }
    Ok(())
}

/// Fills `frames` with the places that the calls of this thread return to: how many.
fn stack_trace(frames: &mut [*mut c_void]) -> c_int {
    let room = c_int::try_from(frames.len()).unwrap_or(c_int::MAX);
    // SAFETY: the call fills at most as many as there is room for.
    unsafe { libc::backtrace(frames.as_mut_ptr(), room) }
}

fn thread_id() -> i32 {
    gettid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};
    use std::os::fd::AsRawFd;

    #[test]
    fn a_report_shows_what_it_may_of_the_command() {
        let check = |hides, expected: &str| {
            let args: [&[u8]; 3] = [b"set", b"k\n", b"secret"];
            let work = at_work("set", &args);
            let mut file = tempfile();
            let mut out = Out::to(file.as_raw_fd());
            write_work(&mut out, hides).unwrap();
            out.flush();
            drop(work);
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
            assert_eq!(WORK.with(|work| work.count.get()), 0);
        };
        let head = "set (3 arguments)\nargv[0]: \"set\"\n";
        check(true, &format!("{head}argv[1]: 2 bytes\nargv[2]: 6 bytes\n"));
        check(false, &format!("{head}argv[1]: \"k\\n\"\nargv[2]: \"secret\"\n"));
    }

    fn tempfile() -> std::fs::File {
        let path = std::env::temp_dir().join(format!("keylane-crash-{}", thread_id()));
        let mut options = std::fs::File::options();
        let file = options.create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }
}
