//! QUIT

use shards::commands::spec::{Arity, Spec};

use crate::commands::connection::BEFORE_AUTH;
use crate::commands::own::{Own, OwnRun};
use crate::routing::call::Step;

pub(super) const QUIT: Own = Own {
    spec: Spec {
        name: "quit",
        summary: "Closes the connection.",
        arity: Arity::AtLeast(1),
        ..BEFORE_AUTH
    },
    run: OwnRun::Transaction(Step::Quit),
};
