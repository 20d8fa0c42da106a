//! The machine as a whole: every event in every state, limits, waits, and talks with primaries.

mod pairs;
mod random;
mod rig;
mod talks;
mod times;
