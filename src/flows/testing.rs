//! What tests of this room share.

use shards::base::hash::HashSeed;
use shards::commands::spec::{Arity, Spec};
use shards::commands::table::GROUPS;

use crate::flows::dispatch::Routing;
use crate::routing::call::{Listed, Run, Table};
use crate::routing::slots::SlotMap;

static EXEC_SPEC: Spec = Spec { name: "exec", ..Spec::EMPTY };
static SELECT_SPEC: Spec = Spec { name: "select", arity: Arity::Exactly(2), ..Spec::EMPTY };
static CLUSTER_SPEC: Spec = Spec { name: "cluster", arity: Arity::AtLeast(2), ..Spec::EMPTY };
static SETSLOT_SPEC: Spec =
    Spec { name: "cluster|setslot", arity: Arity::AtLeast(4), ..Spec::EMPTY };
static RESET_SPEC: Spec = Spec { name: "cluster|reset", arity: Arity::AtLeast(2), ..Spec::EMPTY };

/// How commands are routed among so many shards.
pub fn routing(shards: u16, seed: u64) -> Routing {
    let engine = GROUPS.iter().flat_map(|group| group.iter());
    let listed = engine.map(|command| Listed {
        spec: &command.spec,
        run: Run::Engine(command),
        subcommands: Vec::new(),
    });
    let own = [&EXEC_SPEC, &SELECT_SPEC];
    let own = own.map(|spec| Listed { spec, run: Run::Client, subcommands: Vec::new() });
    let about_slots = [&SETSLOT_SPEC, &RESET_SPEC];
    let about_slots =
        about_slots.map(|spec| Listed { spec, run: Run::Control, subcommands: Vec::new() });
    let cluster =
        Listed { spec: &CLUSTER_SPEC, run: Run::Container, subcommands: Vec::from(about_slots) };
    let all = listed.chain(own).chain([cluster]).collect();
    let table = Table::new(all, &[]).expect("no name stands twice");
    let table: &'static Table = Box::leak(Box::new(table));
    Routing { table, slots: SlotMap::even(shards), seed: HashSeed(seed) }
}
