//! Whether clients are served, and if not, why; how far the end of the process has come.

use crate::control::core::Control;
use crate::shutdown::stage::Stage;

/// What the stage is called before a signal or SHUTDOWN asks for the end.
const NONE: &str = "none";

/// All stages of the end, in their order; the first is that no signal and no SHUTDOWN asked for it.
pub fn stages() -> impl Iterator<Item = &'static str> {
    [NONE].into_iter().chain(Stage::ALL.map(Stage::name))
}

/// How far the end of the process has come: one of [`stages`].
pub fn stage(control: &Control) -> &'static str {
    control.end.shutdown.stage().map_or(NONE, Stage::name)
}

/// Why clients are not served; `None` if they are.
pub fn obstacle(control: &Control) -> Option<String> {
    if let Some(stage) = control.end.shutdown.stage() {
        return Some(format!("shutting down, stage {}", stage.name()));
    }
    if control.node.condition.is_emptied {
        return Some("waiting for the keys of the primary".to_owned());
    }
    let loading = control.loading.as_ref().filter(|_| control.is_loading())?;
    let progress = loading.progress(control.node.now);
    Some(format!("loading the dataset, {} of {} bytes", progress.read, progress.total))
}
