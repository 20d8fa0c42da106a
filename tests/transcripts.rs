//! Runs `tests/transcripts/*.txt`, conversations with a server: on Keylane with one shard and with
//! three, and on a peer, so that what they claim is what Valkey does.
//!
//! `AGAINST=host:port` runs them on that server instead; it is flushed. The format, line by line:
//!
//! ```text
//! # A sentence: the title of a block. Blocks stand apart by a blank line. Each begins with
//! # FLUSHALL and fresh connections.
//! ! resp3            the block speaks RESP3
//! ! valkey           not for Redis, which differs      ! keylane    for Keylane alone
//! ! cluster          for the only node of a cluster: all else is for servers outside of one
//! > SET k "a b\x00"  a command, quoted as redis-cli takes it
//! < +OK              its reply: + - : , ( # _ as in the protocol; $text, =txt:text, $nil, *nil,
//! < $"\x00 \n"       and text that is not plain between quotes
//! < *2               members follow, indented by one space more: * ~ > and %, in pairs
//! <  :1
//! <  ?               any reply at all
//! < *2 in any order  the members, in whatever order
//! < ?:1*             a line of this shape: * stands for anything
//! @b > BLPOP k 0     on another connection, made when first named
//! @b < *2            what another connection receives, be it later
//! ~ 2                waits until two clients are blocked
//! ```
//!
//! A command without `<` lines is sent and not waited for.

mod client;
mod servers;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

use client::{Client, Reply, has_shape};
use servers::{
    start_alone_in_cluster, start_keylane, start_keylane_with, start_peer, start_peer_with,
};

#[test]
fn transcripts_hold_on_one_shard() {
    if env::var_os("AGAINST").is_none() {
        let server = start_keylane(1);
        run_all(&server.addr, Kind::Keylane, &server.name);
    }
}

#[test]
fn transcripts_hold_on_three_shards() {
    if env::var_os("AGAINST").is_none() {
        let server = start_keylane(3);
        run_all(&server.addr, Kind::Keylane, &server.name);
    }
}

#[test]
fn transcripts_hold_on_a_peer() {
    if let Ok(address) = env::var("AGAINST") {
        let kind = kind_of(&address);
        return run_all(&address, kind, &format!("{kind:?} at {address}"));
    }
    match start_peer() {
        Some(server) if server.is_reference() => {
            run_all(&server.addr, kind_of(&server.addr), &server.name);
        }
        Some(server) => say(&format!(
            "{} is not of the version whose answers these are: nothing tells whether they hold",
            server.name
        )),
        None => say("no peer found: nothing tells whether the transcripts are what Valkey does"),
    }
}

#[test]
fn transcripts_hold_in_a_cluster_on_one_shard() {
    if env::var_os("AGAINST").is_none() {
        let server = start_alone_in_cluster(|options| Some(start_keylane_with(1, options)));
        let server = server.expect("it starts");
        run_all(&server.addr, Kind::Keylane, &server.name);
    }
}

#[test]
fn transcripts_hold_in_a_cluster_on_three_shards() {
    if env::var_os("AGAINST").is_none() {
        let server = start_alone_in_cluster(|options| Some(start_keylane_with(3, options)));
        let server = server.expect("it starts");
        run_all(&server.addr, Kind::Keylane, &server.name);
    }
}

#[test]
fn transcripts_hold_in_a_cluster_on_a_peer() {
    if env::var_os("AGAINST").is_some() || !start_peer().is_some_and(|peer| peer.is_reference()) {
        return say("no Valkey of the right version: nothing tells of clusters whether they hold");
    }
    let server = start_alone_in_cluster(start_peer_with).expect("it started before");
    run_all(&server.addr, Kind::Valkey, &server.name);
}

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Keylane,
    Valkey,
    Redis,
}

/// For which servers a block is meant.
#[derive(Clone, Copy, Debug, Default)]
enum Audience {
    #[default]
    All,
    NotRedis,
    Keylane,
}

impl Audience {
    fn has(self, kind: Kind) -> bool {
        match self {
            Self::All => true,
            Self::NotRedis => kind != Kind::Redis,
            Self::Keylane => kind == Kind::Keylane,
        }
    }
}

fn kind_of(address: &str) -> Kind {
    let reply = Client::connect(address).and_then(|mut client| client.call(&["INFO", "server"]));
    let reply = reply.unwrap_or_else(|error| panic!("{address}: {error}"));
    let (Reply::Bulk(text) | Reply::Verbatim(text)) = reply else {
        panic!("{address} does not tell what it is: {}", reply.head());
    };
    let has = |name: &str| String::from_utf8_lossy(&text).contains(name);
    match (has("keylane_version"), has("valkey_version")) {
        (true, _) => Kind::Keylane,
        (false, true) => Kind::Valkey,
        (false, false) => Kind::Redis,
    }
}

/// Whether a server is a node of a cluster.
fn is_in_cluster(address: &str) -> bool {
    let reply = Client::connect(address).and_then(|mut client| client.call(&["INFO", "cluster"]));
    let reply = reply.unwrap_or_else(|error| panic!("{address}: {error}"));
    let (Reply::Bulk(text) | Reply::Verbatim(text)) = reply else { return false };
    String::from_utf8_lossy(&text).contains("cluster_enabled:1")
}

/// Runs every block that is meant for this kind of server, then tells of all that went wrong.
fn run_all(address: &str, kind: Kind, name: &str) {
    let (mut ran, mut skipped, mut failures) = (0, 0, String::new());
    let in_cluster = is_in_cluster(address);
    for block in read_all() {
        if !block.audience.has(kind) || block.in_cluster != in_cluster {
            skipped += 1;
            continue;
        }
        ran += 1;
        if let Err(failure) = block.run(address) {
            writeln!(failures, "{failure}\n").expect("a string takes all");
        }
    }
    say(&format!("{ran} blocks ran on {name}; {skipped} are for other servers"));
    assert!(failures.is_empty(), "on {name}:\n\n{failures}");
}

/// Writes a line that is seen even when the test passes.
fn say(line: &str) {
    writeln!(io::stderr(), "transcripts: {line}").expect("the terminal takes a line");
}

/// One conversation.
#[derive(Debug, Default)]
struct Block {
    file: String,
    title: String,
    resp3: bool,
    audience: Audience,
    in_cluster: bool,
    steps: Vec<Step>,
}

/// Something to send, replies to wait for, or both.
#[derive(Debug)]
struct Step {
    line: usize,
    connection: String,
    /// The command as it is written, and its arguments.
    command: Option<(String, Vec<Vec<u8>>)>,
    expected: Vec<Pattern>,
    /// How many clients must be blocked before it goes on.
    blocked: Option<usize>,
}

/// How often it is asked how many clients are blocked, before that is a failure.
const LOOKS: u32 = 10_000;

/// What a reply must look like.
#[derive(Debug, PartialEq)]
enum Pattern {
    /// Anything.
    Any,
    /// The line that shows it has this shape.
    Shape(String),
    /// The line that shows it is this.
    Line(String),
    /// The line, and what follows it.
    Group(String, Vec<Pattern>),
    /// The line, and what follows it in whatever order.
    Unordered(String, Vec<Pattern>),
}

impl Block {
    fn run(&self, address: &str) -> Result<(), String> {
        let mut connections = BTreeMap::new();
        let connect = || -> io::Result<Client> {
            let mut client = Client::connect(address)?;
            if self.resp3 {
                client.call(&["HELLO", "3"])?;
            }
            Ok(client)
        };
        let failed = |line: usize, what: &str| format!("{}:{line}: {what}", self.file);
        let mut last = self.steps.first().map_or(0, |step| step.line);
        let flushed = connect().and_then(|mut client| client.call(&["FLUSHALL"]));
        match flushed {
            Ok(Reply::Simple(_)) => {}
            Ok(other) => return Err(failed(last, &format!("FLUSHALL says {}", other.head()))),
            Err(error) => return Err(failed(last, &format!("no connection: {error}"))),
        }
        for step in &self.steps {
            last = step.line;
            if let Some(count) = step.blocked {
                let mut client = connect().map_err(|error| failed(last, &error.to_string()))?;
                wait_for_blocked(&mut client, count).map_err(|what| failed(last, &what))?;
                continue;
            }
            if !connections.contains_key(&step.connection) {
                let made = connect().map_err(|error| failed(last, &error.to_string()))?;
                connections.insert(step.connection.clone(), made);
            }
            let client = connections.get_mut(&step.connection).expect("it was made just now");
            step.run(client).map_err(|what| {
                let said = step.command.as_ref().map_or("", |command| &command.0);
                failed(last, &format!("{said}   ({})\n{what}", self.title))
            })?;
        }
        for (name, mut client) in connections {
            let unread = client.unread().unwrap_or_default();
            if !unread.is_empty() {
                let what = format!("connection {name:?} got more: {}", client::shown(&unread));
                return Err(failed(last, &what));
            }
        }
        Ok(())
    }
}

/// Waits until so many clients are blocked.
fn wait_for_blocked(client: &mut Client, count: usize) -> Result<(), String> {
    let mut text = String::new();
    for _ in 0..LOOKS {
        let reply = client.call(&["INFO", "clients"]).map_err(|error| error.to_string())?;
        let (Reply::Bulk(info) | Reply::Verbatim(info)) = reply else {
            return Err(format!("INFO says {}", reply.head()));
        };
        text = String::from_utf8_lossy(&info).into_owned();
        if text.contains(&format!("\nblocked_clients:{count}\r")) {
            return Ok(());
        }
    }
    Err(format!("there are never {count} clients blocked:\n{text}"))
}

impl Step {
    /// An empty one.
    fn at(line: usize) -> Self {
        Self { line, connection: String::new(), command: None, expected: Vec::new(), blocked: None }
    }

    fn run(&self, client: &mut Client) -> Result<(), String> {
        if let Some((_, args)) = &self.command {
            client.send(args).map_err(|error| error.to_string())?;
        }
        for expected in &self.expected {
            let got = client
                .receive()
                .map_err(|error| format!("expected:\n{}got: {error}", expected.indented_lines()))?;
            if !expected.matches(&got) {
                let lines: String = got.lines().iter().map(|line| format!("  {line}\n")).collect();
                return Err(format!("expected:\n{}got:\n{lines}", expected.indented_lines()));
            }
        }
        Ok(())
    }
}

impl Pattern {
    fn matches(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Self::Any, _) => true,
            (Self::Shape(shape), reply) => has_shape(reply.head().as_bytes(), shape.as_bytes()),
            (Self::Line(line), Reply::Group(_, members)) => {
                members.is_empty() && *line == reply.head()
            }
            (Self::Line(line), reply) => *line == reply.head(),
            (Self::Group(head, expected), Reply::Group(_, members)) => {
                *head == reply.head()
                    && expected.len() == members.len()
                    && expected.iter().zip(members).all(|(one, member)| one.matches(member))
            }
            (Self::Unordered(head, expected), Reply::Group(_, members)) => {
                let mut left: Vec<&Reply> = members.iter().collect();
                let mut all = *head == reply.head() && expected.len() == members.len();
                for one in expected {
                    match left.iter().position(|member| one.matches(member)) {
                        Some(at) => drop(left.swap_remove(at)),
                        None => all = false,
                    }
                }
                all
            }
            (Self::Group(..) | Self::Unordered(..), _) => false,
        }
    }

    fn indented_lines(&self) -> String {
        let mut lines = String::new();
        self.push_lines(2, &mut lines);
        lines
    }

    fn push_lines(&self, indent: usize, lines: &mut String) {
        let (line, members): (String, &[Self]) = match self {
            Self::Any => ("?".into(), &[]),
            Self::Shape(shape) => (format!("?{shape}"), &[]),
            Self::Line(line) => (line.clone(), &[]),
            Self::Group(head, members) => (head.clone(), members),
            Self::Unordered(head, members) => (format!("{head}{ANY_ORDER}"), members),
        };
        writeln!(lines, "{:indent$}{line}", "").expect("a string takes all");
        for member in members {
            member.push_lines(indent + 1, lines);
        }
    }
}

const ANY_ORDER: &str = " in any order";

/// All blocks of all files.
fn read_all() -> Vec<Block> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let files = fs::read_dir(&folder).expect("the transcripts are in the repository");
    let mut paths: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let blocks = paths.iter().flat_map(|path| {
        let text = fs::read_to_string(path).expect("transcripts are text");
        let name = path.file_name().expect("it is a file").to_string_lossy();
        read(&format!("tests/transcripts/{name}"), &text)
    });
    blocks.collect()
}

/// The blocks of one file.
fn read(file: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block = Block::default();
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let (line, number) = (lines[at], at + 1);
        let wrong = |what: &str| -> ! { panic!("{file}:{number}: {what}: {line:?}") };
        at += 1;
        if line.is_empty() {
            if !block.title.is_empty() {
                blocks.push(std::mem::take(&mut block));
            }
            continue;
        }
        if let Some(title) = line.strip_prefix("# ") {
            if block.title.is_empty() {
                block = Block { file: file.into(), title: title.into(), ..Block::default() };
            }
            continue;
        }
        if block.title.is_empty() {
            wrong("a block begins with a title");
        }
        if let Some(name) = line.strip_prefix("! ") {
            match name {
                "resp3" => block.resp3 = true,
                "valkey" => block.audience = Audience::NotRedis,
                "keylane" => block.audience = Audience::Keylane,
                "cluster" => block.in_cluster = true,
                _ => wrong("the directives are resp3, valkey, keylane and cluster"),
            }
            continue;
        }
        if let Some(count) = line.strip_prefix("~ ") {
            let blocked = count.parse().unwrap_or_else(|_| wrong("a number follows ~"));
            block.steps.push(Step { blocked: Some(blocked), ..Step::at(number) });
            continue;
        }
        let (connection, rest) = match line.strip_prefix('@').map(|rest| rest.split_once(' ')) {
            Some(Some((name, rest))) => (name, rest),
            Some(None) => wrong("a connection's name is followed by > or <"),
            None => ("", line),
        };
        let connection = connection.to_string();
        if let Some(command) = rest.strip_prefix("> ") {
            let args = split_args(command).unwrap_or_else(|| wrong("quotes do not match"));
            let command = Some((command.to_string(), args));
            block.steps.push(Step { connection, command, ..Step::at(number) });
        } else if rest.starts_with("< ") {
            // Without a name it is the reply to the command just before.
            let step = match block.steps.last_mut() {
                Some(step) if connection.is_empty() || connection == step.connection => step,
                _ if connection.is_empty() => wrong("there is no command before this reply"),
                _ => {
                    block.steps.push(Step { connection, ..Step::at(number) });
                    block.steps.last_mut().expect("it was pushed just now")
                }
            };
            at -= 1;
            let pattern = read_pattern(&lines, &mut at, 0).unwrap_or_else(|what| wrong(&what));
            step.expected.push(pattern);
        } else {
            wrong("a line begins with # ! > < ~ or @name");
        }
    }
    if !block.title.is_empty() {
        blocks.push(block);
    }
    blocks
}

/// The reply that begins at line `at` with this indentation; `at` moves behind it.
fn read_pattern(lines: &[&str], at: &mut usize, depth: usize) -> Result<Pattern, String> {
    let line = lines.get(*at).ok_or("members are missing")?;
    let rest = if depth == 0 { line.find("< ").map(|start| &line[start..]) } else { Some(*line) };
    let text = rest.and_then(|rest| rest.strip_prefix("< "));
    let text = text.and_then(|text| text.strip_prefix(" ".repeat(depth).as_str()));
    let text = text.filter(|text| !text.starts_with(' '));
    let text = text.ok_or_else(|| format!("a reply indented by {depth} should be here"))?;
    *at += 1;
    if let Some(shape) = text.strip_prefix('?') {
        let any = shape.is_empty();
        return Ok(if any { Pattern::Any } else { Pattern::Shape(shape.into()) });
    }
    let (head, unordered) = match text.strip_suffix(ANY_ORDER) {
        Some(head) => (head, true),
        None => (text, false),
    };
    let count = match head.split_at_checked(1) {
        Some(("*" | "~" | ">", count)) => count.parse::<usize>().ok(),
        Some(("%", count)) => count.parse().ok().map(|pairs: usize| 2 * pairs),
        _ => None,
    };
    let Some(count) = count else { return Ok(Pattern::Line(text.into())) };
    let members = (0..count).map(|_| read_pattern(lines, at, depth + 1));
    let members = members.collect::<Result<Vec<_>, _>>()?;
    let head = head.to_string();
    Ok(if unordered { Pattern::Unordered(head, members) } else { Pattern::Group(head, members) })
}

/// Splits a line as redis-cli does; `None` if a quote is missing.
fn split_args(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line.trim_start().as_bytes();
    while !rest.is_empty() {
        let mut arg = Vec::new();
        loop {
            rest = match rest {
                [] | [b' ', ..] => break,
                [b'"', quoted @ ..] => unquote(quoted, &mut arg)?,
                [b'\'', quoted @ ..] => {
                    let end = quoted.iter().position(|byte| *byte == b'\'')?;
                    arg.extend_from_slice(&quoted[..end]);
                    &quoted[end + 1..]
                }
                [byte, rest @ ..] => {
                    arg.push(*byte);
                    rest
                }
            };
        }
        args.push(arg);
        rest = rest.trim_ascii_start();
    }
    Some(args)
}

/// Appends what stands up to the closing quote; returns what follows it.
fn unquote<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'x', high, low, rest @ ..] => {
                let digits = [*high, *low];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest
            }
            [b'\\', escaped, rest @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                });
                rest
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
        };
    }
}

#[test]
fn arguments_are_split_as_redis_cli_does() {
    let check = |line: &str, expected: &[&[u8]]| {
        let expected: Vec<Vec<u8>> = expected.iter().map(|arg| arg.to_vec()).collect();
        assert_eq!(split_args(line), Some(expected), "{line}");
    };
    check("SET  a b ", &[b"SET", b"a", b"b"]);
    check(r#"SET "a \"b" '' "#, &[b"SET", br#"a "b"#, b""]);
    check(r#""\x00\n\\" 'a"b\'"#, &[b"\0\n\\", br#"a"b\"#]);
    assert_eq!(split_args(r#"SET "a"#), None);
}

#[test]
fn a_reply_matches_what_its_lines_say() {
    let check = |lines: &str, reply: Reply, matches: bool| {
        let blocks = read("test", &format!("# Title.\n> X\n{lines}"));
        let expected = &blocks[0].steps[0].expected[0];
        assert_eq!(expected.matches(&reply), matches, "{lines}");
    };
    let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
    let pair = || Reply::Group('*', vec![bulk("a"), Reply::Integer(1)]);
    check("< $a b", bulk("a b"), true);
    check("< $\"nil\"", bulk("nil"), true);
    check("< $nil", bulk("nil"), false);
    check("< $nil", Reply::NullBulk, true);
    check("< +a", bulk("a"), false);
    check("< ?$a*c", bulk("abbc"), true);
    check("< ?$a*c", bulk("abbcd"), false);
    check("< ?", pair(), true);
    check("< *2\n<  $a\n<  :1", pair(), true);
    check("< *2\n<  :1\n<  $a", pair(), false);
    check("< *2 in any order\n<  :1\n<  $a", pair(), true);
    check("< *2 in any order\n<  :1\n<  :1", pair(), false);
    check("< *1\n<  *2\n<   ?\n<   :1", Reply::Group('*', vec![pair()]), true);
    check("< *0", Reply::Group('*', vec![]), true);
    check("< %1\n<  $a\n<  :1", Reply::Group('%', vec![bulk("a"), Reply::Integer(1)]), true);
}
