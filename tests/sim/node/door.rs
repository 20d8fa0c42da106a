//! A connection that another node has opened, before it asks for a stream or a log: a greeting.

use keylane::replication::greeting::{Answer, Cluster, Greeting};
use keylane::replication::psync::Request;
use keylane::replication::replid::ReplId;
use shards::resp::parser::{Limits, Parser, Step};

use crate::agenda::Env;
use crate::network::{ConnId, Tried};
use crate::node::Node;
use crate::node::letters::{Arrival, FlowArrival, Letter, SnapshotArrival};

/// What has come, and what it has told.
#[derive(Debug, Default)]
pub struct Door {
    input: Vec<u8>,
    greeting: Greeting,
}

impl Node {
    /// Reads what has come by a connection that has asked for nothing yet.
    pub fn door_reads(&mut self, env: &mut Env, conn: ConnId) {
        loop {
            match env.read(conn, self.run.node, 500) {
                Tried::Moved(bytes) => {
                    let door = self.doors.get_mut(&conn).expect("it is at the door");
                    door.input.extend(bytes);
                    if !self.hear_requests(env, conn) {
                        return;
                    }
                }
                Tried::Later => return,
                Tried::Over => {
                    self.doors.remove(&conn);
                    return self.close(env, conn);
                }
            }
        }
    }

    /// Answers requests. False if the connection has left the door.
    fn hear_requests(&mut self, env: &mut Env, conn: ConnId) -> bool {
        const LIMITS: Limits = Limits { bulk_bytes_max: 1 << 20, authenticated: true };
        loop {
            let door = self.doors.get_mut(&conn).expect("it is at the door");
            let mut ranges = Vec::new();
            let step = Parser::default().step(&door.input, &mut ranges, &LIMITS);
            let consumed = match step.expect("nodes send requests") {
                Step::Request { consumed } => consumed,
                Step::Nothing { consumed } => {
                    door.input.drain(..consumed);
                    continue;
                }
                Step::Inline { .. } => panic!("nodes send arrays"),
                Step::More { .. } => return true,
            };
            let request: Vec<u8> = door.input.drain(..consumed).collect();
            let args: Vec<&[u8]> = ranges.iter().map(|range| range.of(&request)).collect();
            if !self.hear_request(env, conn, &args) {
                return false;
            }
        }
    }

    fn hear_request(&mut self, env: &mut Env, conn: ConnId, args: &[&[u8]]) -> bool {
        let door = self.doors.get_mut(&conn).expect("it is at the door");
        let mut reply = Vec::new();
        match args {
            [b"PING"] => reply.extend(b"+PONG\r\n"),
            [b"REPLCONF", options @ ..] => match door.greeting.apply(options, Cluster::Off) {
                Ok(Answer::Ok) => reply.extend(b"+OK\r\n"),
                Ok(Answer::Silence) => {}
                Err(error) => error.write(&mut reply),
            },
            [b"PSYNC", options @ ..] => {
                let request = Request::parse_psync(options).expect("nodes ask in order");
                let Door { input, greeting } = self.doors.remove(&conn).expect("it is there");
                let arrival = Arrival { conn, unread: input, greeting, request, logs: None };
                self.leave_door(env, conn, Letter::Came(Box::new(arrival)));
                return false;
            }
            [b"KEYLANE", b"SNAPSHOT", name, connection] => {
                let name = ReplId::parse(name).expect("a snapshot has a name");
                let connection = number(connection).and_then(|number| u16::try_from(number).ok());
                let connection = connection.expect("a connection has a number");
                let Door { input: unread, .. } = self.doors.remove(&conn).expect("it is there");
                let arrival = SnapshotArrival { conn, unread, name, connection };
                self.leave_door(env, conn, Letter::SnapshotCame(arrival));
                return false;
            }
            [b"KEYLANE", b"FLOW", name, flow, offset] => {
                let name = ReplId::parse(name).expect("a flow has a name");
                let flow = number(flow).and_then(|flow| u16::try_from(flow).ok());
                let (flow, offset) = flow.zip(number(offset)).expect("a flow has numbers");
                let Door { input, .. } = self.doors.remove(&conn).expect("it is there");
                let arrival = FlowArrival { conn, unread: input, name, flow, offset };
                self.leave_door(env, conn, Letter::FlowCame(arrival));
                return false;
            }
            other => panic!("no request of a node: {other:?}"),
        }
        // So little always has room.
        env.write(conn, self.run.node, &reply);
        true
    }

    /// A connection goes to the relay, by way of a shard and control.
    fn leave_door(&mut self, env: &mut Env, conn: ConnId, letter: Letter) {
        let (from, to, relay) = (0, self.control_thread(), self.relay_thread());
        self.own(conn, relay);
        self.post.send(env, from, to, letter);
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok())
}
