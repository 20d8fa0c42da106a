//! QUIT

use shards::commands::spec::{Arity, Spec};

use crate::commands::connection::BEFORE_AUTH;
use crate::commands::table::Own;
use crate::routing::call::{Run, Step};

pub(super) const QUIT: Own = Own {
    spec: Spec {
        name: "quit",
        summary: "Closes the connection.",
        arity: Arity::AtLeast(1),
        ..BEFORE_AUTH
    },
    run: Run::Transaction(Step::Quit),
};
