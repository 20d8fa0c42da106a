//! What T-R (`cluster::redirect`) needs to know of a request.

use std::net::SocketAddr;

use shards::base::number::parse_u64;
use shards::base::slot::Slot;
use shards::commands::spec::{Flag, Spread};

use crate::cluster::redirect::{Asker, Keys, Kind, Request};
use crate::cluster::report::endpoint::Network;
use crate::routing::call::{Call, KeyShape, Run};
use crate::routing::keys::key_places;

/// What T-R needs to know of several commands together: of those between MULTI and EXEC.
#[derive(Debug)]
pub struct Together {
    /// What they are.
    pub request: Request,
    /// The first of their keys.
    first: Option<Vec<u8>>,
}

/// What T-R needs to know of a request for a database.
pub fn request_of(call: &Call, args: &[&[u8]], db: usize) -> Request {
    let mut together = Together::default();
    match key_shape(call) {
        // Most requests: no key has to be kept to be compared with others.
        KeyShape::One(at) => {
            together.add_kind(call, args, db);
            together.request.keys = args.get(at).map_or(Keys::None, |key| Keys::In(Slot::of(key)));
        }
        KeyShape::None | KeyShape::Several => together.add(call, args, db),
    }
    together.request
}

/// The asker of a command. Some commands are meant for slots that are on their way here.
pub fn asker_of(asker: Asker, call: &Call) -> Asker {
    Asker { asks: asker.asks || call.spec.flags.has(Flag::Asking), ..asker }
}

/// A command's keys, as far as they decide where it runs: DEBUG looks at those that are here.
pub fn key_shape(call: &Call) -> KeyShape {
    if call.spec.flags.has(Flag::Protected) { KeyShape::None } else { call.keys }
}

/// The places of a request's keys, or shard channels, among its arguments.
pub fn places(call: &Call, args: &[&[u8]]) -> Vec<usize> {
    match key_shape(call) {
        KeyShape::None => Vec::new(),
        KeyShape::One(at) => vec![at],
        KeyShape::Several => key_places(call.spec.keys, args),
    }
}

impl Default for Together {
    fn default() -> Self {
        let (keys, kind) = (Keys::None, Kind::Plain);
        let request = Request { keys, kind, writes: false, has_several_keys: false };
        Self { request, first: None }
    }
}

impl Together {
    /// Adds a command for a database.
    pub fn add(&mut self, call: &Call, args: &[&[u8]], db: usize) {
        self.add_kind(call, args, db);
        for place in places(call, args) {
            let Some(key) = args.get(place) else { continue };
            let here = Keys::In(Slot::of(key));
            let Some(first) = &self.first else {
                self.first = Some(key.to_vec());
                self.request.keys = here;
                continue;
            };
            self.request.has_several_keys |= first != key;
            if self.request.keys != here {
                self.request.keys = Keys::Apart;
            }
        }
    }

    fn add_kind(&mut self, call: &Call, args: &[&[u8]], db: usize) {
        let kind = match call.run {
            Run::PubSub(_) if key_shape(call) != KeyShape::None => Kind::PubSub,
            _ if is_between_databases(call, args, db) => Kind::BetweenDatabases,
            _ if call.spec.spread == Spread::HandOver => Kind::Migrate,
            _ => Kind::Plain,
        };
        // What stands first in the table stays.
        self.request.kind = match (self.request.kind, kind) {
            (Kind::BetweenDatabases, _) | (_, Kind::Plain) => self.request.kind,
            (_, kind) => kind,
        };
        self.request.writes |= call.spec.flags.has(Flag::Write);
    }
}

/// Whether a request takes a key to another database than the one for which it is.
fn is_between_databases(call: &Call, args: &[&[u8]], db: usize) -> bool {
    match call.spec.name {
        "move" => true,
        "copy" => {
            let options = args.get(3..).unwrap_or_default();
            let named = options.iter().position(|word| word.eq_ignore_ascii_case(b"db"));
            let number = named.and_then(|at| parse_u64(options.get(at + 1)?));
            number.is_some_and(|number| usize::try_from(number) != Ok(db))
        }
        _ => false,
    }
}

/// By which kind of address a client reaches the server.
pub fn network_of(peer: Option<SocketAddr>) -> Network {
    match peer {
        Some(peer) if peer.ip().to_canonical().is_ipv6() => Network::V6,
        Some(_) | None => Network::V4,
    }
}

#[cfg(test)]
mod tests {
    use shards::commands::spec::{Begin, Find, Flags, KeySpec, Spec};

    use super::*;
    use crate::pubsub::kind::Kind as Listens;
    use crate::routing::call::{Listed, PubSubStep, Table};

    const WRITES: Flags = Flags::of(&[Flag::Write]);
    static GET: Spec = Spec { name: "get", keys: &[KeySpec::first(&[])], ..Spec::EMPTY };
    static MGET: Spec = Spec { name: "mget", keys: &[KeySpec::from(1, 1, &[])], ..Spec::EMPTY };
    static MOVE: Spec =
        Spec { name: "move", flags: WRITES, keys: &[KeySpec::first(&[])], ..Spec::EMPTY };
    static COPY: Spec = Spec {
        name: "copy",
        flags: WRITES,
        keys: &[KeySpec {
            begin: Begin::Index(1),
            find: Find::Range { last: 1, step: 1, limit: 0 },
            flags: &[],
        }],
        ..Spec::EMPTY
    };
    static PING: Spec = Spec { name: "ping", ..Spec::EMPTY };
    static SPUBLISH: Spec = Spec { name: "spublish", keys: &[KeySpec::first(&[])], ..Spec::EMPTY };

    fn table() -> Table {
        let listed = |spec| Listed { spec, run: Run::Container, subcommands: Vec::new() };
        let run = Run::PubSub(PubSubStep::Publish(Listens::ShardChannel));
        let spublish = Listed { run, ..listed(&SPUBLISH) };
        let commands = [&GET, &MGET, &MOVE, &COPY, &PING].map(listed);
        Table::new(commands.into_iter().chain([spublish]).collect(), &[]).expect("no renames")
    }

    fn split(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn a_request_is_told_by_its_keys_and_its_kind() {
        let table = table();
        let check = |line: &str, keys: Keys, kind: Kind, writes: bool, several: bool| {
            let args = split(line);
            let call = table.find(&args).expect("it is listed");
            let expected = Request { keys, kind, writes, has_several_keys: several };
            assert_eq!(request_of(call, &args, 3), expected, "{line}");
        };
        let a = Keys::In(Slot::of(b"a"));
        check("get a", a, Kind::Plain, false, false);
        check("get", Keys::None, Kind::Plain, false, false);
        check("ping a", Keys::None, Kind::Plain, false, false);
        check("mget a a", a, Kind::Plain, false, false);
        check("mget a x{a}", a, Kind::Plain, false, true);
        check("mget a b", Keys::Apart, Kind::Plain, false, true);
        check("mget a b a", Keys::Apart, Kind::Plain, false, true);
        check("move a 1", a, Kind::BetweenDatabases, true, false);
        check("copy a x{a}", a, Kind::Plain, true, true);
        check("copy a x{a} replace db 3", a, Kind::Plain, true, true);
        check("copy a x{a} DB 0", a, Kind::BetweenDatabases, true, true);
        check("spublish a m", a, Kind::PubSub, false, false);
    }

    #[test]
    fn commands_of_a_transaction_are_taken_together() {
        let table = table();
        let check = |lines: &[&str], keys: Keys, kind: Kind, writes: bool, several: bool| {
            let mut together = Together::default();
            for line in lines {
                let args = split(line);
                together.add(table.find(&args).expect("it is listed"), &args, 0);
            }
            let expected = Request { keys, kind, writes, has_several_keys: several };
            assert_eq!(together.request, expected, "{lines:?}");
        };
        let a = Keys::In(Slot::of(b"a"));
        check(&["ping"], Keys::None, Kind::Plain, false, false);
        check(&["ping", "get a", "get a"], a, Kind::Plain, false, false);
        check(&["get a", "copy a x{a}"], a, Kind::Plain, true, true);
        check(&["get a", "get b"], Keys::Apart, Kind::Plain, false, true);
        check(&["move a 1", "spublish a m", "get a"], a, Kind::BetweenDatabases, true, false);
        check(&["get a", "spublish a m", "get a"], a, Kind::PubSub, false, false);
    }

    #[test]
    fn a_client_reaches_the_server_by_one_kind_of_address() {
        for (peer, network) in [
            ("127.0.0.1:1", Network::V4),
            ("[::1]:1", Network::V6),
            ("[::ffff:127.0.0.1]:1", Network::V4),
        ] {
            assert_eq!(network_of(Some(peer.parse().expect("an address"))), network);
        }
        assert_eq!(network_of(None), Network::V4);
    }
}
