//! User-space instructions per request, counted by callgrind.
//!
//! Each server runs twice, with fewer and with more requests; the difference belongs to the
//! requests alone: start, fill and end are in both. Valgrind 3.19 keeps its one lock while a thread
//! waits in `io_uring_enter`, so a server with two threads stands still in it; 3.27 does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::options::Options;
use crate::report::Report;
use crate::servers::benchmark::{self, Load};
use crate::servers::peer::{self, Peer};
use crate::servers::process;
use crate::servers::server::Server;

/// Requests of the two runs.
const FEW: u64 = 20_000;
const MANY: u64 = 120_000;
/// The oldest valgrind known to run a server on io_uring with several threads.
const VERSION_MIN: (u32, u32) = (3, 27);
/// Where profiles are left for `callgrind_annotate`.
const PROFILES: &str = "target/callgrind";

/// Measures one server after the other, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let valgrind = find_valgrind(options)?;
    fs::create_dir_all(PROFILES).map_err(|error| format!("{PROFILES}: {error}"))?;
    let head = ["test", "P", "server", "instructions/request", "ratio"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for test in &options.tests {
        for &pipeline in &options.pipelines {
            let mut first = None;
            for peer in &options.peers {
                eprintln!("counting {} of {} at P={pipeline}", test, peer.name);
                let run = |requests| {
                    let load = Load { test: test.clone(), pipeline, requests };
                    // On a busy machine a server now and then stands still under valgrind.
                    let count = || count(options, &valgrind, peer, &load);
                    count().or_else(|_| count())
                };
                let (few, many) = (run(FEW)?, run(MANY)?);
                let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
                rows.push(vec![
                    test.to_uppercase(),
                    pipeline.to_string(),
                    peer.name.clone(),
                    format!("{each:.0}"),
                    format!("{:.2}", each / *first.get_or_insert(each)),
                ]);
            }
        }
    }
    report.say(&format!(
        "{} keys of 16 bytes with values of 64 bytes, {} connections; the difference of a run of \
         {MANY} and a run of {FEW} requests.",
        options.keys, options.clients
    ));
    report.table(&rows);
    eprintln!("profiles for callgrind_annotate are in {PROFILES}");
    Ok(())
}

/// Instructions of a whole run: start, fill, load and end.
fn count(options: &Options, valgrind: &Path, peer: &Peer, load: &Load) -> Result<u64, String> {
    let name = format!("{}-{}-P{}-{}", peer.name, load.test, load.pipeline, load.requests);
    let (profile, log) = (format!("{PROFILES}/{name}.out"), format!("{PROFILES}/{name}.log"));
    let outer = [
        valgrind.display().to_string(),
        "--tool=callgrind".into(),
        // The command may be a script that becomes the server.
        "--trace-children=yes".into(),
        "--fair-sched=try".into(),
        format!("--callgrind-out-file={profile}"),
        format!("--log-file={log}"),
    ];
    let mut server = Server::start_under(&outer, peer, options)?;
    server.fill(options.keys)?;
    benchmark::run(options, &server, load)?;
    server.end();
    let log = process::read(&log)?;
    let counted = log.lines().filter_map(|line| line.split_once("Collected :"));
    let counted: Vec<u64> = counted.filter_map(|(_, count)| count.trim().parse().ok()).collect();
    match *counted.as_slice() {
        [.., last] => Ok(last),
        [] => Err(format!("callgrind counted nothing for {}: {log}", peer.name)),
    }
}

/// The first valgrind that is new enough.
fn find_valgrind(options: &Options) -> Result<PathBuf, String> {
    let usual = || vec![peer::tool("valgrind"), peer::peers_bin().join("valgrind")];
    let candidates = options.valgrind.clone().map_or_else(usual, |path| vec![path]);
    let new_enough = |path: &PathBuf| {
        let version = process::output(Command::new(path).arg("--version")).unwrap_or_default();
        version_of(&version).is_some_and(|version| VERSION_MIN <= version)
    };
    candidates.into_iter().find(new_enough).ok_or(format!(
        "no valgrind {}.{} or newer was found; older ones stand still in io_uring_enter. Debian's \
         next suite has one: give its path with --valgrind",
        VERSION_MIN.0, VERSION_MIN.1
    ))
}

/// Reads `valgrind-3.27.1`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("valgrind-")?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        assert_eq!(version_of("valgrind-3.27.1\n"), Some((3, 27)));
        assert_eq!(version_of("valgrind-3.9.GIT"), Some((3, 9)));
        assert_eq!(version_of("sh: not found"), None);
    }
}
