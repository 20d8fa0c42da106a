//! Whatever clients do together, nothing of it is left behind when they are gone: the bytes choose
//! a sequence of `tests/cmdseq`, which is played on a server in a process of its own. `KEYLANE`
//! names the program, `SHARDS` says with how many shards it runs, `WITHOUT` leaves checks out.

#![no_main]
#![allow(dead_code, reason = "the driver in tests/cmdseq uses the rest")]

#[path = "../client/mod.rs"]
mod client;
#[path = "../servers/mod.rs"]
mod servers;

#[path = "../cmdseq/arena.rs"]
mod arena;
#[path = "../cmdseq/checks.rs"]
mod checks;
#[path = "../cmdseq/frames.rs"]
mod frames;
#[path = "../cmdseq/inspect.rs"]
mod inspect;
#[path = "../cmdseq/link.rs"]
mod link;
#[path = "../cmdseq/plan.rs"]
mod plan;
#[path = "../cmdseq/requests.rs"]
mod requests;
#[path = "../cmdseq/run.rs"]
mod run;
#[path = "../cmdseq/session.rs"]
mod session;
#[path = "../cmdseq/tally.rs"]
mod tally;

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use arena::{Arena, PATIENCE, Subject};
use checks::Rules;
use libfuzzer_sys::fuzz_target;
use servers::setting;

/// A server, and the process that ends it when this one is gone: the fuzzer drops nothing when it
/// ends.
struct Place {
    arena: Arena,
    guarded: Option<u32>,
    guard: Child,
}

static PLACE: Mutex<Option<Place>> = Mutex::new(None);

fuzz_target!(|data: &[u8]| {
    let mut shared = PLACE.lock().expect("a failure ends the process");
    let mut place = shared.take().unwrap_or_else(Place::new);
    let rules = Rules::from_environment();
    let mut acts = plan::plan(data);
    rules.restrict(&mut acts);
    if let Err(violation) = place.arena.play(&acts, &rules, PATIENCE, None) {
        drop(place);
        let lines: Vec<String> = acts.iter().map(plan::Act::line).collect();
        let (name, demand) = (violation.check.name(), violation.check.demand());
        panic!("\n{}\n{name}: {demand} - but: {}", lines.join("\n"), violation.text);
    }
    place.keep_guarded();
    *shared = Some(place);
});

impl Place {
    fn new() -> Self {
        let shards = usize::try_from(setting("SHARDS").unwrap_or(2)).expect("they are few");
        let arena = Arena::new(Subject::Shards(shards));
        let guarded = arena.pid();
        Self { arena, guarded, guard: guard(guarded) }
    }

    /// A server may have been replaced.
    fn keep_guarded(&mut self) {
        if self.guarded != self.arena.pid() {
            self.dismiss();
            self.guarded = self.arena.pid();
            self.guard = guard(self.guarded);
        }
    }

    /// The guard goes before it does anything: another process may have the number by now.
    fn dismiss(&mut self) {
        // Another process may have killed it.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// A process that waits for the end of this one, which closes the pipe, and then ends the server.
fn guard(pid: Option<u32>) -> Child {
    let pid = pid.map_or_else(String::new, |pid| pid.to_string());
    let script = "read -r _; kill -9 \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &pid]).stdin(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("there is a shell")
}
