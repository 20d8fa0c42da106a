//! Whether clients are served, and if not, why; how far the end of the process has come.

use crate::coordination::control::Control;

/// All stages of the end, in their order; the first is that nobody asked for it.
pub const STAGES: &[&str] = &["none", "ending"];

/// How far the end of the process has come: one of [`STAGES`].
pub fn stage(control: &Control) -> &'static str {
    if control.ending.is_none() { "none" } else { "ending" }
}

/// Why clients are not served; `None` if they are.
pub fn obstacle(control: &Control) -> Option<String> {
    let stage = stage(control);
    if stage != STAGES[0] {
        return Some(format!("shutting down, stage {stage}"));
    }
    let loading = control.loading.as_ref().filter(|_| control.is_loading())?;
    let progress = loading.progress(control.node.now);
    Some(format!("loading the dataset, {} of {} bytes", progress.read, progress.total))
}
