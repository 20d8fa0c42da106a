//! Reading a snapshot: control reads the file in short steps between letters, and the shards make
//! values of what they are sent.

use crate::mail::disk::{Doubles, LoadNumber, LoadReport};
use std::path::Path;

use shards::base::slot::Slot;
use shards::keyspace::db::Db;
use shards::rdb::error::Error as RdbError;
use shards::resp::error::Error;

use crate::control::core::Control;
use crate::control::histories::point_of;
use crate::control::saving::KeptRequest;
use crate::control::standing::Reload;
use crate::log;
use crate::mail::disk::DiskWord;
use crate::mail::query::Query;
use crate::mail::to_shard::ToShard;
use crate::persistence::loader::{Loader, Step};
use crate::persistence::snapshot::{self, Others};
use crate::reactor::clock::{self, Monotonic};
use crate::routing::node::Role;
use crate::transactions::transaction::Transaction;

/// Chunks that a shard may have before it, on the average.
const CHUNKS_PER_SHARD: usize = 8;
/// How long control reads before it looks for letters.
const STEP_MICROS: u64 = 1000;
/// How often the log says how far it is.
const REPORT_MILLIS: u64 = 5000;
const RELOAD_FAILED: Error =
    Error::Text("ERR Error trying to load the RDB dump, check server logs.");

/// A file that is being loaded.
#[derive(Debug)]
pub struct Loading {
    number: LoadNumber,
    loader: Loader,
    doubles: Doubles,
    /// Chunks that shards were sent and have not reported on.
    outstanding: usize,
    has_read_all: bool,
    /// What the file says of its history is in force.
    has_history: bool,
    /// When it began.
    pub began: Monotonic,
    /// The same, in seconds since the epoch.
    pub began_at: u64,
    last_report: Monotonic,
    sum: LoadReport,
    /// DEBUG RELOAD, and what claims the shards for it.
    reload: Option<(KeptRequest, Transaction)>,
}

/// How far loading is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// When it began, in seconds since the epoch.
    pub began_at: u64,
    /// Bytes of the file.
    pub total: u64,
    /// Bytes read.
    pub read: u64,
    /// Memory that the dataset took where the file was written.
    pub used_memory: u64,
    /// Seconds that are left, as far as can be told.
    pub eta_seconds: u64,
}

impl Loading {
    /// Of this file, now; `number` is that of no other load.
    pub fn new(number: LoadNumber, loader: Loader, now: Monotonic) -> Self {
        Self {
            number,
            loader,
            doubles: Doubles::Refused,
            outstanding: 0,
            has_read_all: false,
            has_history: false,
            began: now,
            began_at: clock::wall().seconds(),
            last_report: now,
            sum: LoadReport::default(),
            reload: None,
        }
    }

    /// Notes what a shard made of a chunk, if the chunk belongs to this load.
    fn note(&mut self, report: LoadReport) {
        // No field is left out: a new one is added up here, or lost on purpose.
        let LoadReport { load, keys, expired, all_fields_expired, empty, error } = report;
        if load != self.number {
            return;
        }
        self.outstanding -= 1;
        self.sum.keys += keys;
        self.sum.expired += expired;
        self.sum.all_fields_expired += all_fields_expired;
        self.sum.empty += empty;
        self.sum.error = self.sum.error.take().or(error);
    }

    /// How far it is.
    pub fn progress(&self, now: Monotonic) -> LoadProgress {
        let (total, read) = (self.loader.total, self.loader.offset());
        let millis = now.millis_since(self.began);
        let left = total.saturating_sub(read);
        let eta = millis.saturating_mul(left).checked_div(read).unwrap_or(0) / 1000;
        LoadProgress {
            began_at: self.began_at,
            total,
            read,
            used_memory: self.loader.used_memory,
            eta_seconds: if read == 0 { 1 } else { eta },
        }
    }
}

impl Control {
    /// Whether DEBUG RELOAD reads a snapshot.
    pub(crate) fn is_reloading(&self) -> bool {
        self.loading.as_ref().is_some_and(|loading| loading.reload.is_some())
    }

    /// Whether the keys of the last run are still being read, so that no client may use any.
    pub fn is_loading(&self) -> bool {
        self.loading.as_ref().is_some_and(|loading| loading.reload.is_none())
    }

    /// Whether what is there is a part of the keys: the last run's are being read, or those of a
    /// primary are on their way and this node's own are gone.
    pub(crate) fn lacks_keys(&self) -> bool {
        self.is_loading() || self.node.condition.is_emptied
    }

    /// Reads on, if there is something to read and shards have room for it. True if there is more
    /// to do at once.
    pub fn load_on(&mut self) -> bool {
        let Some(mut loading) = self.loading.take() else { return false };
        let since = Monotonic::now();
        let chunks_max = CHUNKS_PER_SHARD * self.shards();
        let slots = self.node.slots.clone();
        let owner = |key: &[u8]| usize::from(slots.owner_of(Slot::of(key)));
        let mut failed = None;
        while !loading.has_read_all
            && loading.outstanding < chunks_max
            && Monotonic::now().micros_since(since) < STEP_MICROS
        {
            match loading.loader.step(owner) {
                Ok(Step::Chunk(shard, chunk)) => {
                    self.take_history(&mut loading);
                    loading.outstanding += 1;
                    let word = DiskWord::Load(loading.number, Box::new(chunk), loading.doubles);
                    self.mailbox.send(shard, ToShard::Disk(word));
                }
                Ok(Step::More) => {}
                Ok(Step::End) => loading.has_read_all = true,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failed.or_else(|| loading.sum.error.clone()) {
            self.load_failed(loading, &error);
            return false;
        }
        if REPORT_MILLIS <= since.millis_since(loading.last_report) {
            loading.last_report = since;
            report(&loading.progress(since), &loading.sum);
        }
        if loading.has_read_all && loading.outstanding == 0 {
            self.load_done(loading);
            return false;
        }
        let more = !loading.has_read_all && loading.outstanding < chunks_max;
        self.loading = Some(loading);
        more
    }

    /// A shard has taken a chunk in.
    pub(crate) fn chunk_loaded(&mut self, report: LoadReport) {
        if let Some(loading) = &mut self.loading {
            loading.note(report);
        }
    }

    /// Takes over the history that the file says its keys are of, before the first of them: what
    /// is due by now is removed in it.
    fn take_history(&mut self, loading: &mut Loading) {
        if loading.reload.is_some() || std::mem::replace(&mut loading.has_history, true) {
            return;
        }
        match loading.loader.origin().as_ref().and_then(point_of) {
            Some(point) if self.node.condition.role == Role::Replica => {
                self.following.loaded = Some(point);
            }
            Some(point) => self.begin_loaded_history(point),
            None => {}
        }
    }

    fn load_done(&mut self, mut loading: Loading) {
        self.take_history(&mut loading);
        let LoadReport { load: _, keys, expired, all_fields_expired, empty, error: _ } =
            loading.sum;
        log::notice(&format!(
            "Done loading RDB, keys loaded: {keys}, keys expired: {expired}, all fields expired \
             hashes: {all_fields_expired}."
        ));
        if 0 < empty {
            log::notice(&format!("Keys without elements in the RDB that were passed: {empty}."));
        }
        let functions = loading.loader.functions;
        if !functions.is_empty() {
            log::warning(&format!(
                "Libraries of functions in the RDB: {}. They can't be called here, but are kept \
                 and written into every snapshot.",
                functions.len()
            ));
        }
        self.saving.functions = functions;
        self.load_expired = expired;
        self.load_keys = keys;
        if let Some((kept, transaction)) = loading.reload {
            log::warning("DB reloaded by DEBUG RELOAD");
            self.release_barrier(transaction);
            self.answer_kept(kept, Ok("OK"));
            return;
        }
        let seconds = Monotonic::now().micros_since(loading.began) as f64 / 1e6;
        log::notice(&format!("DB loaded from disk: {seconds:.3} seconds"));
        self.begin_serving();
    }

    /// The dataset is complete: clients are let at it.
    fn begin_serving(&mut self) {
        self.node.condition.loading = false;
        self.order(&Query::EndLoading);
        self.end_loading = Some(self.last_question());
        self.begin_with_data();
    }

    fn load_failed(&mut self, loading: Loading, error: &RdbError) {
        let why = loading.loader.told(error);
        let Some((kept, transaction)) = loading.reload else {
            self.process.fail(&format!(
                "{why}. The server does not start with a part of the keys, and has changed \
                 nothing: put a whole file in its place, or move it away to start empty."
            ))
        };
        log::warning(&why);
        self.release_barrier(transaction);
        self.answer_kept(kept, Err(RELOAD_FAILED));
    }

    /// DEBUG RELOAD, when all shards are claimed.
    pub(crate) fn reload(&mut self, kept: KeptRequest, reload: Reload, transaction: Transaction) {
        let mut plan = self.plan();
        let saved = self.while_all_stand(|control, shards| {
            if reload.saves {
                plan.origin = control.origin(shards);
                let written = plan.write(shards, Others::Stand, |_| {});
                let changes = shards.iter().map(|shard| shard.effects.dirty).sum();
                control.note_written(&plan, written.map(|_| changes))?;
            }
            Ok(())
        });
        let opened = saved.and_then(|()| self.open(&plan.file));
        let Ok(loader) = opened else {
            self.release_barrier(transaction);
            return self.answer_kept(kept, Err(RELOAD_FAILED));
        };
        if reload.flushes {
            self.while_all_stand(|_, shards| {
                for keyspace in shards.iter_mut().map(|shard| &mut shard.keyspace) {
                    let empty = keyspace.dbs.iter().map(|_| Db::new(keyspace.seed)).collect();
                    keyspace.dbs = empty;
                }
            });
        }
        let mut loading = Loading::new(self.next_load(), loader, Monotonic::now());
        loading.doubles = if reload.merges { Doubles::Replaced } else { Doubles::Refused };
        loading.reload = Some((kept, transaction));
        self.loading = Some(loading);
    }

    fn open(&self, file: &Path) -> Result<Loader, ()> {
        let missing = || format!("Can't load {}: there is no such file", file.display());
        let opened = Loader::open(file, self.shards(), &self.node.config);
        let opened = opened.and_then(|loader| loader.ok_or_else(missing));
        opened.map_err(|why| log::warning(&why))
    }

    /// Begins to load the file of the configuration, if there is one. All but the keys is there.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub fn begin_loading(&mut self) -> Result<(), String> {
        let config = &self.node.config;
        let file = snapshot::file_of(config);
        let loader = Loader::open(&file, self.shards(), config)?;
        self.loading =
            loader.map(|loader| Loading::new(self.next_load(), loader, Monotonic::now()));
        Ok(())
    }

    fn next_load(&mut self) -> LoadNumber {
        self.loads.0 += 1;
        self.loads
    }
}

fn report(progress: &LoadProgress, sum: &LoadReport) {
    let percent = 100.0 * progress.read as f64 / progress.total.max(1) as f64;
    log::notice(&format!(
        "Loading: {percent:.0} % of {} MB, {} keys, {} seconds to go",
        progress.total >> 20,
        sum.keys,
        progress.eta_seconds
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Config;
    use shards::rdb::kind::Version;
    use shards::rdb::writer::{Compression, Writer};

    /// A file without keys, opened.
    fn loader() -> Loader {
        let name = format!("keylane-loading-{}.rdb", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Version::V10, Compression::Off);
        writer.header();
        writer.end();
        std::fs::write(&path, bytes).unwrap();
        let opened = Loader::open(&path, 2, &Config::default());
        std::fs::remove_file(path).unwrap();
        opened.unwrap().unwrap()
    }

    #[test]
    fn reports_of_a_load_that_was_broken_off_do_not_count_for_the_next() {
        let problem = shards::rdb::error::Problem::Checksum;
        let report = |load| LoadReport {
            load: LoadNumber(load),
            keys: 3,
            expired: 2,
            error: Some(RdbError { offset: 0, problem: problem.clone() }),
            ..LoadReport::default()
        };
        let mut loading = Loading::new(LoadNumber(2), loader(), Monotonic::now());
        loading.note(report(1));
        assert_eq!((loading.outstanding, loading.sum.keys), (0, 0));
        loading.outstanding = 2;
        (0..5).for_each(|_| loading.note(report(1)));
        assert_eq!((loading.outstanding, loading.sum.keys), (2, 0));
        assert_eq!(loading.sum.error, None);
        loading.note(report(2));
        assert_eq!((loading.outstanding, loading.sum.keys, loading.sum.expired), (1, 3, 2));
        assert!(loading.sum.error.is_some());
    }
}
