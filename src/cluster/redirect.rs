//! T-R: where a command runs. One function without state; it is asked at a client's home, where it
//! refuses what cannot run here, and by the shard of the slot, whose answer is final.

use shards::base::slot::Slot;
use shards::resp::error::Error;

use crate::cluster::ownership::{NodeIndex, Ownership, Place};
use crate::cluster::report::endpoint::{Network, Security};

/// What T-R needs to know of a command, or of EXEC and the commands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where its keys are.
    pub keys: Keys,
    /// What is special about it.
    pub kind: Kind,
    /// Whether it, or a queued command, writes.
    pub writes: bool,
    /// Whether its keys, all of one slot, are several different ones.
    pub has_several_keys: bool,
}

/// Where the keys of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// There are none, or it does not matter where: the primary's stream, the log that is loaded.
    None,
    /// In this slot.
    In(Slot),
    /// In several slots.
    Apart,
}

/// What is special about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Plain,
    /// SSUBSCRIBE, SUNSUBSCRIBE, SPUBLISH: its keys are channels, which are never missing.
    PubSub,
    /// MIGRATE.
    Migrate,
    /// MOVE, and COPY to another database, or EXEC of one.
    BetweenDatabases,
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// READONLY
    pub reads_replicas: bool,
    /// ASKING was the command before, or the command itself is meant for imports.
    pub asks: bool,
}

/// Which keys of a command are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// That is decided where the keys are.
    Unknown,
    /// None.
    None,
    /// Some.
    Some,
    /// All.
    All,
}

/// Where a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Here.
    Run,
    /// Nowhere: its keys are in several slots.
    CrossSlot,
    /// Nowhere: the slot has no owner.
    Unserved,
    /// Nowhere now: its keys are at two nodes.
    TryAgain,
    /// Nowhere: the cluster is down.
    Down,
    /// Nowhere: it writes, and no majority of primaries answers this node.
    Fenced,
    /// Nowhere: the cluster is down, and only reads are allowed.
    DownForWrites,
    /// At this node, this time.
    Ask(Slot, NodeIndex),
    /// At this node.
    Moved(Slot, NodeIndex),
}

/// Decides where a command runs: the first row that holds. `missing` is asked for only if keys are
/// on their way.
pub fn decide(
    request: &Request,
    asker: Asker,
    ownership: &Ownership,
    missing: impl FnOnce() -> Missing,
) -> Outcome {
    let slot = match request.keys {
        Keys::None => return Outcome::Run,
        Keys::Apart => return Outcome::CrossSlot,
        Keys::In(slot) => slot,
    };
    let Some(owner) = ownership.owner(slot) else { return Outcome::Unserved };
    let reads_here = asker.reads_replicas;
    let (migrates, imports) = match ownership.place(slot) {
        Place::Migrating => (true, false),
        Place::MigratingAtPrimary => (reads_here, false),
        Place::Importing => (false, ownership.is_primary || reads_here),
        Place::Served | Place::Elsewhere | Place::AtPrimary | Place::Unbound => (false, false),
    };
    if (migrates || imports) && request.kind == Kind::BetweenDatabases {
        return Outcome::TryAgain;
    }
    if let Some(outcome) = refused_while_down(request, ownership) {
        return outcome;
    }
    if (migrates || imports) && request.kind == Kind::Migrate && ownership.is_primary {
        return Outcome::Run;
    }
    let missing = if migrates || (imports && asker.asks) {
        if request.kind == Kind::PubSub { Missing::None } else { missing() }
    } else {
        Missing::None
    };
    match (migrates, missing, ownership.target(slot)) {
        (true, Missing::Some, _) => return Outcome::TryAgain,
        (true, Missing::All, Some(target)) => return Outcome::Ask(slot, target),
        (_, _, _) => {}
    }
    if imports && asker.asks {
        let is_missing = matches!(missing, Missing::Some | Missing::All);
        let is_split = request.has_several_keys && is_missing;
        return if is_split { Outcome::TryAgain } else { Outcome::Run };
    }
    let is_read = match request.kind {
        Kind::PubSub => ownership.has_bus,
        Kind::Plain | Kind::Migrate | Kind::BetweenDatabases => reads_here,
    };
    match ownership.place(slot) {
        Place::Served | Place::Migrating => Outcome::Run,
        Place::AtPrimary | Place::MigratingAtPrimary if is_read && !request.writes => Outcome::Run,
        Place::AtPrimary
        | Place::MigratingAtPrimary
        | Place::Elsewhere
        | Place::Importing
        | Place::Unbound => Outcome::Moved(slot, owner),
    }
}

/// Decides anew about a command that waits for keys of `slot`, when something has changed:
/// [`Outcome::Run`] lets it wait on.
pub fn decide_waiting(slot: Slot, writes: bool, asker: Asker, ownership: &Ownership) -> Outcome {
    if !ownership.is_ok {
        return Outcome::Down;
    }
    let Some(owner) = ownership.owner(slot) else { return Outcome::Unserved };
    match ownership.place(slot) {
        Place::Served | Place::Migrating | Place::Importing => Outcome::Run,
        Place::AtPrimary | Place::MigratingAtPrimary if asker.reads_replicas && !writes => {
            Outcome::Run
        }
        Place::AtPrimary | Place::MigratingAtPrimary | Place::Elsewhere | Place::Unbound => {
            Outcome::Moved(slot, owner)
        }
    }
}

/// Rows 6 to 8, and the fence: a primary that no majority answers refuses writes.
fn refused_while_down(request: &Request, ownership: &Ownership) -> Option<Outcome> {
    if ownership.is_ok {
        return (ownership.is_fenced && request.writes).then_some(Outcome::Fenced);
    }
    if request.kind == Kind::PubSub {
        return (!ownership.allows_pubsub_when_down).then_some(Outcome::Down);
    }
    match (ownership.allows_reads_when_down, request.writes) {
        (false, _) => Some(Outcome::Down),
        (true, true) => Some(Outcome::DownForWrites),
        (true, false) => None,
    }
}

impl Outcome {
    /// The error that the client gets; `None` if the command runs.
    pub fn error(
        self,
        ownership: &Ownership,
        network: Network,
        security: Security,
    ) -> Option<Error> {
        let fixed = match self {
            Self::Run => return None,
            Self::Fenced => return Some(Error::Fenced),
            Self::CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot",
            Self::Unserved => "CLUSTERDOWN Hash slot not served",
            Self::TryAgain => "TRYAGAIN Multiple keys request during rehashing of slot",
            Self::Down => "CLUSTERDOWN The cluster is down",
            Self::DownForWrites => "CLUSTERDOWN The cluster is down and only accepts read commands",
            Self::Ask(slot, node) => {
                let address = ownership.address(node, network, security);
                return Some(Error::Owned(format!("ASK {} {address}", slot.number())));
            }
            Self::Moved(slot, node) => {
                let address = ownership.address(node, network, security);
                return Some(Error::Owned(format!("MOVED {} {address}", slot.number())));
            }
        };
        Some(Error::Text(fixed))
    }
}

#[cfg(test)]
mod tests;
