//! HSETEX key \[NX | XX] \[FNX | FXX] \[EX seconds | PX milliseconds | EXAT unix-time-seconds |
//! PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value \[field value ...]

use alloc::vec::Vec;

use super::fields;
use crate::base::number::{DIGITS_MAX, format_u64};
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::expiry::Wish;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};
use crate::effects::Class;
use crate::keyspace::selected::Key;
use crate::resp::error::Error;
use crate::types::hash::FieldExpiry;

pub(super) const HSETEX: Command = Command {
    spec: Spec {
        name: "hsetex",
        group: Group::Hash,
        since: "9.0.0",
        summary: "Sets fields of a hash, and when they expire.",
        complexity: "O(N), N being the number of fields.",
        syntax: "key [NX | XX] [FNX | FXX] [EX seconds | PX milliseconds | \
                 EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] \
                 FIELDS numfields field value [field value ...]",
        arity: Arity::AtLeast(6),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom, Flag::Fast]),
        keys: &[KeySpec::first(&["RW", "INSERT"])],
        ..Spec::EMPTY
    },
    run: hsetex,
};

/// What must be there, or must not be, for anything to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Presence {
    #[default]
    Any,
    Missing,
    Present,
}

impl Presence {
    /// The same wish twice is fine, two different ones are not.
    fn wish(&mut self, wish: Self) -> Result<(), Error> {
        if *self != Self::Any && *self != wish {
            return Err(Error::Syntax);
        }
        *self = wish;
        Ok(())
    }

    fn holds(self, is_there: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Missing => !is_there,
            Self::Present => is_there,
        }
    }
}

/// What stands before FIELDS.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'a> {
    key: Presence,
    fields: Presence,
    expiry: Wish<'a>,
}

impl<'a> Options<'a> {
    fn parse(mut given: &[&'a [u8]]) -> Result<Self, Error> {
        let mut options = Self::default();
        while let [first, rest @ ..] = given {
            let taken = options.expiry.take(given)?;
            if options.expiry == Wish::Persist {
                return Err(Error::Syntax);
            }
            given = match taken {
                0 if first.eq_ignore_ascii_case(b"NX") => {
                    options.key.wish(Presence::Missing)?;
                    rest
                }
                0 if first.eq_ignore_ascii_case(b"XX") => {
                    options.key.wish(Presence::Present)?;
                    rest
                }
                0 if first.eq_ignore_ascii_case(b"FNX") => {
                    options.fields.wish(Presence::Missing)?;
                    rest
                }
                0 if first.eq_ignore_ascii_case(b"FXX") => {
                    options.fields.wish(Presence::Present)?;
                    rest
                }
                0 => return Err(Error::Syntax),
                taken => &given[taken..],
            };
        }
        Ok(options)
    }
}

fn hsetex(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (options, counted) = fields::split(&ctx.args[2..])?;
    let options = Options::parse(options)?;
    let pairs = fields::counted(counted, 2)?;
    let (key, rules, now) = (ctx.key(1), ctx.db.hash_rules(), ctx.db.now());
    let gone_by = ctx.db.gone_by();
    let hash = ctx.db.write_hash(key)?;
    if !options.key.holds(hash.is_some()) {
        ctx.replies.integer(0);
        return Ok(());
    }
    let expiry = match options.expiry {
        Wish::Time(form, text) => FieldExpiry::At(fields::deadline(form, text, now, "hsetex")?),
        Wish::Keep => FieldExpiry::Keep,
        Wish::Unsaid | Wish::Persist => FieldExpiry::Clear,
    };
    let there =
        |field: &[u8]| hash.as_ref().is_some_and(|it| it.get(field, rules.due_by).is_some());
    if !pairs.iter().step_by(2).all(|field| options.fields.holds(there(field))) {
        ctx.replies.integer(0);
        return Ok(());
    }
    match expiry {
        FieldExpiry::At(at) if at <= gone_by => set_expired(ctx, key, pairs)?,
        FieldExpiry::At(_) | FieldExpiry::Keep | FieldExpiry::Clear => {
            set(ctx, key, pairs, expiry)?;
        }
    }
    ctx.replies.integer(1);
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, key: Key<'_>, pairs: &[&[u8]], expiry: FieldExpiry) -> Result<(), Error> {
    let rules = ctx.db.hash_rules();
    ctx.db.clear_due_fields(key, pairs.iter().step_by(2).copied());
    let hash = ctx.db.hash_or_new(key)?;
    hash.prepare(pairs, &rules);
    for pair in pairs.chunks_exact(2) {
        hash.set(pair[0], pair[1], expiry, &rules);
    }
    if hash.is_filed_in_vain() {
        ctx.db.refile_fields(key);
    }
    ctx.db.changed(key, Class::Hash, "hset");
    ctx.db.effects.dirty += pairs.len() as u64 / 2 - 1;
    if let FieldExpiry::At(UnixMs(at)) = expiry {
        ctx.db.refile_fields(key);
        ctx.db.event(key, Class::Hash, "hexpire");
        // Without the conditions: they held.
        let mut text = [0; DIGITS_MAX];
        let start = [b"HSETEX", key.bytes, b"PXAT", format_u64(&mut text, at)];
        fields::log_pairs(&mut ctx.db, &start, pairs);
    }
    Ok(())
}

/// Sets fields to expire at a time that is past: they are removed, those included that were not
/// there, so that all the world sees is events.
fn set_expired(ctx: &mut Ctx<'_>, key: Key<'_>, pairs: &[&[u8]]) -> Result<(), Error> {
    let hash = ctx.db.hash_or_new(key)?;
    let fields = pairs.iter().step_by(2).copied();
    // Fields that are due already go as well: nothing is due by a time of 0.
    let removed: Vec<&[u8]> = fields.filter(|field| hash.remove(field, UnixMs(0))).collect();
    ctx.db.keyspace.stats.expired_fields += pairs.len() as u64 / 2;
    ctx.db.effects.dirty += removed.len() as u64;
    if !removed.is_empty() {
        ctx.db.touch(ctx.db.index, key);
        fields::log_deleted(&mut ctx.db, key, &removed);
    }
    for event in ["hset", "hexpire", "hexpired"] {
        ctx.db.event(key, Class::Hash, event);
    }
    ctx.db.remove_if_empty(key);
    Ok(())
}
