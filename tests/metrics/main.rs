//! The metrics, read as Prometheus reads them: by promtool, by a real Prometheus, by many at once
//! and by clients that behave badly. Both programs are in Debian's package `prometheus`.

#[path = "../client/mod.rs"]
mod client;
#[path = "../http/mod.rs"]
mod http;
#[path = "../servers/mod.rs"]
mod servers;

mod dashboard;
mod manners;
mod page;
mod tools;
