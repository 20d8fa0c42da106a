//! The real program as a process among others: what it logs, leaves in folders and answers to
//! signals. Each test has its own folder, port and process.

#[path = "../client/mod.rs"]
mod client;
#[path = "../http/mod.rs"]
mod http;
#[path = "../ports/mod.rs"]
mod ports;
mod asking;
mod running;

mod auth;
mod blocking;
mod doors;
mod clients;
mod config;
mod crash;
mod faults;
mod held;
mod load;
mod loading;
mod migrating;
mod monitor;
mod persistence;
mod pubsub;
mod readiness;
mod replicas;
mod sorting;
mod start;
mod stop;
mod stop_under_load;
mod tracking;
