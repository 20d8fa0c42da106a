//! Expiry as arguments say it: EX, PX, EXAT, PXAT, KEEPTTL, PERSIST.

#[cfg(test)]
mod modes;

use crate::base::number::parse_i64;
use crate::base::time::UnixMs;
use crate::effects::Class;
use crate::keyspace::garbage::Removal;
use crate::keyspace::selected::{Expiry, Key, Selected};
use crate::resp::error::Error;

/// How a number says when a key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Unix time in seconds.
    ExAt,
    /// Unix time in milliseconds.
    PxAt,
}

impl TimeForm {
    /// The form this option's name stands for.
    pub fn from_token(token: &[u8]) -> Option<Self> {
        let forms = [
            (b"EX".as_slice(), Self::Ex),
            (b"PX", Self::Px),
            (b"EXAT", Self::ExAt),
            (b"PXAT", Self::PxAt),
        ];
        forms.into_iter().find(|(name, _)| token.eq_ignore_ascii_case(name)).map(|(_, form)| form)
    }

    /// The Unix time in milliseconds that `number` says, be it past or before 1970; `None` if it
    /// takes more than 64 bits.
    pub fn unix_ms(self, number: i64, now: UnixMs) -> Option<i64> {
        let now = i64::try_from(now.0).expect("the clock is far from the end of 63 bits");
        match self {
            Self::Ex => number.checked_mul(1000)?.checked_add(now),
            Self::Px => number.checked_add(now),
            Self::ExAt => number.checked_mul(1000),
            Self::PxAt => Some(number),
        }
    }

    /// When a key expires that `command` was given this for; it must lie after 1970 or, if counted
    /// from now, after now. A time that is past already is fine.
    pub fn deadline(
        self,
        text: &[u8],
        now: UnixMs,
        command: &'static str,
    ) -> Result<UnixMs, Error> {
        let number = parse_i64(text).ok_or(Error::NotInteger)?;
        if number <= 0 {
            return Err(Error::InvalidExpire(command));
        }
        let at = self.unix_ms(number, now).ok_or(Error::InvalidExpire(command))?;
        Ok(UnixMs(at.cast_unsigned()))
    }
}

/// Removes `key`, which is there, because the running command gave it a time that is past. What is
/// logged is the removal, so that a replica need not judge the time by a clock of its own.
#[cold]
pub fn remove_expired(db: &mut Selected<'_>, key: Key<'_>) {
    db.discard(key, Removal::Expired);
    db.keyspace.stats.expired += 1;
    db.changed(key, Class::Expired, "expired");
    db.effects.log_instead(&[b"UNLINK", key.bytes]);
}

/// Under which condition the time is set.
#[derive(Debug, Default)]
pub struct Condition {
    /// NX: only a key or field without expiry.
    new: bool,
    /// XX: only a key with one.
    existing: bool,
    /// GT: only to a later time; no expiry is the latest.
    later: bool,
    /// LT: only to an earlier time.
    earlier: bool,
}

impl Condition {
    /// Reads the options, in any order.
    pub fn parse(options: &[&[u8]]) -> Result<Self, Error> {
        let mut condition = Self::default();
        for option in options {
            if option.eq_ignore_ascii_case(b"NX") {
                condition.new = true;
            } else if option.eq_ignore_ascii_case(b"XX") {
                condition.existing = true;
            } else if option.eq_ignore_ascii_case(b"GT") {
                condition.later = true;
            } else if option.eq_ignore_ascii_case(b"LT") {
                condition.earlier = true;
            } else {
                return Err(Error::naming("ERR Unsupported option ", option, ""));
            }
        }
        let Self { new, existing, later, earlier } = condition;
        if new && (existing || later || earlier) {
            return Err(Error::Text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if later && earlier {
            return Err(Error::Text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// Whether a key that expires at `current` may now expire at `at`.
    pub fn holds(&self, current: Option<UnixMs>, at: i64) -> bool {
        // Times come from an i64 and fit one.
        let current = current.map(|current| i64::try_from(current.0).unwrap_or(i64::MAX));
        match current {
            None => !self.existing && !self.later,
            Some(current) => {
                !self.new && (!self.later || current < at) && (!self.earlier || at < current)
            }
        }
    }
}

/// Milliseconds as seconds, rounded to the nearest as Valkey does.
pub const fn seconds(milliseconds: u64) -> u64 {
    milliseconds / 1000 + (500 <= milliseconds % 1000) as u64
}

/// What a command's options say of expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish<'a> {
    /// Nothing.
    #[default]
    Unsaid,
    /// KEEPTTL
    Keep,
    /// PERSIST
    Persist,
    /// EX, PX, EXAT or PXAT with a number that the command has not looked at yet.
    Time(TimeForm, &'a [u8]),
}

impl<'a> Wish<'a> {
    /// Takes in the option that `args` begin with and returns how many arguments it took: none if
    /// it is not about expiry. The same option twice is fine, the last one counts; two different
    /// ones are an error.
    pub fn take(&mut self, args: &[&'a [u8]]) -> Result<usize, Error> {
        let [token, rest @ ..] = args else { return Ok(0) };
        let (wish, taken) = if let Some(form) = TimeForm::from_token(token) {
            (Self::Time(form, rest.first().ok_or(Error::Syntax)?), 2)
        } else if token.eq_ignore_ascii_case(b"KEEPTTL") {
            (Self::Keep, 1)
        } else if token.eq_ignore_ascii_case(b"PERSIST") {
            (Self::Persist, 1)
        } else {
            return Ok(0);
        };
        let agrees = match (*self, wish) {
            (Self::Unsaid, _) | (Self::Keep, Self::Keep) | (Self::Persist, Self::Persist) => true,
            (Self::Time(before, _), Self::Time(now, _)) => before == now,
            _ => false, // Two different options.
        };
        if !agrees {
            return Err(Error::Syntax);
        }
        *self = wish;
        Ok(taken)
    }

    /// What it means for a value that `command` sets.
    pub fn resolve(self, now: UnixMs, command: &'static str) -> Result<Expiry, Error> {
        match self {
            Self::Unsaid => Ok(Expiry::Clear),
            Self::Keep => Ok(Expiry::Keep),
            // Only GETEX knows PERSIST, and it sets no value.
            Self::Persist => Err(Error::Syntax),
            Self::Time(form, text) => form.deadline(text, now, command).map(Expiry::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const NOW: UnixMs = UnixMs(1_000_000);

    #[test]
    fn a_time_is_counted_from_now_or_from_1970() {
        for (form, number, expected) in [
            (TimeForm::Ex, 5, Some(1_005_000)),
            (TimeForm::Ex, i64::MAX / 1000, None),
            (TimeForm::Ex, i64::MIN / 1000, Some(i64::MIN / 1000 * 1000 + 1_000_000)),
            (TimeForm::Ex, i64::MIN, None),
            (TimeForm::Px, -5, Some(999_995)),
            (TimeForm::Px, i64::MAX - 1_000_000, Some(i64::MAX)),
            (TimeForm::Px, i64::MAX - 999_999, None),
            (TimeForm::Px, i64::MIN, Some(i64::MIN + 1_000_000)),
            (TimeForm::ExAt, 5, Some(5_000)),
            (TimeForm::ExAt, i64::MAX / 1000, Some(i64::MAX / 1000 * 1000)),
            (TimeForm::ExAt, i64::MIN, None),
            (TimeForm::PxAt, i64::MAX, Some(i64::MAX)),
            (TimeForm::PxAt, i64::MIN, Some(i64::MIN)),
        ] {
            assert_eq!(form.unix_ms(number, NOW), expected, "{form:?} {number}");
        }
    }

    #[test]
    fn no_expiry_is_later_than_any() {
        let parse = |option: &str| Condition::parse(&[option.as_bytes()]).unwrap();
        let at = Some(UnixMs(100));
        // option, from, to, whether it may
        let cases = [
            ("nx", None, 5, true),
            ("nx", at, 500, false),
            ("xx", None, 5, false),
            ("xx", at, 5, true),
            ("gt", None, 500, false),
            ("gt", at, 100, false),
            ("gt", at, 101, true),
            ("lt", None, 500, true),
            ("lt", at, 100, false),
            ("lt", at, 99, true),
            ("lt", at, -1, true),
        ];
        for (option, current, to, may) in cases {
            assert_eq!(parse(option).holds(current, to), may, "{option} {current:?} {to}");
        }
    }

    #[test]
    fn the_same_option_twice_is_fine_but_not_two_different_ones() {
        let take = |tokens: &[&'static str]| {
            let args: Vec<&[u8]> = tokens.iter().map(|token| token.as_bytes()).collect();
            let mut wish = Wish::default();
            let mut at = 0;
            while at < args.len() {
                match wish.take(&args[at..])? {
                    0 => break,
                    taken => at += taken,
                }
            }
            Ok(wish)
        };
        assert_eq!(take(&["ex", "1", "EX", "2"]), Ok(Wish::Time(TimeForm::Ex, b"2")));
        assert_eq!(take(&["KeepTTL", "keepttl", "FOO"]), Ok(Wish::Keep));
        assert_eq!(take(&["EX", "1", "PX", "2"]), Err(Error::Syntax));
        assert_eq!(take(&["PERSIST", "KEEPTTL"]), Err(Error::Syntax));
        assert_eq!(take(&["PXAT"]), Err(Error::Syntax));
        assert_eq!(take(&["FOO"]), Ok(Wish::Unsaid));
    }
}
