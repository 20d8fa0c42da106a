//! Moments of the machine of this room. Nothing here reads a clock.

use shards::base::time::UnixMs;

/// A moment: milliseconds on a clock that never goes back, and that goes on while the machine is
/// suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// So many milliseconds later.
    pub const fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// So many milliseconds earlier, but not before the clock began.
    pub const fn before(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// Milliseconds since `earlier`; 0 if that is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What time it is. The calendar stands in frames, files and replies, and decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// By the clock that never goes back.
    pub at: Moment,
    /// By the calendar.
    pub unix: UnixMs,
}

impl Now {
    /// What the calendar said at `moment`.
    pub const fn unix_at(self, moment: Moment) -> UnixMs {
        UnixMs(self.unix.0.saturating_add(moment.0).saturating_sub(self.at.0))
    }

    /// The moment of which the calendar said `unix`; the clock's first one if that is earlier.
    pub const fn moment_of(self, unix: UnixMs) -> Moment {
        Moment(self.at.0.saturating_add(unix.0).saturating_sub(self.unix.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_a_place_in_the_calendar() {
        let now = Now { at: Moment(5000), unix: UnixMs(1_000_000) };
        assert_eq!(now.unix_at(Moment(4000)), UnixMs(999_000));
        assert_eq!(now.moment_of(UnixMs(999_000)), Moment(4000));
        assert_eq!(now.moment_of(UnixMs(1)), Moment(0));
    }
}
