//! The commands that touch keys: one folder per Valkey group, one file per command.

pub mod spec;
pub mod ctx;
pub mod expiry;
pub mod growth;
pub mod scanning;
pub mod waiting;
pub mod database;
pub mod table;
mod string;
mod bitmap;
mod hash;
mod set;
mod sorted_set;
mod geo;
mod hyperloglog;
mod connection;
mod generic;
pub mod list;
mod stream;
pub mod server;
#[cfg(test)]
mod obeying;
#[cfg(test)]
mod testing;
