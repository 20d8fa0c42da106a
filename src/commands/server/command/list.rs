//! COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]

use shards::base::glob;
use shards::commands::spec::{Arity, Spec};
use shards::commands::table::categories;
use shards::resp::error::Error;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::command::EACH;
use crate::routing::call::Call;

pub(super) const LIST: Own = Own {
    spec: Spec {
        name: "command|list",
        since: "7.0.0",
        summary: "Returns the names of commands.",
        complexity: "O(N), N being the number of commands.",
        syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        arity: Arity::AtLeast(2),
        tips: &["nondeterministic_output_order"],
        ..EACH
    },
    run: OwnRun::Client(list),
};

/// Which names are wanted.
enum Filter<'a> {
    All,
    /// Those of a module: there are no modules.
    Nothing,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

fn list(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let filter = parse(&ctx.args[2..])?;
    let mut names = Vec::new();
    for call in ctx.node.table.callable() {
        for call in std::iter::once(call).chain(&call.subcommands) {
            if filter.has(call) {
                names.push(call.spec.name);
            }
        }
    }
    ctx.replies.array(names.len());
    for name in names {
        ctx.replies.bulk(name.as_bytes());
    }
    Ok(())
}

fn parse<'a>(options: &[&'a [u8]]) -> Result<Filter<'a>, Error> {
    match options {
        [] => Ok(Filter::All),
        [by, kind, of] if by.eq_ignore_ascii_case(b"FILTERBY") => {
            if kind.eq_ignore_ascii_case(b"MODULE") {
                Ok(Filter::Nothing)
            } else if kind.eq_ignore_ascii_case(b"ACLCAT") {
                Ok(Filter::Category(of))
            } else if kind.eq_ignore_ascii_case(b"PATTERN") {
                Ok(Filter::Pattern(of))
            } else {
                Err(Error::Syntax)
            }
        }
        _ => Err(Error::Syntax),
    }
}

impl Filter<'_> {
    fn has(&self, call: &Call) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Category(category) => {
                let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(category);
                categories(call.spec).into_iter().any(is)
            }
            Self::Pattern(pattern) => {
                glob::matches_ignoring_case(pattern, call.spec.name.as_bytes())
            }
        }
    }
}
