//! Compares what COMMAND INFO and COMMAND DOCS say of our commands with what the reference says
//! of its own, which is in `tests/data/commands.json`.

mod client;
mod servers;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use client::Reply;
use keylane::clients::client::Client;
use keylane::clients::ctx::ClientCtx;
use keylane::commands::table::{Commands, build};
use keylane::config::table::Config;
use keylane::pubsub::interest::Interest;
use keylane::reactor::clock::{CycleRate, Monotonic};
use keylane::reactor::ring::Token;
use keylane::routing::call::Table;
use keylane::routing::node::{Condition, Node};
use keylane::routing::slots::SlotMap;
use serde_json::{Map, Value, json};
use shards::base::hash::HashSeed;
use shards::resp::reply::{Protocol, Replies};

/// What is compared word for word.
const FIELDS: &[&str] =
    &["arity", "flags", "range", "categories", "tips", "keys", "since", "group"];

/// Where we differ on purpose: command, field, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

#[test]
fn commands_are_described_as_the_reference_describes_them() {
    let (reference, ours) = (reference(), ours());
    let mut differences = String::new();
    for (name, theirs) in &reference {
        let Some(ours) = ours.get(name) else { continue };
        for field in FIELDS {
            let excepted =
                EXCEPTIONS.iter().any(|(of, which, _)| (of, which) == (&name.as_str(), field));
            let same = ours[field] == theirs[field];
            if same == excepted {
                let (ours, theirs) = (&ours[field], &theirs[field]);
                let line = format!("{name}: {field}\n   ours   {ours}\n   theirs {theirs}\n");
                differences.push_str(&line);
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn arguments_have_the_types_of_the_reference() {
    let (reference, ours) = (reference(), ours());
    let (mut differences, mut others) = (String::new(), Vec::new());
    for (name, theirs) in &reference {
        let Some(ours) = ours.get(name) else { continue };
        let (ours, theirs) = (&ours["arguments"], &theirs["arguments"]);
        if ours != theirs {
            others.push(name.as_str());
        }
        let (mut found, mut known) = (Vec::new(), Vec::new());
        leaves(ours, &mut found);
        leaves(theirs, &mut known);
        for (argument, kind) in found.iter().filter(|leaf| !known.contains(leaf)) {
            differences.push_str(&format!("{name}: {argument} is a {kind}\n"));
        }
    }
    say(&format!("arguments are grouped or named otherwise than there: {}", others.join(" ")));
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn all_our_commands_are_of_the_reference() {
    let (reference, ours) = (reference(), ours());
    let missing: Vec<&str> =
        reference.keys().filter(|name| !ours.contains_key(*name)).map(String::as_str).collect();
    let (count, all) = (missing.len(), reference.len());
    say(&format!("{count} of {all} commands are missing: {}", missing.join(" ")));
    // DEBUG has subcommands there as well, but COMMAND does not tell of them. KEYLANE is what two
    // servers of this kind say to each other, CLUSTERX what a controller of Kvrocks says.
    let is_own = |name: &str| matches!(name, "keylane" | "clusterx") || name.starts_with("debug|");
    let unknown = |name: &&String| !reference.contains_key(*name) && !is_own(name);
    let unknown: Vec<&String> = ours.keys().filter(unknown).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// What the reference says; with `UPDATE` set, a running one is asked and the file written anew.
fn reference() -> Map<String, Value> {
    let path = path();
    if env::var_os("UPDATE").is_some()
        && let Some(server) = servers::start_peer()
    {
        let mut client = server.client();
        let mut ask = |args: &[&str]| value(client.call(args).expect("the reference answers"));
        ask(&["HELLO", "3"]);
        let facts = facts(&ask(&["COMMAND"]), &ask(&["COMMAND", "DOCS"]));
        let lines: Vec<String> =
            facts.iter().map(|(name, facts)| format!("{}: {facts}", json!(name))).collect();
        fs::write(&path, format!("{{\n{}\n}}\n", lines.join(",\n"))).expect("it can be written");
    }
    let text = fs::read_to_string(&path).expect("it is in the repository");
    serde_json::from_str(&text).expect("it is a map")
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/commands.json")
}

/// What our own COMMAND says.
fn ours() -> Map<String, Value> {
    facts(&call(&["COMMAND"]), &call(&["COMMAND", "DOCS"]))
}

/// What a client command answers, in RESP3.
fn call(args: &[&str]) -> Value {
    let commands = build(&[]).expect("nothing is renamed");
    let commands: &'static Commands = Box::leak(Box::new(commands));
    let node = node(&commands.table);
    let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
    let mut client = Client::new(1, Token::default(), 0, node.now);
    let call = node.table.find(&args).expect("there is such a command");
    let run = commands.of_clients.of(call);
    let mut out = Vec::new();
    let replies = Replies::new(&mut out, Protocol::Resp3);
    let interest = &Interest::default();
    run(&mut ClientCtx { args: &args, client: &mut client, replies, interest, node: &node })
        .expect("it succeeds");
    let mut rest = out.as_slice();
    let reply = parse(&mut rest);
    assert!(rest.is_empty(), "one reply and no more");
    value(reply)
}

fn node(table: &'static Table) -> Node {
    Node {
        cluster: None,
        config: Arc::new(Config::default()),
        table,
        slots: SlotMap::even(1),
        seed: HashSeed(1),
        cycle_rate: CycleRate::measure(),
        condition: Condition::default(),
        started: Monotonic::now(),
        now: Monotonic::now(),
    }
}

/// The first reply of some bytes, which move behind it.
fn parse(bytes: &mut &[u8]) -> Reply {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
    let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
    let text = std::str::from_utf8(&line[1..]).expect("it is text");
    let number = || text.parse::<i64>().expect("it is a number");
    let length = || text.parse::<usize>().expect("it is a length");
    *bytes = rest;
    match line[0] {
        b'+' => Reply::Simple(text.into()),
        b':' => Reply::Integer(number()),
        b'$' => {
            let (text, rest) = rest.split_at(length());
            *bytes = &rest[2..];
            Reply::Bulk(text.into())
        }
        kind @ (b'*' | b'~') => {
            let members = (0..length()).map(|_| parse(bytes)).collect();
            Reply::Group(kind.into(), members)
        }
        b'%' => Reply::Group('%', (0..2 * length()).map(|_| parse(bytes)).collect()),
        kind => panic!("no such reply is expected: {}", char::from(kind)),
    }
}

fn value(reply: Reply) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        Reply::Simple(bytes) | Reply::Bulk(bytes) => text(&bytes).into(),
        Reply::Integer(n) => n.into(),
        Reply::Group('%', members) => {
            let pairs = members.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            let key = |key| value(key).as_str().expect("keys are text").to_owned();
            Value::Object(pairs.map(|(k, v)| (key(k), value(v))).collect())
        }
        Reply::Group(_, members) => members.into_iter().map(value).collect(),
        other => panic!("no such reply is expected: {}", other.head()),
    }
}

/// What is to be known of each command and subcommand, by name.
fn facts(info: &Value, docs: &Value) -> Map<String, Value> {
    let mut facts = Map::new();
    gather(info, docs, &mut facts);
    facts
}

fn gather(info: &Value, docs: &Value, facts: &mut Map<String, Value>) {
    for one in info.as_array().expect("a list of commands") {
        let name = one[0].as_str().expect("a name");
        let docs = &docs[name];
        let mut keys = one[8].clone();
        // Notes for readers: the specifications here have none.
        for key in keys.as_array_mut().expect("a list of key specifications") {
            key.as_object_mut().expect("a map").remove("notes");
        }
        let fact = json!({
            "arity": one[1], "flags": one[2], "range": [one[3], one[4], one[5]],
            "categories": one[6], "tips": one[7], "keys": keys,
            "since": docs["since"], "group": docs["group"],
            "arguments": docs.get("arguments").map(arguments),
        });
        facts.insert(name.to_owned(), fact);
        gather(&one[9], &docs["subcommands"], facts);
    }
}

/// Arguments without what only readers need.
fn arguments(all: &Value) -> Value {
    let bare = |argument: &Value| {
        let kept = ["name", "type", "token", "flags", "key_spec_index"];
        let kept = kept.iter().filter(|field| argument.get(*field).is_some());
        let mut bare: Map<String, Value> =
            kept.map(|field| ((*field).to_owned(), argument[field].clone())).collect();
        if let Some(members) = argument.get("arguments") {
            bare.insert("arguments".to_owned(), arguments(members));
        }
        Value::Object(bare)
    };
    all.as_array().expect("a list of arguments").iter().map(bare).collect()
}

/// Names and types of all arguments that are no groups.
fn leaves(arguments: &Value, found: &mut Vec<(String, String)>) {
    for argument in arguments.as_array().into_iter().flatten() {
        let text = |field: &str| argument[field].as_str().expect("it is text").to_owned();
        match argument.get("arguments") {
            Some(members) => leaves(members, found),
            None => found.push((text("name"), text("type"))),
        }
    }
}

/// Writes a line that is seen even when the test passes.
fn say(line: &str) {
    writeln!(io::stderr(), "commands: {line}").expect("the terminal takes a line");
}
