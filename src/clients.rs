//! One client: its session, what it sent and has not been served yet, what it is to be sent.

pub mod client;
pub mod info;
