//! CLUSTER BUMPEPOCH, CLUSTER SET-CONFIG-EPOCH config-epoch, CLUSTER SAVECONFIG

use shards::base::number::parse_i64;
use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::cluster::ids::Epoch;
use crate::cluster::machine::event::Command;
use crate::commands::cluster::{CHANGES, VARIES, ask, clustering};
use crate::commands::own::{Own, OwnRun};
use crate::control::ctx::{ControlCtx, Outcome};

pub(super) const BUMPEPOCH: Own = Own {
    spec: Spec {
        name: "cluster|bumpepoch",
        since: "3.0.0",
        summary: "Raises the epoch of the cluster.",
        arity: Arity::Exactly(2),
        tips: VARIES,
        ..CHANGES
    },
    run: OwnRun::Control(bump),
};

pub(super) const SET_CONFIG_EPOCH: Own = Own {
    spec: Spec {
        name: "cluster|set-config-epoch",
        since: "3.0.0",
        summary: "Gives a new server its epoch, in a cluster.",
        syntax: "config-epoch",
        arity: Arity::Exactly(3),
        ..CHANGES
    },
    run: OwnRun::Control(set),
};

pub(super) const SAVECONFIG: Own = Own {
    spec: Spec {
        name: "cluster|saveconfig",
        since: "3.0.0",
        summary: "Writes what is known of the cluster to a file, in a cluster.",
        arity: Arity::Exactly(2),
        ..CHANGES
    },
    run: OwnRun::Control(save),
};

fn bump(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ask(Command::BumpEpoch)
}

fn set(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    let epoch = parse_i64(ctx.args[2]).ok_or(Error::NotInteger)?;
    let epoch = u64::try_from(epoch).map_err(|_| {
        Error::naming("ERR Invalid config epoch specified: ", epoch.to_string().as_bytes(), "")
    })?;
    ask(Command::SetConfigEpoch(Epoch(epoch)))
}

fn save(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    clustering(ctx.control)?;
    ask(Command::SaveConfig)
}
