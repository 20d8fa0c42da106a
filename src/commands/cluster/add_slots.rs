//! CLUSTER ADDSLOTS, ADDSLOTSRANGE, DELSLOTS, DELSLOTSRANGE, FLUSHSLOTS: slots by hand

use shards::base::slot::Slot;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::machine::event::Command;
use crate::cluster::slot_set::SlotSet;
use crate::commands::cluster::{CHANGES, ask, clustering, slot};
use crate::commands::own::{Own, OwnRun};
use crate::control::clustering::asking::{Counted, Request};
use crate::control::ctx::{Awaited, ControlCtx, Outcome};

pub(super) const ADDSLOTS: Own = Own {
    spec: Spec {
        name: "cluster|addslots",
        since: "3.0.0",
        summary: "Gives slots to this server, in a cluster.",
        syntax: "slot [slot ...]",
        arity: Arity::AtLeast(3),
        ..CHANGES
    },
    run: OwnRun::Control(add),
};

pub(super) const ADDSLOTSRANGE: Own = Own {
    spec: Spec {
        name: "cluster|addslotsrange",
        since: "7.0.0",
        summary: "Gives ranges of slots to this server, in a cluster.",
        syntax: "start-slot end-slot [start-slot end-slot ...]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    },
    run: OwnRun::Control(add_ranges),
};

pub(super) const DELSLOTS: Own = Own {
    spec: Spec {
        name: "cluster|delslots",
        since: "3.0.0",
        summary: "Takes slots away from the server that has them, in a cluster.",
        syntax: "slot [slot ...]",
        arity: Arity::AtLeast(3),
        ..CHANGES
    },
    run: OwnRun::Control(delete),
};

pub(super) const DELSLOTSRANGE: Own = Own {
    spec: Spec {
        name: "cluster|delslotsrange",
        since: "7.0.0",
        summary: "Takes ranges of slots away from the server that has them, in a cluster.",
        syntax: "start-slot end-slot [start-slot end-slot ...]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    },
    run: OwnRun::Control(delete_ranges),
};

pub(super) const FLUSHSLOTS: Own = Own {
    spec: Spec {
        name: "cluster|flushslots",
        since: "3.0.0",
        summary: "Takes all slots away from this server, in a cluster.",
        arity: Arity::Exactly(2),
        ..CHANGES
    },
    run: OwnRun::Control(flush),
};

fn add(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ask(Command::AddSlots(listed(&ctx.args[2..])?))
}

fn add_ranges(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ask(Command::AddSlots(ranges(ctx.args)?))
}

fn delete(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ask(Command::DelSlots(listed(&ctx.args[2..])?))
}

fn delete_ranges(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ask(Command::DelSlots(ranges(ctx.args)?))
}

fn flush(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    Ok(Outcome::Wait(Awaited::Cluster(Request::Counted(Counted::FlushSlots))))
}

fn listed(words: &[&[u8]]) -> Result<SlotSet, Error> {
    let mut slots = SlotSet::default();
    for word in words {
        put(&mut slots, slot(word)?)?;
    }
    Ok(slots)
}

fn ranges(args: &[&[u8]]) -> Result<SlotSet, Error> {
    let (pairs, rest) = args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        let subcommand = String::from_utf8_lossy(args[1]).to_ascii_lowercase();
        return Err(Error::WrongArity(format!("cluster|{subcommand}")));
    }
    let mut slots = SlotSet::default();
    for [first, last] in pairs {
        let (first, last) = (slot(first)?.number(), slot(last)?.number());
        if last < first {
            return Err(Error::Naming(
                format!("ERR start slot number {first} is greater than end slot number {last}")
                    .into_bytes(),
            ));
        }
        for slot in (first..=last).filter_map(Slot::new) {
            put(&mut slots, slot)?;
        }
    }
    Ok(slots)
}

fn put(slots: &mut SlotSet, slot: Slot) -> Result<(), Error> {
    if slots.contains(slot) {
        let number = slot.number().to_string();
        return Err(Error::naming("ERR Slot ", number.as_bytes(), " specified multiple times"));
    }
    slots.insert(slot);
    Ok(())
}
