//! CLUSTER COUNTKEYSINSLOT slot, CLUSTER GETKEYSINSLOT slot count

use shards::base::number::parse_i64;
use shards::base::slot::Slot;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::cluster::{LOOKS, VARIES, clustering};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};

pub(super) const COUNTKEYSINSLOT: Own = Own {
    spec: Spec {
        name: "cluster|countkeysinslot",
        since: "3.0.0",
        summary: "Returns how many keys a slot has, in a cluster.",
        syntax: "slot",
        arity: Arity::Exactly(3),
        ..LOOKS
    },
    run: OwnRun::Control(count),
};

pub(super) const GETKEYSINSLOT: Own = Own {
    spec: Spec {
        name: "cluster|getkeysinslot",
        since: "3.0.0",
        summary: "Returns keys of a slot, in a cluster.",
        syntax: "slot count",
        arity: Arity::Exactly(4),
        tips: VARIES,
        ..LOOKS
    },
    run: OwnRun::Control(list),
};

fn count(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    let slot = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let slot = slot_of(slot).ok_or(Error::Text("ERR Invalid slot"))?;
    Ok(Outcome::Ask(Query::CountKeysInSlot(slot, Some(ctx.db)), |ctx, answers| {
        let counts = answers.into_iter().map(|answer| match answer {
            Answer::Count(count) => count,
            _ => unreachable!("numbers were asked for"),
        });
        ctx.replies.integer(i64::try_from(counts.sum::<u64>()).unwrap_or(i64::MAX));
        Ok(())
    }))
}

fn list(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    let slot = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let count = parse_i64(ctx.args[3]).ok_or(Error::NotInteger)?;
    let (Some(slot), Ok(count)) = (slot_of(slot), usize::try_from(count)) else {
        return Err(Error::Text("ERR Invalid slot or number of keys"));
    };
    Ok(Outcome::Ask(Query::KeysInSlot(slot, ctx.db, count), |ctx, answers| {
        let keys = answers.into_iter().flat_map(|answer| match answer {
            Answer::Keys(keys) => keys,
            _ => unreachable!("keys were asked for"),
        });
        let keys: Vec<Vec<u8>> = keys.collect();
        ctx.replies.array(keys.len());
        keys.iter().for_each(|key| ctx.replies.bulk(key));
        Ok(())
    }))
}

fn slot_of(number: i64) -> Option<Slot> {
    u16::try_from(number).ok().and_then(Slot::new)
}
