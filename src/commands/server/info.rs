//! INFO [section ...]

mod clients;
mod commands;
mod keys;
mod keyspace;
mod memory;
mod persistence;
mod replication;
mod server;
mod shards;
mod stats;

use std::fmt::{Display, Write};

use ::shards::commands::spec::{Arity, Flag, Flags, Group, Spec};
use ::shards::resp::error::Error;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::gathered::Gathered;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};
use crate::reactor::crash;

pub(super) const INFO: Own = Own {
    spec: Spec {
        name: "info",
        group: Group::Server,
        summary: "Tells how the server is and what it has done.",
        syntax: "[section [section ...]]",
        arity: Arity::AtLeast(1),
        flags: Flags::of(&[Flag::Loading, Flag::Stale]),
        categories: &["dangerous"],
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        ..Spec::EMPTY
    },
    run: OwnRun::Control(info),
};

/// One section.
struct Section {
    /// As it is asked for.
    name: &'static str,
    /// As it is headed.
    title: &'static str,
    /// Whether it is shown when nothing in particular is asked for.
    by_default: bool,
    write: fn(&Gathered<'_>, &mut Fields),
}

/// All sections, in the order in which they are shown.
const SECTIONS: &[Section] = &[
    section("server", "Server", true, server::write),
    section("tls", "TLS", false, server::write_tls),
    section("clients", "Clients", true, clients::write),
    section("memory", "Memory", true, memory::write),
    section("persistence", "Persistence", true, persistence::write),
    section("stats", "Stats", true, stats::write),
    section("replication", "Replication", true, replication::write),
    section("cpu", "CPU", true, server::write_cpu),
    section("modules", "Modules", true, |_, _| {}),
    section("commandstats", "Commandstats", false, commands::write_stats),
    section("errorstats", "Errorstats", true, commands::write_errors),
    section("latencystats", "Latencystats", false, commands::write_latencies),
    section("cluster", "Cluster", true, replication::write_cluster),
    section(CLUSTER_INFO, "Cluster Info", false, replication::write_cluster_info),
    section("scriptingengines", "Scripting Engines", false, server::write_scripting),
    section("shards", "Shards", false, shards::write),
    section("hotkeys", "Hotkeys", false, keys::write_hot),
    section(SLOTSTATS, "Slotstats", false, keys::write_slots),
    section("keyspace", "Keyspace", true, keyspace::write),
];

const fn section(
    name: &'static str,
    title: &'static str,
    by_default: bool,
    write: fn(&Gathered<'_>, &mut Fields),
) -> Section {
    Section { name, title, by_default, write }
}

/// The section that is there in cluster mode only.
const CLUSTER_INFO: &str = "cluster_info";

/// The section that takes more than the usual figures: it is only shown by its own name.
const SLOTSTATS: &str = "slotstats";

/// The sections that take the counters of single commands.
const OF_CALLS: [&str; 2] = ["commandstats", "latencystats"];

fn info(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let wanted = |names: &[&str]| {
        let mut named = SECTIONS.iter().filter(|section| names.contains(&section.name));
        named.any(|section| is_wanted(section, &ctx.args[1..]))
    };
    let query = if wanted(&[SLOTSTATS]) {
        Query::FiguresWithSlots
    } else if wanted(&OF_CALLS) {
        Query::Figures
    } else {
        Query::Totals
    };
    Ok(Outcome::Ask(query, write))
}

fn write(ctx: &mut ControlCtx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let mut fields = Fields { text: std::mem::take(&mut ctx.control.info_text) };
    fields.text.clear();
    let is_in_cluster = ctx.control.clustering.is_some();
    let gathered = Gathered::new(ctx.control, answers);
    let is_there = |section: &&Section| section.name != CLUSTER_INFO || is_in_cluster;
    let wanted = SECTIONS.iter().filter(|section| is_wanted(section, &ctx.args[1..]));
    for section in wanted.filter(is_there) {
        if !fields.text.is_empty() {
            fields.text.push_str("\r\n");
        }
        write!(fields.text, "# {}\r\n", section.title).expect("a string takes all");
        (section.write)(&gathered, &mut fields);
    }
    ctx.replies.verbatim("txt", fields.text.as_bytes());
    ctx.control.info_text = crash::keep_info(fields.text);
    Ok(())
}

fn is_wanted(section: &Section, words: &[&[u8]]) -> bool {
    let names = |word: &&[u8]| {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let all = section.name != SLOTSTATS && (is("all") || is("everything"));
        all || is(section.name) || (section.by_default && is("default"))
    };
    if words.is_empty() { section.by_default } else { words.iter().any(names) }
}

/// Lines of sections.
struct Fields {
    text: String,
}

impl Fields {
    /// Adds `name:value`.
    fn put(&mut self, name: impl Display, value: impl Display) {
        write!(self.text, "{name}:{value}\r\n").expect("a string takes all");
    }

    /// Adds lines of one value.
    fn put_all(&mut self, names: &[&str], value: impl Display) {
        for name in names {
            self.put(name, &value);
        }
    }

    /// Adds bytes twice: as a number, and as people read it.
    fn put_bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        self.put(format_args!("{name}_human"), human(bytes));
    }
}

/// Bytes with a unit: `992.25K`.
fn human(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10) as usize;
    let unit = 1u64 << (10 * power);
    format!("{:.2}{}", bytes as f64 / unit as f64, UNITS[power - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_by_people_as_valkey_writes_them() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_016_064, "992.25K"),
            (25_276_502_016, "23.54G"),
            (u64::MAX, "16.00E"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn sections_are_asked_for_by_name() {
        let wanted = |words: &[&[u8]]| -> Vec<&str> {
            let wanted = SECTIONS.iter().filter(|section| is_wanted(section, words));
            wanted.map(|section| section.name).collect()
        };
        assert_eq!(wanted(&[b"KEYSPACE", b"server", b"nosuch"]), ["server", "keyspace"]);
        assert_eq!(wanted(&[b"nosuch"]), [""; 0]);
        assert_eq!(wanted(&[]), wanted(&[b"default"]));
        assert!(!wanted(&[]).contains(&"commandstats"));
        assert_eq!(wanted(&[b"all"]).len(), SECTIONS.len() - 1);
    }
}
