//! What people read about commands and settings is what the code knows: the README's tables and
//! the sample file are generated. `UPDATE=1 cargo test --test readme` rewrites them.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use keylane::commands::table;
use keylane::config::sample;
use keylane::routing::call::Call;

#[test]
fn the_readme_lists_every_command_and_setting() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("there is a README");
    let mut wanted = readme.clone();
    for (name, table) in [
        ("commands", commands()),
        ("settings", sample::readme_table()),
        ("valkey-settings", sample::readme_valkey_table()),
    ] {
        wanted = with_table(&wanted, name, &table);
    }
    keep_equal(&path, &readme, &wanted);
}

#[test]
fn the_sample_file_has_every_setting() {
    let path = root().join("scripts/keylane.conf");
    // If it is not there, it is to be written.
    let sample = fs::read_to_string(&path).unwrap_or_default();
    keep_equal(&path, &sample, &sample::sample());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn keep_equal(path: &Path, is: &str, wanted: &str) {
    if env::var_os("UPDATE").is_some() && is != wanted {
        fs::write(path, wanted).expect("the repository can be written");
    } else {
        let name = path.display();
        assert!(is == wanted, "{name} is behind: run UPDATE=1 cargo test --test readme");
    }
}

/// `text` with `table` between the marks of this name.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the README has the first mark");
    let (_, after) = rest.split_once(&end).expect("the README has the second mark");
    [before, &begin, table, &end, after].concat()
}

/// The table of commands, by group and name.
fn commands() -> String {
    let table = table::build(&[]).expect("no renames, no errors").table;
    let mut calls: Vec<&Call> = table
        .calls
        .iter()
        .flat_map(|call| std::iter::once(call).chain(&call.subcommands))
        .collect();
    calls.sort_by_key(|call| (call.spec.group.name(), call.spec.name));
    let mut text = String::from("| Command | Since | Group | What it does |\n|---|---|---|---|\n");
    for call in calls {
        let spec = call.spec;
        let name = spec.name.replace('|', " ").to_uppercase();
        let (since, group) = (spec.since, spec.group.name());
        let summary = spec.summary.replace('|', "\\|");
        writeln!(text, "| `{name}` | {since} | {group} | {summary} |").expect("a string takes all");
    }
    text
}
