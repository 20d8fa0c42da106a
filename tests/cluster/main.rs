//! Whether servers of every kind are one cluster: they come to know each other, agree, elect, hand
//! over, and are the same nodes after a restart.
//!
//! `ONLY=kkkvvv` plays the mix of these kinds in this order in place of those that a row names, a
//! letter each: `k` is Keylane, `v` Valkey 9.1, `8` Valkey 8.1, `r` Redis 7.0; the first three are
//! primaries.

#[path = "../client/mod.rs"]
mod client;
#[path = "../servers/mod.rs"]
mod processes;
#[allow(dead_code, reason = "nodes of a cluster are not told whom to follow")]
#[path = "../replication/servers.rs"]
mod servers;

#[allow(dead_code, reason = "not all that it can do is asked for here")]
#[path = "../replication/silent.rs"]
mod silent;

mod abandoned;
mod answers;
mod beside;
mod emptied;
mod failing;
mod files;
mod flushing;
mod forgotten;
mod forming;
mod hanging;
mod hostile;
mod messages;
mod leaving;
mod nodes;
mod resharding;
mod resetting;
mod routed;
mod topology;
mod moving;

use std::env;
use std::io::Write as _;

use nodes::Cluster;
use servers::Kind;

/// Who is what: three primaries, and their replicas.
const MIXES: &[&str] = &["kkkkkk", "kkkvvv", "vvvkkk", "kvkvkv", "vkvkvk", "kkkrrr", "rrrkkk"];

/// Plays each mix whose servers are at hand, and says which are not.
fn play(name: &str, mixes: &[&str], row: impl Fn(&mut Cluster)) {
    play_with(name, mixes, &[], row);
}

/// The same with these options of all nodes.
fn play_with(name: &str, mixes: &[&str], options: &[&str], row: impl Fn(&mut Cluster)) {
    let only = env::var("ONLY").ok();
    let only = only.as_deref().map(|only| [only]);
    let mixes = only.as_ref().map_or(mixes, |only| &only[..]);
    let (mut played, mut missing) = (0, Vec::new());
    for mix in mixes {
        let kinds: Vec<Kind> = mix.chars().map(kind).collect();
        if kinds.iter().any(|kind| kind.program().is_none()) {
            missing.push(*mix);
            continue;
        }
        row(&mut Cluster::create(mix, &kinds, options));
        played += 1;
    }
    let missing = match missing.as_slice() {
        [] => String::new(),
        mixes => format!("; NOT PLAYED for want of servers: {}", mixes.join(", ")),
    };
    say(&format!("{name}: {played} mixes played{missing}"));
}

fn kind(letter: char) -> Kind {
    match letter {
        'k' => Kind::Keylane(2),
        'v' => Kind::Valkey91,
        '8' => Kind::Valkey81,
        'r' => Kind::Redis70,
        other => panic!("{other} is no kind"),
    }
}

/// Writes a line that is seen even when the test passes.
fn say(line: &str) {
    writeln!(std::io::stderr(), "cluster: {line}").expect("the terminal takes a line");
}
