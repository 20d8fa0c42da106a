//! Looking through a snapshot as loading it would, and keeping nothing: `keylane check FILE`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File as DiskFile;
use std::path::Path;

use shards::base::hash::HashSeed;
use shards::base::time::UnixMs;
use shards::rdb::error::{Error, Problem};
use shards::rdb::file::{Checksum, Event, File};
use shards::rdb::reader::Reader;
use shards::rdb::value::{Detached, Rules};
use shards::types::limits::Limits;

use crate::persistence::reading::Reading;
use crate::process::plain;

/// What a file holds.
#[derive(Debug, Default)]
struct Summary {
    version: u32,
    aux: Vec<(String, String)>,
    /// By database: keys, those that expire, and those whose time has passed.
    dbs: BTreeMap<u64, [u64; 3]>,
    /// Keys by type.
    types: BTreeMap<&'static str, u64>,
    functions: u64,
    empty: u64,
    bytes: u64,
    has_checksum: bool,
}

/// Reads all of a file: what is in it, line by line, as of `now`.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check(path: &Path, now: UnixMs) -> Result<String, String> {
    let fail = |why: &str| format!("{} is not whole: {why}", path.display());
    let file = DiskFile::open(path)
        .map_err(|error| format!("Can't open {}: {}", path.display(), plain(&error)))?;
    let reader = Reader::summing(Reading::new(file));
    let mut file = File::open(reader).map_err(|error| fail(&error.to_string()))?;
    let mut last_key = Vec::new();
    match summary(&mut file, now, &mut last_key) {
        Ok(summary) => Ok(summary.text(path)),
        Err(error) => {
            let disk = file.source().error().map(plain);
            let why = disk.unwrap_or_else(|| error.to_string());
            if last_key.is_empty() {
                return Err(fail(&why));
            }
            Err(fail(&format!("{why} (the last key was {})", last_key.escape_ascii())))
        }
    }
}

fn summary(
    file: &mut File<Reading>,
    now: UnixMs,
    last_key: &mut Vec<u8>,
) -> Result<Summary, Error> {
    let rules = Rules { limits: Limits::DEFAULT, seed: HashSeed(0) };
    let mut summary = Summary { version: file.header().version, ..Summary::default() };
    let mut db = 0;
    while let Some(event) = file.next_event()? {
        match event {
            Event::Aux { name, value } => {
                let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
                summary.aux.push((text(&name), text(&value)));
            }
            Event::SelectDb(number) => db = number,
            Event::Function(_) => summary.functions += 1,
            Event::ResizeDb { .. } | Event::Slot { .. } | Event::SlotImport { .. } => {}
            Event::Key(key) => {
                *last_key = key.name;
                let counts = summary.dbs.entry(db).or_default();
                counts[0] += 1;
                counts[1] += u64::from(key.expire.is_some());
                counts[2] += u64::from(key.expire.is_some_and(|at| at < now));
                match file.value(&rules) {
                    Ok(Detached::Text(_)) => *summary.types.entry("string").or_default() += 1,
                    Ok(Detached::Object(object)) => {
                        *summary.types.entry(object.type_name()).or_default() += 1;
                    }
                    Err(Error { problem: Problem::Empty, .. }) => summary.empty += 1,
                    Err(error) => return Err(error),
                }
            }
            Event::End(checksum) => summary.has_checksum = checksum == Checksum::Right,
        }
    }
    summary.bytes = file.offset();
    Ok(summary)
}

impl Summary {
    fn text(&self, path: &Path) -> String {
        let mut text = format!("{} is whole.\n", path.display());
        let mut line = |name: &str, value: String| {
            writeln!(text, "{name}: {value}").expect("a string takes all");
        };
        line("version", self.version.to_string());
        line("bytes", self.bytes.to_string());
        let checksum = if self.has_checksum { "right" } else { "none" };
        line("checksum", checksum.to_owned());
        for (name, value) in &self.aux {
            line(name, value.clone());
        }
        for (db, [keys, volatile, expired]) in &self.dbs {
            let value = format!("keys={keys},expires={volatile},expired={expired}");
            line(&format!("db{db}"), value);
        }
        for (name, keys) in &self.types {
            line(name, keys.to_string());
        }
        for (name, count) in [("functions", self.functions), ("keys without elements", self.empty)]
        {
            if 0 < count {
                line(name, count.to_string());
            }
        }
        text.trim_end().to_owned()
    }
}
