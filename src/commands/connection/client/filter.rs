//! The filters of CLIENT LIST and CLIENT KILL, as words.

use shards::base::number::parse_i64;
use shards::resp::error::Error;

use crate::clients::filter::{ClientFilter, Kind, Trait};
use crate::control::ctx::ControlCtx;

/// Letters of flags that a filter may name.
const FLAGS: &[u8] = b"AbcdeBIiMNOPrSTtuUx";
/// Letters of capabilities that a filter may name.
const CAPABILITIES: &[u8] = b"r";

/// Reads filters: pairs of a name and a value, but for ID, which takes several. `skips_me` says
/// whether the client that asks is left out unless `SKIPME` says otherwise.
pub(super) fn parse(ctx: &ControlCtx<'_>, mut words: &[&[u8]], skips_me: bool) -> Parsed {
    let mut filter = ClientFilter::default();
    filter.skip = skips_me.then_some(ctx.client);
    while let [name, value, rest @ ..] = words {
        words = rest;
        let upper = name.to_ascii_uppercase();
        if upper == b"SKIPME" {
            filter.skip = yes_or_no(value)?.then_some(ctx.client);
            continue;
        }
        let (positive, negated) = match upper.strip_prefix(b"NOT-") {
            Some(rest) => (rest, true),
            None => (&*upper, false),
        };
        let wanted = match positive {
            b"ID" => {
                let mut ids = vec![parse_id(value)?];
                // Ids go on until something else comes.
                while let [next, rest @ ..] = words
                    && parse_i64(next).is_some()
                {
                    ids.push(parse_id(next)?);
                    words = rest;
                }
                Trait::Id(ids)
            }
            b"MAXAGE" if !negated => Trait::Age(seconds("maxage", value)?),
            b"IDLE" if !negated => Trait::Idle(seconds("idle", value)?),
            _ => simple(ctx, &upper, positive, value)?,
        };
        if negated {
            filter.must_lack(wanted);
        } else {
            filter.must_have(wanted);
        }
    }
    if words.is_empty() { Ok(filter) } else { Err(Error::Syntax) }
}

/// What came of reading filters.
pub(super) type Parsed = Result<ClientFilter, Error>;

/// A filter of one value that has a negation: its whole name, and the name without that.
fn simple(ctx: &ControlCtx<'_>, whole: &[u8], name: &[u8], value: &[u8]) -> Result<Trait, Error> {
    let text = value.to_vec();
    Ok(match name {
        b"TYPE" => Trait::Kind(kind(value)?),
        b"ADDR" => Trait::Addr(text),
        b"LADDR" => Trait::Laddr(text),
        b"IP" => Trait::Ip(text),
        b"NAME" => Trait::Name(text),
        b"USER" if value == b"default" => Trait::User(text),
        b"USER" => return Err(shown("ERR No such user '", value)),
        b"FLAGS" => Trait::Flags(letters("flags", whole, value, FLAGS)?),
        b"LIB-NAME" => Trait::LibName(text),
        b"LIB-VER" => Trait::LibVer(text),
        b"DB" => Trait::Db(database(ctx, whole, value)?),
        b"CAPA" => Trait::Capa(letters("capa", whole, value, CAPABILITIES)?),
        _ => return Err(Error::Syntax),
    })
}

fn yes_or_no(value: &[u8]) -> Result<bool, Error> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(Error::Syntax),
    }
}

fn parse_id(value: &[u8]) -> Result<u64, Error> {
    let id = parse_i64(value).ok_or(Error::Syntax)?;
    let id = u64::try_from(id).ok().filter(|id| 0 < *id);
    id.ok_or(Error::Text("ERR client-id should be greater than 0"))
}

fn seconds(name: &str, value: &[u8]) -> Result<u64, Error> {
    let number = parse_i64(value)
        .ok_or_else(|| Error::Owned(format!("ERR {name} is not an integer or out of range")))?;
    let number = u64::try_from(number).ok().filter(|number| 0 < *number);
    number.ok_or_else(|| Error::Owned(format!("ERR {name} should be greater than 0")))
}

fn kind(value: &[u8]) -> Result<Kind, Error> {
    Ok(match value.to_ascii_lowercase().as_slice() {
        b"normal" => Kind::Normal,
        b"replica" | b"slave" => Kind::Replica,
        b"pubsub" => Kind::PubSub,
        b"primary" | b"master" => Kind::Primary,
        _ => return Err(shown("ERR Unknown client type '", value)),
    })
}

fn database(ctx: &ControlCtx<'_>, name: &[u8], value: &[u8]) -> Result<usize, Error> {
    let name = String::from_utf8_lossy(name);
    let number = parse_i64(value)
        .ok_or_else(|| Error::Owned(format!("ERR {name} is not an integer or out of range")))?;
    let databases =
        usize::try_from(ctx.control.node.config.database_count()).expect("a 32-bit number");
    let number = usize::try_from(number).ok().filter(|number| *number < databases);
    number.ok_or_else(|| {
        Error::Owned(format!("ERR {name} number should be between 0 and {}", databases - 1))
    })
}

fn letters(what: &str, name: &[u8], value: &[u8], known: &[u8]) -> Result<Vec<u8>, Error> {
    if value.iter().all(|letter| known.contains(letter)) {
        return Ok(value.to_vec());
    }
    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
    let filter = if name.starts_with("NOT-") { &*name } else { "provided" };
    Err(Error::Owned(format!("ERR Unknown {what} found in the {filter} filter: {value}")))
}

fn shown(text: &str, value: &[u8]) -> Error {
    Error::Owned(format!("{text}{}'", String::from_utf8_lossy(value)))
}
