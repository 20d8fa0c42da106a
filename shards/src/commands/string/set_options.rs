//! The options of the commands that set strings: SET and MSETEX.

use crate::commands::expiry::Wish;
use crate::resp::error::Error;

/// What may follow the values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SetOptions<'a> {
    pub condition: Condition<'a>,
    /// GET: answer with the value before.
    pub get: bool,
    pub expiry: Wish<'a>,
}

/// When to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    #[default]
    Always,
    /// NX
    Missing,
    /// XX
    Present,
    /// IFEQ
    Equal(&'a [u8]),
}

impl<'a> SetOptions<'a> {
    /// Reads all of `args`. NX, XX and KEEPTTL may be repeated, IFEQ may not.
    pub fn parse(args: &[&'a [u8]]) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut rest = args;
        while let [option, after @ ..] = rest {
            let taken = options.expiry.take(rest)?;
            if 0 < taken {
                rest = &rest[taken..];
                continue;
            }
            rest = after;
            if option.eq_ignore_ascii_case(b"GET") {
                options.get = true;
                continue;
            }
            let condition = if option.eq_ignore_ascii_case(b"NX") {
                Condition::Missing
            } else if option.eq_ignore_ascii_case(b"XX") {
                Condition::Present
            } else if option.eq_ignore_ascii_case(b"IFEQ")
                && let [value, after @ ..] = rest
                && options.condition == Condition::Always
            {
                rest = after;
                Condition::Equal(value)
            } else {
                return Err(Error::Syntax);
            };
            if options.condition != Condition::Always && options.condition != condition {
                return Err(Error::Syntax);
            }
            options.condition = condition;
        }
        Ok(options)
    }
}
