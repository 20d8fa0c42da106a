//! CLUSTER MEET ip port [cluster-bus-port]

use std::net::IpAddr;

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::frame::header::BUS_PORT_BEHIND;
use crate::cluster::machine::event::Command;
use crate::commands::cluster::{CHANGES, ask, clustering, unknown};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const MEET: Own = Own {
    spec: Spec {
        name: "cluster|meet",
        since: "3.0.0",
        summary: "Takes a server into the cluster.",
        syntax: "ip port [cluster-bus-port]",
        arity: Arity::AtLeast(4),
        ..CHANGES
    },
    run: OwnRun::Control(run),
};

const PORT: Error = Error::Text("ERR Port number is out of range");
const BUS_PORT: Error = Error::Text("ERR Cluster bus port number is out of range");

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    let (host, port, bus_port) = match ctx.args {
        [_, _, host, port] => (*host, *port, None),
        [_, _, host, port, bus_port] => (*host, *port, Some(*bus_port)),
        _ => return Err(unknown(ctx.args[1])),
    };
    let invalid = |kind, word| Error::naming(kind, word, "");
    let number =
        parse_i64(port).ok_or_else(|| invalid("ERR Invalid base port specified: ", port))?;
    let bus_number = match bus_port {
        None => number.saturating_add(BUS_PORT_BEHIND.into()),
        Some(word) => {
            parse_i64(word).ok_or_else(|| invalid("ERR Invalid bus port specified: ", word))?
        }
    };
    let address = [host, b":", port].concat();
    let ip: IpAddr = str::from_utf8(host)
        .ok()
        .and_then(|host| host.parse().ok())
        .ok_or_else(|| invalid("ERR Invalid node address specified: ", &address))?;
    let valid = |number: i64| u16::try_from(number).ok().filter(|port| *port != 0);
    let port = valid(number).ok_or(PORT)?;
    let bus_port = valid(bus_number).ok_or(BUS_PORT)?;
    ask(Command::Meet { ip, port, bus_port })
}
