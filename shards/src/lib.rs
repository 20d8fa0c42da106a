//! The engine of one shard: keyspace, encodings and commands. Bytes in, values and effects out.
//!
//! This crate does no I/O, starts no thread, reads no clock and asks for no chance: time and
//! random seeds are arguments. Modules stand in building order: each may use only those above it.

#![no_std]

extern crate alloc;

pub mod base;
pub mod resp;
pub mod encodings;
pub mod types;
pub mod journal;
pub mod effects;
pub mod rdb;
pub mod keyspace;
pub mod commands;
pub mod shard;
