//! Files that a process which was killed could not finish: the next one removes them at its start.

use std::fs;
use std::path::Path;

use crate::log;
use crate::process::plain;
use crate::reactor::system;

/// What stands around the number of a process in the name of a file.
#[derive(Clone, Copy, Debug)]
struct Name<'a> {
    before: &'a str,
    after: &'a str,
}

impl Name<'_> {
    /// The process that a file of this name belongs to. `None` if it is another kind of file.
    fn pid(&self, file: &str) -> Option<u32> {
        let digits = file.strip_prefix(self.before)?.strip_suffix(self.after)?;
        let pid: u32 = digits.parse().ok()?;
        // Only as it is written: no sign, no zeros before it.
        (pid.to_string() == digits).then_some(pid)
    }
}

/// Removes what processes that are gone have left: snapshots in the folder of snapshots, and files
/// beside the configuration file that were to take its place. One line of the log says which.
pub fn remove(dir: &Path, config_file: Option<&Path>) {
    let mut removed = remove_named(dir, Name { before: "temp-", after: ".rdb" });
    // What a link names is what was to be replaced.
    let file = config_file.and_then(|file| fs::canonicalize(file).ok());
    if let Some(file) = &file
        && let (Some(folder), Some(name)) = (file.parent(), file.file_name())
    {
        let before = format!("{}.", name.to_string_lossy());
        removed.extend(remove_named(folder, Name { before: &before, after: ".tmp" }));
    }
    if !removed.is_empty() {
        log::notice(&format!(
            "Removed files that processes which were killed had not finished: {}",
            removed.join(", ")
        ));
    }
}

/// The names of the files that were removed.
fn remove_named(folder: &Path, name: Name<'_>) -> Vec<String> {
    let mut removed = Vec::new();
    // A folder that cannot be listed has nothing that can be removed.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !name.pid(&file).is_some_and(is_gone) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Ok(()) => removed.push(file),
            Err(error) => log::warning(&format!(
                "Can't remove {}, which a process that was killed had not finished: {}",
                entry.path().display(),
                plain(&error)
            )),
        }
    }
    removed.sort();
    removed
}

/// Whether the process of this number is gone. This one has begun just now: what bears its number
/// is of an earlier one. (In a container, each run may have the same.)
fn is_gone(pid: u32) -> bool {
    pid == std::process::id() || !system::is_alive(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{snapshot_temp, temp_beside};

    const SNAPSHOT: Name<'static> = Name { before: "temp-", after: ".rdb" };

    #[test]
    fn names_are_those_that_this_process_gives() {
        let own = Some(std::process::id());
        assert_eq!(SNAPSHOT.pid(&snapshot_temp()), own);
        assert_eq!(Name { before: "a.conf.", after: ".tmp" }.pid(&temp_beside("a.conf")), own);
        for other in ["temp-.rdb", "temp-+7.rdb", "temp-07.rdb", "temp-7.rdb.old", "my-temp-7.rdb"]
        {
            assert_eq!(SNAPSHOT.pid(other), None, "{other}");
        }
        assert_eq!(SNAPSHOT.pid("temp-4294967296.rdb"), None);
    }

    #[test]
    fn only_files_of_processes_that_are_gone_are_removed() {
        let folder = std::env::temp_dir().join(format!("keylane-left-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (own, gone) = (std::process::id(), child.id());
        let alive = std::os::unix::process::parent_id();
        let all = [
            format!("temp-{gone}.rdb"),
            format!("temp-{own}.rdb"),
            format!("temp-{alive}.rdb"),
            format!("a.conf.{gone}.tmp"),
            format!("b.conf.{gone}.tmp"),
            "a.conf".to_owned(),
            "dump.rdb".to_owned(),
        ];
        all.iter().for_each(|file| fs::write(folder.join(file), "x").unwrap());
        fs::create_dir(folder.join(format!("temp-{}.rdb", u32::MAX))).unwrap();
        remove(&folder, Some(&folder.join("a.conf")));
        let left: Vec<bool> = all.iter().map(|file| folder.join(file).exists()).collect();
        assert_eq!(left, [false, false, true, false, true, true, true]);
        fs::remove_dir_all(&folder).unwrap();
        remove(&folder, None);
    }
}
