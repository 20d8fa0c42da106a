//! A path that may change while the process runs, and that any thread may need at its end.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The path, if there is one.
#[derive(Clone, Debug, Default)]
pub struct OwnPath(Arc<Mutex<Option<PathBuf>>>);

impl OwnPath {
    /// With a path, or without one.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self(Arc::new(Mutex::new(path)))
    }

    /// The path.
    pub fn get(&self) -> Option<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in its place, and returns what was there.
    pub fn replace(&self, path: Option<PathBuf>) -> Option<PathBuf> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), path)
    }
}
