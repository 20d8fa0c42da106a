//! `FIELDS numfields field [field ...]`, and times, as commands about some fields take them.

use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_u64, parse_i64};
use crate::base::time::UnixMs;
use crate::commands::expiry::TimeForm;
use crate::effects::Class;
use crate::keyspace::selected::{Key, Selected};
use crate::resp::error::Error;

const NUM_FIELDS: Error =
    Error::Text("ERR numfields should be greater than 0 and match the provided number of fields");

/// Arguments that stand one after the other.
type Args<'s, 'a> = &'s [&'a [u8]];

/// Splits `args` at the word FIELDS: options before it, the number and fields behind it. Without
/// that word, the number of fields cannot be right.
pub(super) fn split<'s, 'a>(args: Args<'s, 'a>) -> Result<(Args<'s, 'a>, Args<'s, 'a>), Error> {
    // The last argument is a field in any case.
    let (_, before) = args.split_last().ok_or(NUM_FIELDS)?;
    let at = before.iter().position(|arg| arg.eq_ignore_ascii_case(b"FIELDS"));
    let at = at.ok_or(NUM_FIELDS)?;
    Ok((&args[..at], &args[at + 1..]))
}

/// What `numfields` counts, of which each takes `width` arguments.
pub(super) fn counted<'s, 'a>(counted: Args<'s, 'a>, width: usize) -> Result<Args<'s, 'a>, Error> {
    counted_or(counted, width, NUM_FIELDS)
}

/// `FIELDS numfields field [field ...]` and nothing else.
pub(super) fn only<'s, 'a>(
    args: Args<'s, 'a>,
    mismatch: Option<Error>,
) -> Result<Args<'s, 'a>, Error> {
    let [word, rest @ ..] = args else { return Err(Error::Syntax) };
    if !word.eq_ignore_ascii_case(b"FIELDS") {
        return Err(Error::Syntax);
    }
    counted_or(rest, 1, mismatch.unwrap_or(NUM_FIELDS))
}

fn counted_or<'s, 'a>(
    counted: Args<'s, 'a>,
    width: usize,
    mismatch: Error,
) -> Result<Args<'s, 'a>, Error> {
    let [number, fields @ ..] = counted else { return Err(mismatch) };
    let number = parse_i64(number).ok_or(Error::NotInteger)?;
    let agrees = usize::try_from(number)
        .is_ok_and(|number| 0 < number && number.checked_mul(width) == Some(fields.len()));
    if agrees { Ok(fields) } else { Err(mismatch) }
}

/// When a field expires that `command` was given this for: not before 1970, and if counted from
/// now, not before now.
pub(super) fn deadline(
    form: TimeForm,
    text: &[u8],
    now: UnixMs,
    command: &'static str,
) -> Result<UnixMs, Error> {
    let number = parse_i64(text).ok_or(Error::NotInteger)?;
    let at = if number < 0 { None } else { form.unix_ms(number, now) };
    at.map(|at| UnixMs(at.cast_unsigned())).ok_or(Error::InvalidExpire(command))
}

/// Says that fields of `key` were told to expire at `at`, and are gone if that is past.
pub(super) fn times_changed(db: &mut Selected<'_>, key: Key<'_>, at: UnixMs, fields: &[&[u8]]) {
    if fields.is_empty() {
        return;
    }
    if at <= db.gone_by() {
        db.keyspace.stats.expired_fields += fields.len() as u64;
        db.changed(key, Class::Hash, "hexpired");
        db.remove_if_empty(key);
        log_deleted(db, key, fields);
    } else {
        db.refile_fields(key);
        db.changed(key, Class::Hash, "hexpire");
        let mut text = [0; DIGITS_MAX];
        log(db, &[b"HPEXPIREAT", key.bytes, format_u64(&mut text, at.0)], fields);
    }
    db.effects.dirty += fields.len() as u64 - 1;
}

/// Says that fields of `key` do not expire any more.
pub(super) fn persisted(db: &mut Selected<'_>, key: Key<'_>, fields: &[&[u8]]) {
    if fields.is_empty() {
        return;
    }
    db.refile_fields(key);
    db.changed(key, Class::Hash, "hpersist");
    db.effects.dirty += fields.len() as u64 - 1;
    log(db, &[b"HPERSIST", key.bytes], fields);
}

/// Logs `start ... FIELDS n field ...`.
fn log(db: &mut Selected<'_>, start: &[&[u8]], fields: &[&[u8]]) {
    log_counted(db, start, fields.len(), fields);
}

/// Logs `start ... FIELDS n field value ...`.
pub(super) fn log_pairs(db: &mut Selected<'_>, start: &[&[u8]], pairs: &[&[u8]]) {
    log_counted(db, start, pairs.len() / 2, pairs);
}

fn log_counted(db: &mut Selected<'_>, start: &[&[u8]], count: usize, rest: &[&[u8]]) {
    let mut text = [0; DIGITS_MAX];
    let mut args: Vec<&[u8]> = start.to_vec();
    args.extend([b"FIELDS".as_slice(), format_u64(&mut text, count as u64)]);
    args.extend(rest);
    db.effects.log_instead(&args);
}

/// Logs `HDEL key field ...`.
pub(super) fn log_deleted(db: &mut Selected<'_>, key: Key<'_>, fields: &[&[u8]]) {
    let args: Vec<&[u8]> = [b"HDEL", key.bytes].into_iter().chain(fields.iter().copied()).collect();
    db.effects.log_instead(&args);
}
