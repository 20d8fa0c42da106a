//! CLIENT KILL ip:port | filter value [filter value ...]

use std::sync::Arc;

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::clients::filter::{ClientFilter, Trait};
use crate::commands::connection::client::{OF_OTHERS, filter};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, Query};

pub(super) const KILL: Own = Own {
    spec: Spec {
        name: "client|kill",
        since: "2.4.0",
        summary: "Closes connections.",
        complexity: "O(N), N being the number of connections.",
        syntax: "old-format | [ID client-id [client-id ...]] \
                 [TYPE <NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] [USER username] \
                 [ADDR addr] [LADDR laddr] [SKIPME <YES | NO>] [MAXAGE maxage] [NAME name] \
                 [IDLE idle] [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db] \
                 [CAPA capa] [IP ip] \
                 [NOT-TYPE <NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] \
                 [NOT-ID not-client-id [not-client-id ...]] [NOT-USER not-username] \
                 [NOT-ADDR not-addr] [NOT-LADDR not-laddr] [NOT-NAME not-name] \
                 [NOT-FLAGS not-flags] [NOT-LIB-NAME not-lib-name] [NOT-LIB-VER not-lib-ver] \
                 [NOT-DB not-db] [NOT-CAPA not-capa] [NOT-IP not-ip]",
        arity: Arity::AtLeast(3),
        ..OF_OTHERS
    },
    run: OwnRun::Control(kill),
};

const NO_SUCH_CLIENT: Error = Error::Text("ERR No such client");

fn kill(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let filter = wanted(ctx)?;
    Ok(Outcome::Ask(Query::KillClients(Arc::new(filter)), |ctx, answers| {
        // Connections of streams are no shard's.
        let filter = wanted(ctx)?;
        let count = sum(answers).saturating_add_unsigned(ctx.control.kill_streams(&filter));
        match ctx.args {
            [_, _, _] if count == 0 => return Err(NO_SUCH_CLIENT),
            [_, _, _] => ctx.replies.ok(),
            _ => ctx.replies.integer(count),
        }
        Ok(())
    }))
}

/// Which clients are meant: by one word an address, and by more whatever filters say.
fn wanted(ctx: &ControlCtx<'_>) -> Result<ClientFilter, Error> {
    match ctx.args {
        [_, _, addr] => {
            let mut filter = ClientFilter::default();
            filter.must_have(Trait::Addr(addr.to_vec()));
            Ok(filter)
        }
        _ => filter::parse(ctx, &ctx.args[2..], true),
    }
}

fn sum(answers: Vec<Answer>) -> i64 {
    let counts = answers.into_iter().map(|answer| match answer {
        Answer::Count(count) => i64::try_from(count).expect("clients are few"),
        _ => unreachable!("clients were to be counted"),
    });
    counts.sum()
}
