//! Tools that read a server as a replica does: `valkey-cli` with `--replica`, `--rdb` and
//! `--functions-rdb`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::Reply;
use crate::compare::first_difference;
use crate::load::Load;
use crate::matrix::READ_BY_TOOLS;
use crate::processes::Server;
use crate::servers::{Kind, client_program, until};
use crate::{SEED, Tally, say};

/// Commands that are there to be read.
const COMMANDS: u64 = 2_000;
/// A library of functions.
const LIBRARY: &str = "#!lua name=planted\n\
                       server.register_function('planted', function() return 7 end)";

#[test]
fn tools_read_what_a_replica_would() {
    let tool = client_program().expect("valkey-cli or redis-cli is at hand");
    let mut tally = Tally::new("tools");
    for kind in READ_BY_TOOLS {
        if tally.takes(&[*kind]) {
            read(*kind, &tool);
        }
    }
    tally.tell();
    say(&format!("tools: read by {}", tool.display()));
}

fn read(kind: Kind, tool: &Path) {
    let server = kind.start(&[]).expect("the tally found it");
    let mut load = Load::for_servers(SEED, &[kind], &[&server]);
    let part = load.begin(COMMANDS);
    load.send(part, &server);
    let library =
        LIBRARY.replace("server.", if kind == Kind::Redis70 { "redis." } else { "server." });
    let loaded = server.client().call(&["FUNCTION", "LOAD", &library]).expect("it answers");
    let has_functions = !matches!(loaded, Reply::Error(_));
    assert!(has_functions || matches!(kind, Kind::Keylane(_)), "{loaded:?}");
    let mut restored = kind.start(&[]).expect("the tally found it");

    fetch(tool, &server, "--rdb", &mut restored);
    let equal = || first_difference(&server, &restored).is_none();
    let describe = || {
        first_difference(&server, &restored).map_or_else(String::new, |found| {
            format!("{}: {found}{}", kind.name(), load.recent(found.db, &found.key))
        })
    };
    until("what --rdb fetched is equal", equal, describe);
    assert_eq!(functions(&server), functions(&restored), "{}", kind.name());

    if has_functions {
        fetch(tool, &server, "--functions-rdb", &mut restored);
        assert_eq!(functions(&server), functions(&restored), "{}", kind.name());
        let keys = restored.client().call(&["DBSIZE"]).expect("it answers");
        assert_eq!(keys, Reply::Integer(0), "{}: functions and nothing else", kind.name());
    }
    stream(tool, &server);
}

fn functions(server: &Server) -> Reply {
    server.client().call(&["FUNCTION", "LIST", "WITHCODE"]).expect("the server answers")
}

/// Lets the tool fetch a snapshot, with which the other server then starts.
fn fetch(tool: &Path, server: &Server, option: &str, restored: &mut Server) {
    restored.kill();
    let file = restored.folder().join("dump.rdb");
    let mut command = tool_for(tool, server);
    let output = command.arg(option).arg(&file).output().expect("the tool runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {option}: {said}", server.name);
    let bytes = fs::metadata(&file).map_or(0, |file| file.len());
    assert!(0 < bytes, "{}: {option}: {said}", server.name);
    restored.start_again();
}

#[test]
fn a_file_of_plain_keys_is_one_that_redis_7_reads() {
    let mut tally = Tally::new("old files");
    if tally.takes(&[Kind::Redis70]) {
        let checker = Kind::Redis70.program().expect("the tally found it");
        let checker = checker.with_file_name("redis-check-rdb");
        let tool = client_program().expect("valkey-cli or redis-cli is at hand");
        let server = Kind::Keylane(2).start(&[]).expect("it is built");
        for command in ["SET s 1", "HSET h f v", "RPUSH l a", "ZADD z 1 a", "XADD x 1-1 f v"] {
            let words: Vec<&str> = command.split(' ').collect();
            let reply = server.client().call(&words).expect("it answers");
            assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
        }
        let file = server.folder().join("tool.rdb");
        let output = tool_for(&tool, &server).arg("--rdb").arg(&file).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let bytes = fs::read(&file).expect("the tool wrote it");
        assert_eq!(bytes[..9].escape_ascii().to_string(), "REDIS0010");
        let checked = Command::new(checker).arg(&file).output().expect("it runs");
        assert!(checked.status.success(), "{checked:?}");
    }
    tally.tell();
}

/// Lets the tool show the stream, until a command comes by that was written meanwhile.
fn stream(tool: &Path, server: &Server) {
    let shown = Arc::new(AtomicBool::new(false));
    let mut command = tool_for(tool, server);
    let child = command.arg("--replica").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = Ended(child.expect("the tool runs"));
    let output = child.0.stdout.take().expect("it was asked for");
    let seen = Arc::clone(&shown);
    let reading = thread::Builder::new().spawn(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let whole = "\"set\",\"streamed\",\"by and by\"";
        let found = lines.any(|line| line.to_lowercase().contains(whole));
        seen.store(found, Ordering::Relaxed);
    });
    let mut client = server.client();
    let mut write = || {
        let reply = client.call(&["SET", "streamed", "by and by"]);
        assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
        shown.load(Ordering::Relaxed)
    };
    until("--replica shows a write", &mut write, || server.output());
    drop(child);
    reading.expect("there is room for a thread").join().expect("the reader does not panic");
}

fn tool_for(tool: &Path, server: &Server) -> Command {
    let (host, port) = server.addr.rsplit_once(':').expect("an address has a port");
    let mut command = Command::new(tool);
    command.args(["-h", host, "-p", port]).stdin(Stdio::null());
    command
}

/// A process that ends with the value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
