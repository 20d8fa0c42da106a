//! PFSELFTEST

use alloc::format;

use crate::commands::ctx::Ctx;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, Spec, Spread};
use crate::resp::error::Error;
use crate::types::hyperloglog::{Union, add, become_dense, empty, estimate};

pub(super) const PFSELFTEST: Command = Command {
    spec: Spec {
        name: "pfselftest",
        group: Group::HyperLogLog,
        since: "2.8.9",
        summary: "Tests HyperLogLogs on elements of its own.",
        complexity: "N/A",
        arity: Arity::Exactly(1),
        flags: Flags::of(&[Flag::Admin]),
        spread: Spread::Anywhere,
        ..Spec::EMPTY
    },
    run: pfselftest,
};

/// Elements noted: few enough that no client waits.
const ELEMENTS: u64 = 50_000;
/// Twice the standard error of 16384 registers, times three for good measure.
const ERROR_MAX: f64 = 6.0 * 1.04 / 128.0;

fn pfselftest(ctx: &mut Ctx<'_>) -> Result<(), Error> {
    let (mut dense, mut sparse, sparse_bytes) = (empty(), empty(), usize::MAX);
    become_dense(&mut dense)?;
    for number in 1..=ELEMENTS {
        let element = number.to_le_bytes();
        let changes = add(&mut dense, &element, sparse_bytes)?;
        let is_small = number <= ELEMENTS / 50;
        if is_small && add(&mut sparse, &element, sparse_bytes)? != changes {
            return Err(failed("sparse and dense registers differ", number));
        }
        if number.is_power_of_two() || number == ELEMENTS {
            let error = (estimate(&dense)? as f64 - number as f64).abs();
            if ERROR_MAX * number as f64 + 1.0 < error {
                return Err(failed("Too big error", number));
            }
        }
        if number == ELEMENTS / 50 {
            let (mut of_dense, mut of_sparse) = (Union::default(), Union::default());
            of_dense.add(&dense)?;
            of_sparse.add(&sparse)?;
            if of_dense.registers() != of_sparse.registers() {
                return Err(failed("sparse and dense registers differ", number));
            }
        }
    }
    ctx.replies.ok();
    Ok(())
}

fn failed(what: &str, elements: u64) -> Error {
    Error::Owned(format!("ERR TESTFAILED {what}. card:{elements}"))
}
