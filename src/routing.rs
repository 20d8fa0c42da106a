//! Which command a request calls, which keys it has, where these live.

pub mod admission;
pub mod call;
pub mod keys;
pub mod listening;
pub mod node;
pub mod redirection;
pub mod request;
pub mod slots;
