//! CLIENT HELP

use shards::commands::spec::{Arity, Flag, Flags, Spec};
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::connection::client::EACH;
use crate::commands::own::{Own, OwnRun};

pub(super) const HELP: Own = Own {
    spec: Spec {
        name: "client|help",
        since: "5.0.0",
        summary: "Tells about the subcommands.",
        arity: Arity::Exactly(2),
        flags: Flags::of(&[Flag::Loading, Flag::Stale]),
        ..EACH
    },
    run: OwnRun::Client(help),
};

const LINES: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Whether keys that the next command reads are tracked.",
    "CAPA <capability> [<capability> ...]",
    "    Tells what the client is capable of: REDIRECT.",
    "GETNAME",
    "    The name of this connection.",
    "GETREDIR",
    "    The connection that is told of changed keys in place of this one.",
    "ID",
    "    The number of this connection.",
    "IMPORT-SOURCE (ON|OFF)",
    "    Whether this connection brings keys in import mode, and sees what is due.",
    "INFO",
    "    What CLIENT LIST shows of this connection.",
    "KILL <ip:port> | <filter> <value> [<filter> <value> ...]",
    "    Closes connections.",
    "LIST [<filter> <value> ...]",
    "    Connections, one line each.",
    "NO-EVICT (ON|OFF)",
    "    Whether this connection stays open when clients take too much memory.",
    "NO-TOUCH (ON|OFF)",
    "    Whether commands of this connection leave the keys' time of last use as it is.",
    "PAUSE <milliseconds> [WRITE|ALL]",
    "    Holds commands back for a while: all, or those that write.",
    "REPLY (ON|OFF|SKIP)",
    "    Which replies this connection wants: all, none, or all but the next.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Tells which library the client uses.",
    "SETNAME <name>",
    "    Names this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> ...] [OPTIN] [OPTOUT] [NOLOOP]",
    "    Of which changed keys this connection is to be told.",
    "TRACKINGINFO",
    "    Of which changed keys this connection is told.",
    "UNBLOCK <id> [TIMEOUT|ERROR]",
    "    Ends the wait of a connection in a blocking command.",
    "UNPAUSE",
    "    Ends CLIENT PAUSE.",
    "HELP",
    "    These lines.",
];

fn help(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    ctx.replies.array(LINES.len());
    for line in LINES {
        ctx.replies.simple(line);
    }
    Ok(())
}
