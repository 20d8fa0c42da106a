//! Requests of one client on their way from core to core.

pub mod batch;
pub mod claims;
pub mod epochs;
pub mod round;
pub mod waiting;
