//! GEOSEARCH key [FROMMEMBER member | FROMLONLAT longitude latitude] <BYRADIUS radius unit | BYBOX
//! width height unit | BYPOLYGON num-vertices longitude latitude ...> and more options,
//! GEOSEARCHSTORE destination source with the same, but without WITHCOORD and the like

use super::request::Form;
use super::search::run;
use crate::commands::spec::{Arity, Command, Flag, Flags, Group, KeySpec, Spec};

pub(super) const GEOSEARCH: Command = Command {
    spec: Spec {
        name: "geosearch",
        summary: "Returns the places within a circle, a box or a polygon.",
        syntax: "key [FROMMEMBER member | FROMLONLAT longitude latitude] \
                 <<BYRADIUS radius <M | KM | FT | MI>> | <BYBOX width height <M | KM | FT | MI>> | \
                 <BYPOLYGON num-vertices longitude latitude [longitude latitude ...]>> \
                 [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        arity: Arity::AtLeast(7),
        flags: Flags::of(&[Flag::ReadOnly]),
        keys: &[KeySpec::first(&["RO", "ACCESS"])],
        ..SPEC
    },
    run: |ctx| run(ctx, Form::Search),
};

pub(super) const GEOSEARCHSTORE: Command = Command {
    spec: Spec {
        name: "geosearchstore",
        summary: "Stores the places within a circle, a box or a polygon.",
        syntax: "destination source [FROMMEMBER member | FROMLONLAT longitude latitude] \
                 <<BYRADIUS radius <M | KM | FT | MI>> | <BYBOX width height <M | KM | FT | MI>> | \
                 <BYPOLYGON num-vertices longitude latitude [longitude latitude ...]>> \
                 [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        arity: Arity::AtLeast(8),
        flags: Flags::of(&[Flag::Write, Flag::DenyOom]),
        keys: &[KeySpec::nth(1, &["OW", "UPDATE"]), KeySpec::nth(2, &["RO", "ACCESS"])],
        ..SPEC
    },
    run: |ctx| run(ctx, Form::SearchStore),
};

const SPEC: Spec = Spec {
    group: Group::Geo,
    since: "6.2.0",
    complexity: "O(N+log(M)), N being the number of members in the cells around the shape and M \
                 that of those within it.",
    ..Spec::EMPTY
};
