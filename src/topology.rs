//! A topology that agrees with itself. What a controller says by CLUSTERX is the *desired* state of
//! this node; what replication is at the moment is the *observed* one. A machine makes the second
//! follow the first, on both sides of each link.
//!
//! ```text
//! CLUSTERX SETNODES --text--> desired --> the table of `cluster`, nodes.conf
//!                                |
//!    the link, the role, --observed--> reconciler --> follow, unfollow, promote, cut
//!    attached replicas
//! ```
//! The texts and errors are those of Kvrocks' controller protocol. There is no socket, no file, no
//! clock and no chance here.

pub mod text;
pub mod desired;
pub mod file;
pub mod membership;
pub mod reconciler;
