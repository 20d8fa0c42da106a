//! CLUSTER SLOT-STATS SLOTSRANGE start end,
//! CLUSTER SLOT-STATS ORDERBY metric [LIMIT limit] [ASC | DESC]

use std::collections::BTreeMap;

use shards::base::slot::Slot;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::report::slot_stats::{Figures, Order, write};
use crate::cluster::slot_set::SlotSet;
use crate::commands::cluster::{TELLS, clustering, slot, wrong_words};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};

pub(super) const SLOT_STATS: Own = Own {
    spec: Spec {
        name: "cluster|slot-stats",
        since: "8.0.0",
        summary: "Returns figures of slots, in a cluster.",
        complexity: "O(N+M*log(M)), N being the number of keys of the slots, M of the slots.",
        syntax: "<SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]>",
        arity: Arity::AtLeast(4),
        tips: &["nondeterministic_output", "request_policy:all_shards"],
        ..TELLS
    },
    run: OwnRun::Control(ask),
};

/// Which slots are asked for.
enum Asked {
    Range(Slot, Slot),
    Ordered(Order),
}

impl Asked {
    fn parse(args: &[&[u8]], counts: bool) -> Result<Self, Error> {
        if args[2].eq_ignore_ascii_case(b"slotsrange") && args.len() == 5 {
            let (first, last) = (slot(args[3])?, slot(args[4])?);
            if last < first {
                let (first, last) = (first.number(), last.number());
                let text =
                    format!("ERR Start slot number {first} is greater than end slot number {last}");
                return Err(Error::Owned(text));
            }
            return Ok(Self::Range(first, last));
        }
        if args[2].eq_ignore_ascii_case(b"orderby") {
            return Ok(Self::Ordered(Order::parse(&args[3..], counts)?));
        }
        Err(wrong_words(args[1]))
    }

    /// Those of these slots.
    fn of(&self, slots: &SlotSet) -> SlotSet {
        match self {
            Self::Range(first, last) => {
                slots.iter().filter(|slot| (first..=last).contains(&slot)).collect()
            }
            Self::Ordered(_) => slots.clone(),
        }
    }
}

fn ask(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let slots = slots(ctx)?;
    let asked = Asked::parse(ctx.args, counts(ctx))?;
    Ok(Outcome::Ask(Query::SlotFigures(asked.of(&slots)), answer))
}

fn answer(ctx: &mut ControlCtx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    // Since it was asked for, the node may have got slots, or lost some.
    let (counts, slots) = (counts(ctx), slots(ctx)?);
    let asked = Asked::parse(ctx.args, counts)?;
    let zero = |slot| (slot, Figures::default());
    let mut figures: BTreeMap<Slot, Figures> = asked.of(&slots).iter().map(zero).collect();
    let rate = ctx.control.node.cycle_rate;
    for answer in answers {
        let Answer::SlotFigures(shares) = answer else { unreachable!("figures were asked for") };
        for (slot, keys, counters) in shares {
            if let Some(sum) = figures.get_mut(&slot) {
                sum.keys += keys;
                sum.micros += rate.micros(counters.cycles);
                sum.bytes_in += counters.bytes_in;
                sum.bytes_out += counters.bytes_out;
            }
        }
    }
    let mut figures: Vec<(Slot, Figures)> = figures.into_iter().collect();
    if let Asked::Ordered(order) = asked {
        order.apply(&mut figures);
    }
    write(&figures, counts, &mut ctx.replies);
    Ok(())
}

/// The slots of this node, or of its primary.
fn slots(ctx: &ControlCtx<'_>) -> Result<SlotSet, Error> {
    let nodes = clustering(ctx.control)?.machine.nodes();
    let primary = nodes.my_primary();
    Ok(primary.map_or_else(SlotSet::default, |primary| nodes.at(primary).slot_set().clone()))
}

/// Whether more is counted than keys.
fn counts(ctx: &ControlCtx<'_>) -> bool {
    ctx.control.node.config.cluster_slot_stats_enabled
}
