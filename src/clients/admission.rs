//! May this client run this command now? The whole answer, for requests whose client and command
//! have a guard in common (`routing::admission`), and for those that make no sense.

use shards::commands::spec::Flag;
use shards::resp::error::Error;

use crate::clients::client::Client;
use crate::cluster::ownership::Ownership;
use crate::cluster::redirect::{Missing, decide};
use crate::cluster::report::endpoint::Security;
use crate::config::choices::Caller;
use crate::routing::admission::Guards;
use crate::routing::call::{Call, Run, Step};
use crate::routing::listening::{only_listens, serves_listeners};
use crate::routing::node::Node;
use crate::routing::redirection::{asker_of, network_of, request_of};

const DEBUG_REFUSED: Error = Error::Text(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
     can run it from a local connection, otherwise you need to set this option in the \
     configuration file, and then restart the server.",
);
const ENDING: Error = Error::Text("ERR The server is shutting down: no new connections are served");
/// What Valkey says to a client that monitors, which is half a replica there.
const ONLY_MONITORS: Error = Error::Text("ERR Replica can't interact with the keyspace");

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It runs.
    Runs(&'static Call),
    /// It runs when a pause is over.
    Waits,
    /// It is refused.
    Refused(Error),
}

/// Whether a client may run a request now.
pub fn judge(client: &Client, node: &Node, call: Option<&'static Call>, args: &[&[u8]]) -> Verdict {
    match check(client, node, call, args) {
        Err(error) => Verdict::Refused(error),
        Ok(call) if concerns(client, call).meets(client.guards.common(Guards::PAUSED)) => {
            Verdict::Waits
        }
        Ok(call) => Verdict::Runs(call),
    }
}

/// The command for which a refused request counts: none if it names no command, or no subcommand
/// of one.
pub fn counts_for(call: Option<&'static Call>, args: &[&[u8]]) -> Option<&'static Call> {
    call.filter(|call| !names_no_subcommand(call, args))
}

fn names_no_subcommand(call: &Call, args: &[&[u8]]) -> bool {
    matches!(call.run, Run::Container) && 2 <= args.len()
}

/// Why a request is refused, if it is.
fn check(
    client: &Client,
    node: &Node,
    call: Option<&'static Call>,
    args: &[&[u8]],
) -> Result<&'static Call, Error> {
    let open = call.is_some_and(|call| call.spec.flags.has(Flag::NoAuth));
    if client.guards.meets(Guards::UNAUTHENTICATED) && !open {
        return Err(Error::NoAuth);
    }
    let Some(call) = call else { return Err(Error::unknown_command(args)) };
    if names_no_subcommand(call, args) {
        return Err(Error::unknown_subcommand(&call.spec.name.to_ascii_uppercase(), args[1]));
    }
    if !call.spec.arity.accepts(args.len()) {
        return Err(Error::WrongArity(call.spec.name.to_owned()));
    }
    if call.spec.flags.has(Flag::Protected) && !may_debug(client, node) {
        return Err(DEBUG_REFUSED);
    }
    let stops = |guard: Guards| client.guards.common(guard).meets(concerns(client, call));
    if stops(Guards::MULTI) && call.spec.flags.has(Flag::NoMulti) {
        return Err(Error::NotInTransaction(call.spec.name));
    }
    if let Some(ownership) = node.cluster.as_deref() {
        // EXEC looks at watched keys before it says that its commands run elsewhere.
        if client.multi.as_ref().is_some_and(|multi| multi.outcome.is_some()) {
            return Ok(call);
        }
        redirect(client, ownership, call, args)?;
    }
    if stops(Guards::MISCONF) {
        return Err(Error::Misconf);
    }
    if stops(Guards::FEW_REPLICAS) {
        return Err(Error::NoReplicas);
    }
    // A write that gets here in a cluster is for this node. Where it waits, the node changes its
    // role: it is looked at again then.
    let waits = node.cluster.is_some() && stops(Guards::PAUSED);
    if stops(Guards::READONLY) && !waits {
        return Err(Error::ReadOnly);
    }
    if stops(Guards::LISTENS) && !serves_listeners(call) {
        return Err(only_listens(call));
    }
    if stops(Guards::STALE) {
        return Err(Error::PrimaryDown);
    }
    if stops(Guards::LOADING.and(Guards::EMPTIED)) {
        return Err(Error::Loading);
    }
    // A client that connects now may look at the end, or call it off.
    if stops(Guards::LATE) {
        return Err(ENDING);
    }
    if stops(Guards::MONITORS) {
        return Err(ONLY_MONITORS);
    }
    Ok(call)
}

/// Refuses a request that does not run here, in a cluster, as far as home can tell: whether keys
/// are on their way is for the shard to say that has them.
fn redirect(
    client: &Client,
    ownership: &Ownership,
    call: &Call,
    args: &[&[u8]],
) -> Result<(), Error> {
    let request = request_of(call, args, client.session.db);
    let asker = asker_of(client.asker(), call);
    let outcome = decide(&request, asker, ownership, || Missing::Unknown);
    outcome.error(ownership, network_of(client.peer), Security::Plain).map_or(Ok(()), Err)
}

/// The guards that concern a request: for EXEC those of its commands, too, except that it may be
/// called while a dataset loads.
fn concerns(client: &Client, call: &Call) -> Guards {
    match (&client.multi, call.run) {
        (Some(multi), Run::Transaction(Step::Exec)) => call.guards.and(multi.guards),
        _ => call.guards,
    }
}

/// Whether this client may use DEBUG.
fn may_debug(client: &Client, node: &Node) -> bool {
    let caller = if client.from_here { Caller::Local } else { Caller::Remote };
    node.config.enable_debug_command.permits(caller)
}

/// What a refused EXEC answers: the transaction is over.
pub fn exec_refused(error: &Error) -> Error {
    let mut line = Vec::new();
    error.write(&mut line);
    let text = String::from_utf8_lossy(&line[1..]);
    let text = text.trim_end().trim_start_matches("ERR ");
    Error::Owned(format!("EXECABORT Transaction discarded because of: {text}"))
}
