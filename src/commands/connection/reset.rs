//! RESET

use shards::commands::spec::{Arity, Spec};

use crate::commands::connection::BEFORE_AUTH;
use crate::commands::own::{Own, OwnRun};
use crate::routing::call::Step;

pub(super) const RESET: Own = Own {
    spec: Spec {
        name: "reset",
        since: "6.2.0",
        summary: "Makes the connection what it was when it began.",
        arity: Arity::Exactly(1),
        ..BEFORE_AUTH
    },
    run: OwnRun::Transaction(Step::Reset),
};
