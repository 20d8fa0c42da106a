//! The end of the process: SHUTDOWN, SIGTERM and SIGINT. Whatever writes a snapshot is ended and
//! seen gone, a last snapshot is written, and nothing that was promised meanwhile is lost: the
//! shards never go on after it.

use shards::resp::error::Error;

use crate::coordination::control::Control;
use crate::coordination::saving::{Kept, Wish};
use crate::log;
use crate::reactor::signals::Signal;

const REFUSED: Error = Error::Text("ERR Errors trying to SHUTDOWN. Check logs.");

/// The process is to end.
#[derive(Debug)]
pub struct Ending {
    /// Whether to write a last snapshot.
    pub save: LastSave,
    /// Whether to end although that fails.
    pub forced: bool,
    /// Whoever asked, by SHUTDOWN.
    pub kept: Vec<Kept>,
    stage: Stage,
}

/// Whether to write a last snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastSave {
    /// If the configuration asks for snapshots.
    #[default]
    AsConfigured,
    /// In any case.
    Yes,
    /// No.
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was done yet.
    Asked,
    /// A child is to go.
    Clearing,
    /// The last snapshot is being written.
    Saving,
}

impl Control {
    /// Begins to end the process because of a signal.
    pub fn end_by(&mut self, signal: Signal) {
        let config = &self.node.config;
        let options = match signal {
            Signal::Int => config.shutdown_on_sigint,
            Signal::Term | Signal::Hup => config.shutdown_on_sigterm,
        };
        let save = match (options.save(), options.nosave()) {
            (true, _) => LastSave::Yes,
            (false, true) => LastSave::No,
            (false, false) => LastSave::AsConfigured,
        };
        self.begin_end(save, options.force(), None);
    }

    /// Begins to end the process.
    pub fn begin_end(&mut self, save: LastSave, forced: bool, kept: Option<Kept>) {
        match &mut self.ending {
            Some(ending) => ending.kept.extend(kept),
            None => {
                let kept = kept.into_iter().collect();
                self.ending = Some(Ending { save, forced, kept, stage: Stage::Asked });
            }
        }
    }

    /// Goes on ending. True if it is over now.
    pub fn go_on_ending(&mut self) -> bool {
        let Some(ending) = &mut self.ending else { return false };
        let first = ending.stage == Stage::Asked;
        if first {
            log::notice("User requested shutdown...");
            ending.stage = Stage::Clearing;
        }
        if self.is_loading() {
            return true;
        }
        if first && self.saving.child.is_some() {
            log::warning("There is a child saving an .rdb. Killing it!");
            self.kill_child("shutdown");
        }
        if self.saving.is_busy() {
            // A child may have begun since.
            self.kill_child("shutdown");
            return false;
        }
        let ending = self.ending.as_mut().expect("it is under way");
        let saves = match ending.save {
            LastSave::AsConfigured => !self.node.config.save.is_empty(),
            LastSave::Yes => true,
            LastSave::No => false,
        };
        if !saves {
            return true;
        }
        if ending.stage == Stage::Clearing {
            ending.stage = Stage::Saving;
            self.wish(Wish::Final);
        }
        false
    }

    /// Writes the last snapshot, and ends while all shards stand still.
    pub(super) fn save_and_end(&mut self) {
        log::notice("Saving the final RDB snapshot before exiting.");
        let forced = self.ending.as_ref().is_some_and(|ending| ending.forced);
        let plan = self.plan();
        self.while_all_stand(|control, shards| {
            let written = plan.write(shards, |_| {});
            let saved = control.note_written(&plan, written.map(|_| 0));
            if saved.is_ok() {
                control.process.stop();
            }
            if forced {
                log::warning("Error trying to save the DB. Exit anyway.");
                control.process.stop();
            }
        });
        log::warning("Error trying to save the DB, can't exit.");
        log::warning("Errors trying to shut down the server. Check the logs for more information.");
        let kept = self.ending.take().map(|ending| ending.kept).unwrap_or_default();
        kept.into_iter().for_each(|kept| self.answer_kept(kept, Err(REFUSED)));
    }
}
