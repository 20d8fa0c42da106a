//! CONFIG REWRITE

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::config::{EACH, ON_ALL_NODES};
use crate::commands::own::{Own, OwnRun};
use crate::config::rewrite;
use crate::control::ctx::{Awaited, ControlCtx, Outcome};
use crate::control::disk::DiskWork;
use crate::log;
use crate::process::temp_beside;

pub(super) const REWRITE: Own = Own {
    spec: Spec {
        name: "config|rewrite",
        since: "2.8.0",
        summary: "Writes the settings in force into the configuration file.",
        arity: Arity::Exactly(2),
        tips: ON_ALL_NODES,
        ..EACH
    },
    run: OwnRun::Control(run),
};

const NO_FILE: Error = Error::Text("ERR The server is running without a config file");

/// Access to a file that was not there before.
const NEW_FILE_MODE: u32 = 0o644;

fn run(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let file = ctx.control.process.config_file.as_deref().ok_or(NO_FILE)?;
    let mut config = Arc::clone(&ctx.control.node.config);
    if config.cluster_enabled {
        // nodes.conf says whom a node of a cluster follows.
        Arc::make_mut(&mut config).replicaof = None;
    }
    let work = move || replace(file, |old| rewrite::rewrite(old, &config));
    Ok(Outcome::Wait(Awaited::Disk(DiskWork { run: Box::new(work), answer })))
}

fn answer(replaced: io::Result<()>) -> Result<&'static str, Error> {
    match replaced {
        Ok(()) => {
            log::notice("CONFIG REWRITE executed with success.");
            Ok("OK")
        }
        Err(error) => {
            let reason = crate::process::plain(&error);
            log::warning(&format!("CONFIG REWRITE failed: {reason}"));
            Err(Error::Owned(format!("ERR Rewriting config file: {reason}")))
        }
    }
}

/// Puts a new text in a file's place. Whatever happens, the file has the old text or the new one:
/// the new one is on disk under another name before it takes the old one's.
fn replace(path: &Path, text: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<()> {
    // A link stays a link: what it names is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let (old, mode) = match fs::read(&path) {
        Ok(old) => (old, fs::metadata(&path)?.permissions().mode()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), NEW_FILE_MODE),
        Err(error) => return Err(error),
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = folder.join(temp_beside(&name));
    let written = write_new(&beside, &text(&old), mode).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&beside);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).clone();
    let mut file = options.open(path)?;
    // The mode above was narrowed by the umask.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_keeps_its_mode() {
        let folder = std::env::temp_dir().join(format!("keylane-rewrite-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("a.conf");
        replace(&path, |old| {
            assert_eq!(old, b"");
            b"hz 20\n".to_vec()
        })
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.join("link.conf");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, |old| [old, b"port 1\n"].concat()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"hz 20\nport 1\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        assert!(replace(&folder.join("none/a.conf"), <[u8]>::to_vec).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
