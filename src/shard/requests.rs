//! Input to requests to replies, at a client's home.

pub mod executing;
pub mod home;
pub mod pipeline;
mod routes;
