//! CLIENT LIST [filter value ...]

use std::sync::Arc;

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::connection::client::{OF_OTHERS, filter};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};

pub(super) const LIST: Own = Own {
    spec: Spec {
        name: "client|list",
        since: "2.4.0",
        summary: "Lists connections, one line each.",
        complexity: "O(N), N being the number of connections.",
        syntax: "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]] \
                 [USER username] [ADDR addr] [LADDR laddr] [SKIPME <YES | NO>] [MAXAGE maxage] \
                 [NAME name] [IDLE idle] [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] \
                 [DB db] [CAPA capa] [IP ip] \
                 [NOT-TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] \
                 [NOT-ID not-client-id [not-client-id ...]] [NOT-USER not-username] \
                 [NOT-ADDR not-addr] [NOT-LADDR not-laddr] [NOT-NAME not-name] \
                 [NOT-FLAGS not-flags] [NOT-LIB-NAME not-lib-name] [NOT-LIB-VER not-lib-ver] \
                 [NOT-DB not-db] [NOT-CAPA not-capa] [NOT-IP not-ip]",
        arity: Arity::AtLeast(2),
        tips: &["nondeterministic_output"],
        ..OF_OTHERS
    },
    run: OwnRun::Control(list),
};

fn list(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let filter = filter::parse(ctx, &ctx.args[2..], false)?;
    Ok(Outcome::Ask(Query::ListClients(Arc::new(filter)), write))
}

fn write(ctx: &mut ControlCtx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    // Connections of streams are no shard's.
    let filter = filter::parse(ctx, &ctx.args[2..], false)?;
    let mut clients = ctx.control.list_streams(&filter);
    for answer in answers {
        let Answer::Clients(some) = answer else { unreachable!("clients were asked for") };
        clients.extend(some);
    }
    clients.sort_unstable_by_key(|client| client.0);
    let lines: String = clients.into_iter().flat_map(|(_, line)| [line, "\n".into()]).collect();
    ctx.replies.verbatim("txt", lines.as_bytes());
    Ok(())
}
