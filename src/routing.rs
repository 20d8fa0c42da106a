//! Which command a request calls, which keys it has, where these live.

pub mod call;
pub mod listening;
pub mod node;
pub mod router;
