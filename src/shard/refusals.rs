//! Why a request is refused before it runs, whatever its keys are.

use shards::commands::spec::Flag;
use shards::resp::error::Error;

use crate::clients::client::Client;
use crate::config::choices::Caller;
use crate::routing::call::{Call, Run};
use crate::routing::listening::{only_listens, serves_listeners};
use crate::shard::core::Core;
use crate::shard::pausing::{any_of, writes};

const DEBUG_REFUSED: Error = Error::Text(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
     can run it from a local connection, otherwise you need to set this option in the \
     configuration file, and then restart the server.",
);
const ENDING: Error = Error::Text("ERR The server is shutting down: no new connections are served");
/// What Valkey says to a client that monitors, which is half a replica there.
const ONLY_MONITORS: Error = Error::Text("ERR Replica can't interact with the keyspace");

impl Core {
    /// Refuses what must not run.
    pub(crate) fn check(
        &self,
        client: &Client,
        call: Option<&'static Call>,
        args: &[&[u8]],
    ) -> Result<&'static Call, Error> {
        let open = call.is_some_and(|call| call.spec.flags.has(Flag::NoAuth));
        if !client.session.authenticated && !open {
            return Err(Error::NoAuth);
        }
        let Some(call) = call else { return Err(Error::unknown_command(args)) };
        if let Run::Container = call.run
            && 2 <= args.len()
        {
            return Err(Error::unknown_subcommand(&call.spec.name.to_ascii_uppercase(), args[1]));
        }
        if !call.spec.arity.accepts(args.len()) {
            return Err(Error::WrongArity(call.spec.name.to_owned()));
        }
        if call.spec.flags.has(Flag::Protected) && !self.may_debug(client) {
            return Err(DEBUG_REFUSED);
        }
        if client.multi.is_some() && call.spec.flags.has(Flag::NoMulti) {
            return Err(Error::NotInTransaction(call.spec.name));
        }
        if self.node.refuses_writes() && (writes(client, call) || call.spec.name == "ping") {
            return Err(Error::Misconf);
        }
        if client.only_listens() && !serves_listeners(call) {
            return Err(only_listens(call));
        }
        if self.node.loading && !call.spec.flags.has(Flag::Loading) {
            return Err(Error::Loading);
        }
        // Who comes now may look at the end, or call it off.
        if client.late && !call.spec.flags.has(Flag::Loading) {
            return Err(ENDING);
        }
        if client.monitors && touches_keys(client, call) {
            return Err(ONLY_MONITORS);
        }
        Ok(call)
    }

    /// Whether this client may use DEBUG.
    fn may_debug(&self, client: &Client) -> bool {
        let caller = if client.passport().local { Caller::Local } else { Caller::Remote };
        self.node.config.enable_debug_command.permits(caller)
    }
}

/// What a refused EXEC answers: the transaction is over.
pub(crate) fn exec_refused(error: &Error) -> Error {
    let mut line = Vec::new();
    error.write(&mut line);
    let text = String::from_utf8_lossy(&line[1..]);
    let text = text.trim_end().trim_start_matches("ERR ");
    Error::Owned(format!("EXECABORT Transaction discarded because of: {text}"))
}

/// Whether a request reads or changes keys, or makes others do so.
fn touches_keys(client: &Client, call: &Call) -> bool {
    any_of(client, call, &[Flag::Write, Flag::ReadOnly, Flag::MayReplicate])
}
