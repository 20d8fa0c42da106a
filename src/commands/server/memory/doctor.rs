//! MEMORY DOCTOR

use shards::commands::spec::Spec;
use shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::gathered::{Gathered, Memory, ratio};
use crate::commands::server::memory::EACH;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};

pub(super) const DOCTOR: Own = Own {
    spec: Spec {
        name: "memory|doctor",
        summary: "Tells what is wrong with the use of memory, if anything.",
        ..EACH
    },
    run: OwnRun::Control(|_| Ok(Outcome::Ask(Query::Totals, doctor))),
};

/// Bytes below which nothing can be said: what the process needs for itself weighs too much.
const BYTES_MIN: u64 = 5 << 20;
/// The peak by what is in use now, from which on it is worth a word.
const PEAK_RATIO: f64 = 1.5;
/// Memory of one kind by what it should be at least, from which on it is worth a word.
const WASTE_RATIO: f64 = 1.4;
/// Bytes of waste below which its ratio means little.
const WASTE_BYTES_MIN: u64 = 10 << 20;
/// Bytes of buffers for each client, from which on they are worth a word.
const CLIENT_BYTES: u64 = 200 << 10;

fn doctor(ctx: &mut ControlCtx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let gathered = Gathered::new(ctx.control, answers);
    let clients = gathered.sum(|shard| shard.clients as u64);
    let text = report(&gathered.memory(), clients);
    ctx.replies.verbatim("txt", text.as_bytes());
    Ok(())
}

fn report(memory: &Memory, clients: u64) -> String {
    if memory.used < BYTES_MIN {
        return "This instance is empty or uses very little memory: there is nothing to tell.\n"
            .into();
    }
    let heap = memory.heap;
    let wastes = |whole: u64, part: u64| {
        WASTE_RATIO < ratio(whole, part) && WASTE_BYTES_MIN < whole.saturating_sub(part)
    };
    let findings = [
        (
            PEAK_RATIO < ratio(memory.peak, memory.used),
            "Peak: much more memory was in use once than is now. The allocator may keep some of \
             it; MEMORY PURGE gives back what it can.",
        ),
        (
            wastes(heap.small_slabs, heap.small_allocated),
            "Fragmentation: much memory lies unused between values. That comes from deleting or \
             resizing many values; a restart, or refilling the same sizes, uses it again.",
        ),
        (
            wastes(heap.resident, heap.active),
            "Allocator: it holds many pages that nothing is in. MEMORY PURGE gives them back.",
        ),
        (
            wastes(memory.resident, heap.resident),
            "Process: much memory is outside of the allocator: the threads' rings and stacks.",
        ),
        (
            CLIENT_BYTES < memory.clients.checked_div(clients).unwrap_or(0),
            "Clients: their buffers are large. See CLIENT LIST for who does not read replies or \
             sends long requests, and client-output-buffer-limit.",
        ),
    ];
    let findings = findings.iter().filter(|(found, _)| *found);
    let lines: Vec<String> = findings.map(|(_, text)| format!(" * {text}\n")).collect();
    if lines.is_empty() {
        return "No problem with the use of memory was found.\n".into();
    }
    format!("What was found about the use of memory:\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::heap::Heap;

    const MB: u64 = 1 << 20;

    fn check(change: impl FnOnce(&mut Memory), begins: &[&str]) {
        let mut memory = Memory {
            used: 100 * MB,
            peak: 100 * MB,
            startup: MB,
            clients: MB,
            tables: MB,
            backlog: 0,
            logs: 0,
            overhead: 3 * MB,
            resident: 120 * MB,
            heap: Heap {
                allocated: 101 * MB,
                active: 105 * MB,
                resident: 110 * MB,
                muzzy: 0,
                small_allocated: 90 * MB,
                small_slabs: 94 * MB,
            },
        };
        change(&mut memory);
        let text = report(&memory, 10);
        let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(" * ")).collect();
        assert_eq!(found.len(), begins.len(), "{text}");
        assert!(found.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{text}");
    }

    #[test]
    fn what_is_out_of_proportion_is_told() {
        check(|_| {}, &[]);
        check(|memory| memory.peak = 200 * MB, &["Peak"]);
        check(|memory| memory.heap.small_slabs = 180 * MB, &["Fragmentation"]);
        check(|memory| memory.heap.resident = 160 * MB, &["Allocator"]);
        check(|memory| memory.resident = 200 * MB, &["Process"]);
        check(|memory| (memory.clients, memory.peak) = (9 * MB, 151 * MB), &["Peak", "Clients"]);
        check(|memory| (memory.used, memory.peak) = (MB, 100 * MB), &[]);
    }
}
