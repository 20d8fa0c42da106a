//! A client as CLIENT LIST shows it.

use std::net::SocketAddr;

use shards::resp::reply::Protocol;

use crate::clients::client::{Client, Transactions};
use crate::clients::filter::Subject;
use crate::clients::leaving::Known;
use crate::clients::memory::Memory;
use crate::clients::tracker::Tracker;
use crate::config::table::Config;
use crate::pubsub::kind::Kind;
use crate::pubsub::tracking::options::Mode;
use crate::routing::node::Node;

/// An end of a connection as text: that of a unix socket is its path and `:0`.
pub fn address(address: Option<SocketAddr>, config: &Config) -> String {
    match address {
        Some(address) => address.to_string(),
        None => format!("{}:0", config.unixsocket.display()),
    }
}

/// The line of a client, without its end.
pub fn line(client: &Client, node: &Node) -> String {
    let name = String::from_utf8_lossy(&client.session.name);
    line_with(client, node, &name, "default")
}

/// The same for the log, which may not be for all eyes.
pub fn line_for_log(client: &Client, node: &Node) -> String {
    const HIDDEN: &str = "*redacted*";
    if node.config.hide_user_data_from_log {
        line_with(client, node, HIDDEN, HIDDEN)
    } else {
        line(client, node)
    }
}

/// The line of the connection to this node's primary.
pub fn line_of_primary(known: &Known, node: &Node) -> String {
    let rest = Rest { multi: -1, redirect: -1, resp: 2, ..Rest::default() };
    write(&Subject::of_primary(known), &rest, node, "", "(superuser)")
}

/// The line of a replica that was a client, and that so many bytes of the stream wait for.
pub fn line_of_replica(known: &Known, unsent_bytes: u64, node: &Node) -> String {
    let unsent = usize::try_from(unsent_bytes).unwrap_or(usize::MAX);
    let rest = Rest {
        multi: -1,
        redirect: -1,
        resp: 2,
        memory: Memory { unsent, output: unsent, ..Memory::default() },
        ..Rest::default()
    };
    let name = String::from_utf8_lossy(&known.name);
    write(&Subject::of_replica(known), &rest, node, &name, "default")
}

fn line_with(client: &Client, node: &Node, name: &str, user: &str) -> String {
    let multi = match (&client.multi, client.transactions) {
        (Some(multi), _) => signed(multi.len()),
        (None, Transactions::Exec(commands)) => signed(commands),
        (None, Transactions::Begun) => 0,
        (None, Transactions::Never) => -1,
    };
    let resp = match client.session.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let rest = Rest {
        sub: client.listens_to(Kind::Channel),
        psub: client.listens_to(Kind::Pattern),
        ssub: client.listens_to(Kind::ShardChannel),
        watch: client.watched.len(),
        multi,
        redirect: redirect(client),
        resp,
        memory: client.memory(),
    };
    write(&Subject::of(client), &rest, node, name, user)
}

/// What a line says of a connection besides what filters see.
#[derive(Default)]
struct Rest {
    sub: usize,
    psub: usize,
    ssub: usize,
    watch: usize,
    multi: i64,
    redirect: i64,
    resp: u8,
    memory: Memory,
}

fn write(subject: &Subject<'_>, rest: &Rest, node: &Node, name: &str, user: &str) -> String {
    let Subject { id, fd, flags, capa, db, figures, .. } = subject;
    let Rest { sub, psub, ssub, watch, multi, redirect, resp, memory } = rest;
    let seconds = |since| node.now.millis_since(since) / 1000;
    let text = |bytes| String::from_utf8_lossy(bytes);
    let (addr, laddr) = (address(subject.peer, &node.config), address(subject.local, &node.config));
    let (age, idle) = (seconds(figures.connected), seconds(figures.active));
    let ((reply, reply_used), (list, list_len)) = (memory.reply_buffer(), memory.reply_list());
    format!(
        "id={id} addr={addr} laddr={laddr} fd={fd} name={name} age={age} idle={idle} \
         flags={flags} capa={capa} db={db} sub={sub} psub={psub} ssub={ssub} multi={multi} \
         watch={watch} qbuf={query} qbuf-free={query_free} argv-mem={args} multi-mem={queued} \
         rbs={reply} rbp={reply_used} obl={reply_used} oll={list_len} omem={list} \
         tot-mem={total} \
         events={events} cmd={command} user={user} redir={redirect} resp={resp} \
         lib-name={lib_name} lib-ver={lib_ver} \
         tot-net-in={bytes_in} tot-net-out={bytes_out} tot-cmds={commands}",
        query = memory.query,
        query_free = memory.query_free,
        args = memory.args,
        queued = memory.queued,
        total = memory.total(),
        events = if memory.unsent == 0 { "r" } else { "rw" },
        command = figures.last_command,
        lib_name = text(subject.lib_name),
        lib_ver = text(subject.lib_ver),
        bytes_in = figures.bytes_in,
        bytes_out = figures.bytes_out,
        commands = figures.commands,
    )
}

/// The id of the client that is told of stale copies in its place: 0 if it is told itself, -1 if no
/// client is told.
pub fn redirect(client: &Client) -> i64 {
    let Some(tracker) = &client.tracker else { return -1 };
    let id = tracker.redirect.map_or(0, |redirect| redirect.id);
    i64::try_from(id).expect("ids count connections")
}

/// One letter for each thing that is special about a client, or `N`.
pub fn flags(client: &Client) -> String {
    let tracks = |is: fn(&Tracker) -> bool| client.tracker.as_deref().is_some_and(is);
    let letters = [
        (client.monitors, 'O'),
        (client.subscriptions.is_some(), 'P'),
        (client.multi.is_some() || is_in_exec(client), 'x'),
        (client.waits(), 'b'),
        (tracks(|_| true), 't'),
        (tracks(|tracker| tracker.broken), 'R'),
        (tracks(|tracker| matches!(tracker.mode, Mode::Broadcast(_))), 'B'),
        (client.is_ending(), 'c'),
        (client.peer.is_none(), 'U'),
        (client.session.reads_replicas, 'r'),
        (client.session.no_evict, 'e'),
        (client.session.no_touch, 'T'),
        (client.session.import_source, 'I'),
    ];
    let flags: String =
        letters.into_iter().filter(|(is, _)| *is).map(|(_, letter)| letter).collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}

fn is_in_exec(client: &Client) -> bool {
    matches!(client.transactions, Transactions::Exec(_))
}

/// One letter for each thing that a client says it is capable of.
pub fn capa(client: &Client) -> &'static str {
    if client.session.capa_redirect { "r" } else { "" }
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).expect("a memory holds fewer commands")
}
