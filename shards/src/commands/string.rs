//! The list of string commands.

mod append;
mod delifeq;
mod get;
mod getdel;
mod getex;
mod getrange;
mod getset;
mod incr;
mod incrbyfloat;
mod lcs;
mod mget;
mod mset;
mod msetex;
mod set;
mod set_options;
mod setex;
mod setnx;
mod setrange;
mod strlen;
mod subsequence;

use crate::commands::spec::Command;

/// Every string command.
pub const COMMANDS: &[Command] = &[
    append::APPEND,
    incr::DECR,
    incr::DECRBY,
    delifeq::DELIFEQ,
    get::GET,
    getdel::GETDEL,
    getex::GETEX,
    getrange::GETRANGE,
    getset::GETSET,
    incr::INCR,
    incr::INCRBY,
    incrbyfloat::INCRBYFLOAT,
    lcs::LCS,
    mget::MGET,
    mset::MSET,
    msetex::MSETEX,
    mset::MSETNX,
    setex::PSETEX,
    set::SET,
    setex::SETEX,
    setnx::SETNX,
    setrange::SETRANGE,
    strlen::STRLEN,
    getrange::SUBSTR,
];
