//! Declared first: the body follows.

use crate::effects::Effects;
use crate::keyspace::db::Keyspace;

/// Placeholder until the body lands.
pub fn slice(_k: &mut Keyspace, _e: &mut Effects, _b: usize, _l: &dyn Fn(usize, u64) -> bool) -> bool { false }
