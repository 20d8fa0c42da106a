//! CONFIG REWRITE and the files it writes; who may use DEBUG and change protected settings.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::client::{Client, Reply};
use crate::running::{Folder, Running, free_port};

#[test]
fn a_rewritten_file_gives_the_settings_in_force() {
    let (folder, port) = (Folder::new(), free_port());
    let file = folder.write("a.conf", "# mine\nhz 20\nsave 900 1\nslowlog-max-len 5\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let options = [&*file, "--port", &port.to_string(), "--dir", &folder.path("")];
    let running = start(&options);
    let mut client = running.client(port);
    check(&mut client, "CONFIG SET hz 30 maxmemory 5mb slowlog-max-len 7", "+OK");
    check(&mut client, "CONFIG REWRITE", "+OK");
    let text = fs::read_to_string(&file).expect("it is there");
    for line in ["# mine", "hz 30", "save 900 1", "maxmemory 5mb", &format!("port {port}")] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in:\n{text}");
    }
    assert!(!text.contains("slowlog-max-len 5"), "{text}");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(&folder.0).expect("it is ours").count(), 1, "nothing else is left");
    drop(running);
    // The kernel takes a while to close what a ring that is gone was accepting on.
    let second = free_port();
    let running = start(&[&file, "--port", &second.to_string()]);
    let mut client = running.client(second);
    check(&mut client, "CONFIG GET maxmemory", "*2 $maxmemory $5242880");
    check(&mut client, "CONFIG GET slowlog-max-len", "*2 $slowlog-max-len $7");
    check(&mut client, "CONFIG REWRITE", "+OK");
    let wanted = text.replace(&format!("port {port}"), &format!("port {second}"));
    assert_eq!(fs::read_to_string(&file).expect("it is there"), wanted);
}

#[test]
fn a_file_that_cannot_be_written_stays_and_the_reason_is_told() {
    let (folder, port) = (Folder::new(), free_port());
    fs::create_dir(folder.0.join("sub")).expect("the folder is ours");
    let file = folder.write("sub/a.conf", "hz 20\n");
    let running = start(&[&file, "--port", &port.to_string(), "--dir", &folder.path("")]);
    let mut client = running.client(port);
    fs::remove_dir_all(folder.0.join("sub")).expect("the folder is ours");
    let expected = "-ERR Rewriting config file: No such file or directory";
    check(&mut client, "CONFIG REWRITE", expected);
}

#[test]
fn debug_is_for_whom_the_file_allows() {
    const REFUSED: &str = "-ERR DEBUG command not allowed. If the enable-debug-command option is \
                           set to \"local\", you can run it from a local connection, otherwise \
                           you need to set this option in the configuration file, and then \
                           restart the server.";
    for (allowed, reply) in [("no", REFUSED), ("yes", "+OK"), ("local", "+OK")] {
        let (folder, port) = (Folder::new(), free_port());
        let options = ["--enable-debug-command", allowed, "--dir", &folder.path("")];
        let running = Running::ready(port, &options);
        let mut client = running.client(port);
        check(&mut client, "DEBUG SLEEP 0", reply);
        check(&mut client, "MULTI", "+OK");
        let queued = if allowed == "no" { REFUSED } else { "+QUEUED" };
        check(&mut client, "DEBUG OBJECT a", queued);
        check(&mut client, "DISCARD", "+OK");
        if allowed == "no" {
            check(&mut client, "SET a 1", "+OK");
            check(&mut client, "DEBUG OBJECT a", REFUSED);
            check(&mut client, "DEBUG nosuch", REFUSED);
        }
    }
}

#[test]
fn the_working_folder_is_protected() {
    let (folder, port) = (Folder::new(), free_port());
    let here = folder.path("");
    let options = ["--enable-protected-configs", "local", "--dir", &here];
    let running = Running::ready(port, &options);
    let mut client = running.client(port);
    let nosuch = "-ERR CONFIG SET failed (possibly related to argument 'dir') - No such file or \
                  directory";
    check(&mut client, "CONFIG SET dir nosuch", nosuch);
    fs::create_dir(folder.0.join("sub")).expect("the folder is ours");
    check(&mut client, "CONFIG SET dir sub", "+OK");
    let sub = fs::canonicalize(folder.0.join("sub")).expect("it is there");
    check(&mut client, "CONFIG GET dir", &format!("*2 $dir ${}", sub.display()));
}

fn start(options: &[&str]) -> Running {
    let mut running = Running::start(crate::running::keylane().args(options));
    running.wait_for("Ready to accept connections");
    running
}

#[track_caller]
fn check(client: &mut Client, line: &str, expected: &str) {
    let args: Vec<&str> = line.split(' ').collect();
    let reply = client.call(&args).expect("the server answers");
    let lines: Vec<String> = reply.lines().iter().map(|line| line.trim().to_owned()).collect();
    assert_eq!(lines.join(" "), expected, "{line}");
}

#[test]
fn port_and_bind_change_while_clients_stay() {
    for shards in ["1", "2"] {
        let (first, second, taken) = (free_port(), free_port(), free_port());
        let other = Running::ready(taken, &["--bind", "127.0.0.1"]);
        let running = Running::ready(first, &["--shards", shards, "--bind", "127.0.0.1"]);
        let mut client = running.client(first);
        let connects = |address: &str, port: u16| {
            let client = Client::connect(&format!("{address}:{port}"));
            client.is_ok_and(|mut client| client.call(&["PING"]).is_ok())
        };
        // Nothing changes when one of several settings cannot.
        check(
            &mut client,
            &format!("CONFIG SET maxmemory 5mb port {taken}"),
            "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on \
             this port. Check server logs.",
        );
        check(&mut client, "CONFIG GET maxmemory", "*2 $maxmemory $0");
        check(&mut client, "CONFIG GET port", &format!("*2 $port ${first}"));
        check(
            &mut client,
            "CONFIG SET bind 192.0.2.1",
            "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to \
             specified addresses.",
        );
        assert!(connects("127.0.0.1", first) && connects("127.0.0.1", taken));
        check(&mut client, &format!("CONFIG SET port {second}"), "+OK");
        check(&mut client, "CONFIG GET port", &format!("*2 $port ${second}"));
        assert!(connects("127.0.0.1", second) && !connects("127.0.0.1", first));
        client.send(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"]).unwrap();
        assert_eq!(client.receive().unwrap(), Reply::Simple(b"OK".into()));
        assert!(connects("127.0.0.1", second) && connects("127.0.0.2", second));
        check(&mut client, "CONFIG SET bind 127.0.0.2", "+OK");
        assert!(!connects("127.0.0.1", second) && connects("127.0.0.2", second));
        // To and fro, with clients that come at any time.
        for round in 0..100 {
            let port = if round % 2 == 0 { first } else { second };
            check(&mut client, &format!("CONFIG SET port {port} bind 127.0.0.1"), "+OK");
            assert!(connects("127.0.0.1", port), "round {round}");
        }
        check(&mut client, "CONFIG SET port 0", "+OK");
        assert!(!connects("127.0.0.1", first) && !connects("127.0.0.1", second));
        check(&mut client, "PING", "+PONG");
        drop(other);
    }
}

#[test]
fn the_unix_socket_moves_for_whom_the_file_allows() {
    let (folder, port) = (Folder::new(), free_port());
    let options = ["--dir", &folder.path(""), "--bind", "127.0.0.1", "--unixsocketperm", "700"];
    let running = Running::ready(port, &options);
    let refused = "-ERR CONFIG SET failed (possibly related to argument 'unixsocket') - can't set \
                   protected config";
    check(&mut running.client(port), "CONFIG SET unixsocket sock", refused);
    drop(running);
    let port = free_port();
    let more = ["--enable-protected-configs", "local", "--unixsocket", "first"];
    let running = Running::ready(port, &[&options[..], &more].concat());
    let mut client = running.client(port);
    let answers = |name: &str| {
        let stream = UnixStream::connect(folder.0.join(name));
        stream.is_ok_and(|mut stream| {
            let mut reply = [0; 7];
            stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut reply).is_ok()
        })
    };
    assert!(answers("first"));
    check(&mut client, "CONFIG SET unixsocket second", "+OK");
    assert!(answers("second") && !folder.0.join("first").exists());
    let mode = fs::metadata(folder.0.join("second")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // A file that is no socket stays, and so does the socket.
    let file = folder.write("file", "precious");
    let failed = "-ERR CONFIG SET failed (possibly related to argument 'unixsocket') - Unable to \
                  listen on this path. Check server logs.";
    check(&mut client, "CONFIG SET unixsocket file", failed);
    assert_eq!(fs::read_to_string(file).expect("it is there"), "precious");
    check(&mut client, "CONFIG SET unixsocket nosuch/sock", failed);
    assert!(answers("second"));
    client.send(&["CONFIG", "SET", "unixsocket", ""]).unwrap();
    assert_eq!(client.receive().unwrap(), Reply::Simple(b"OK".into()));
    assert!(!folder.0.join("second").exists());
    check(&mut client, "CONFIG SET unixsocket third", "+OK");
    assert!(answers("third"));
    drop(client.call(&["SHUTDOWN", "NOSAVE"]));
    running.end();
    assert!(!folder.0.join("third").exists(), "it goes with the process");
}

#[test]
fn every_setting_can_be_set_to_the_value_that_is_shown() {
    let folder = Folder::new();
    let dir = folder.path("");
    let other = [
        ["--save", "900 1 300 10"],
        ["--maxmemory", "100mb"],
        ["--client-output-buffer-limit", "normal 1gb 100mb 60"],
        ["--latency-tracking-info-percentiles", "50 99.9"],
        ["--notify-keyspace-events", "KEA"],
        ["--commandlog-execution-slower-than", "-1"],
        ["--list-max-listpack-size", "-3"],
        ["--shard-cpus", ""],
        ["--maxmemory-policy", "allkeys-lfu"],
        ["--log-format", "json"],
        ["--unixsocket", "sock"],
        ["--enable-protected-configs", "yes"],
    ];
    for options in [&[][..], &other.concat()] {
        let port = free_port();
        let usual = ["--dir", &dir, "--bind", "127.0.0.1", "--shards", "2"];
        let running = Running::ready(port, &[&usual[..], options].concat());
        let mut client = running.client(port);
        let mut shown = || {
            let Reply::Group('*', all) = client.call(&["CONFIG", "GET", "*"]).unwrap() else {
                panic!("names and values")
            };
            let text = |reply: &Reply| match reply {
                Reply::Bulk(text) => String::from_utf8(text.clone()).unwrap(),
                other => panic!("{other:?} is no text"),
            };
            all.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect::<Vec<_>>()
        };
        let before = shown();
        assert!(200 < before.len());
        let mut setter = running.client(port);
        for (name, value) in &before {
            let fails = |why: &str| {
                let related = format!("(possibly related to argument '{name}')");
                Reply::Error(format!("ERR CONFIG SET failed {related} - {why}").into())
            };
            let reply = setter.call(&["CONFIG", "SET", name, value]).unwrap();
            let excused = ["can't set immutable config", "can't set protected config"].map(fails);
            let is_ok = reply == Reply::Simple(b"OK".into()) || excused.contains(&reply);
            assert!(is_ok, "{name} {value:?}: {reply:?}");
            let protected = ["dir", "dbfilename", "unixsocket"].contains(&name.as_str());
            let allowed = options.contains(&"--enable-protected-configs");
            assert!(!(protected && allowed) || excused[1] != reply, "{name} is allowed");
        }
        assert_eq!(shown(), before);
    }
}
