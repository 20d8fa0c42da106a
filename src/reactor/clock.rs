//! The one place that reads a clock.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use shards::base::time::UnixMs;

/// The wall clock, in milliseconds.
pub fn wall() -> UnixMs {
    UnixMs(wall_micros() / 1000)
}

/// The wall clock, in microseconds.
pub fn wall_micros() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The wall clock as people of this place read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 0 to 59.
    pub minute: i32,
    /// 0 to 60.
    pub second: i32,
    /// 0 to 999.
    pub millis: u64,
    /// Minutes that this place is ahead of UTC.
    pub offset_minutes: i64,
}

impl LocalTime {
    /// What the clock on the wall shows at `time`.
    pub fn of(time: UnixMs) -> Self {
        let seconds = libc::time_t::try_from(time.0 / 1000).unwrap_or(libc::time_t::MAX);
        let mut parts = MaybeUninit::<libc::tm>::zeroed();
        // SAFETY: both point to local variables. All zeroes are a valid `tm`, numbers and a null
        // name of the time zone: they stay if the year is beyond 2^31.
        let parts = unsafe {
            libc::localtime_r(&raw const seconds, parts.as_mut_ptr());
            parts.assume_init()
        };
        Self {
            year: parts.tm_year.saturating_add(1900),
            month: parts.tm_mon + 1,
            day: parts.tm_mday,
            hour: parts.tm_hour,
            minute: parts.tm_min,
            second: parts.tm_sec,
            millis: time.0 % 1000,
            offset_minutes: parts.tm_gmtoff / 60,
        }
    }
}

/// A point on the monotonic clock: for intervals and deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Instant);

/// Lets time pass. Only a process that is to be slow, for a test of snapshots, calls this: threads
/// that serve never sleep.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub fn pause(micros: u64) {
    std::thread::sleep(Duration::from_micros(micros));
}

impl Monotonic {
    /// Now.
    #[inline]
    pub fn now() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let now = Instant::now();
        Self(now)
    }

    /// Microseconds since `earlier`; 0 if that lies ahead.
    #[inline]
    pub fn micros_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_duration_since(earlier.0).as_micros()).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since `earlier`; 0 if that lies ahead.
    #[inline]
    pub fn nanos_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_duration_since(earlier.0).as_nanos()).unwrap_or(u64::MAX)
    }

    /// So many milliseconds later; `None` if that is beyond all clocks.
    pub fn after_millis(self, millis: u64) -> Option<Self> {
        self.0.checked_add(Duration::from_millis(millis)).map(Self)
    }

    /// How long until `later`; nothing if that is past.
    #[inline]
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_duration_since(self.0)
    }

    /// Milliseconds since `earlier`; 0 if that lies ahead.
    #[inline]
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.micros_since(earlier) / 1000
    }
}

/// Milliseconds since the system was started, those in which it was suspended too.
pub fn since_boot_millis() -> u64 {
    nanos_of(ClockId::CLOCK_BOOTTIME) / 1_000_000
}

/// Nanoseconds of processor time that this thread has had; 0 if the system does not say.
pub fn thread_cpu_nanos() -> u64 {
    nanos_of(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn nanos_of(clock: ClockId) -> u64 {
    let Ok(time) = clock_gettime(clock) else { return 0 };
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(time.tv_sec()).saturating_mul(1_000_000_000).saturating_add(part(time.tv_nsec()))
}

/// The processor's time-stamp counter: a few nanoseconds to read, so each command can be timed.
/// Where there is none, nanoseconds of the monotonic clock stand in.
#[inline]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        nanos_of(ClockId::CLOCK_MONOTONIC)
    }
}

/// How cycles relate to time.
#[derive(Clone, Copy, Debug)]
pub struct CycleRate {
    per_micro: f64,
}

impl CycleRate {
    /// Measures for about a millisecond.
    pub fn measure() -> Self {
        let (start, start_cycles) = (Monotonic::now(), cycles());
        loop {
            let micros = Monotonic::now().micros_since(start);
            if 1000 <= micros {
                let passed = cycles().wrapping_sub(start_cycles);
                return Self { per_micro: passed as f64 / micros as f64 };
            }
        }
    }

    /// Cycles as microseconds, rounded down.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
    pub fn micros(self, cycles: u64) -> u64 {
        (cycles as f64 / self.per_micro) as u64
    }

    /// Cycles as nanoseconds, rounded down.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
    pub fn nanos(self, cycles: u64) -> u64 {
        (cycles as f64 * 1000.0 / self.per_micro) as u64
    }

    /// Microseconds as cycles.
    #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
    pub fn cycles(self, micros: u64) -> u64 {
        (micros as f64 * self.per_micro) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_its_processor_time() {
        let before = thread_cpu_nanos();
        while thread_cpu_nanos() < before + 1000 {}
        assert!(0 < before);
    }

    #[test]
    fn local_time_is_utc_and_its_offset() {
        // 21 November 2026, 08:10:15.009 UTC.
        let local = LocalTime::of(UnixMs(1_795_248_615_009));
        assert_eq!((local.year, local.month, local.second, local.millis), (2026, 11, 15, 9));
        let minutes = i64::from((local.day * 24 + local.hour) * 60 + local.minute);
        assert_eq!(minutes - local.offset_minutes, (21 * 24 + 8) * 60 + 10);
        assert_eq!(LocalTime::of(UnixMs(u64::MAX)).millis, u64::MAX % 1000);
    }
}
