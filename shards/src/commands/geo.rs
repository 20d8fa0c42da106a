//! The list of geo commands. Places are members of sorted sets.

mod area;
mod geoadd;
mod geodist;
mod geopos;
mod georadius;
mod geosearch;
mod request;
mod search;
mod shape;
mod shown;

use crate::commands::spec::Command;

/// Every geo command.
pub const COMMANDS: &[Command] = &[
    geoadd::GEOADD,
    geodist::GEODIST,
    geopos::GEOHASH,
    geopos::GEOPOS,
    georadius::GEORADIUS,
    georadius::GEORADIUSBYMEMBER,
    georadius::GEORADIUSBYMEMBER_RO,
    georadius::GEORADIUS_RO,
    geosearch::GEOSEARCH,
    geosearch::GEOSEARCHSTORE,
];
