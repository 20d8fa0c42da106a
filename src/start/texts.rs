//! Reads what the process is configured by: the file, standard input, the command line, and the
//! files they include.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use shards::base::glob;

use crate::config::parse::{Loaded, Loader, Next, Options, Text};
use crate::process::VALKEY_VERSION;
use crate::start::{Failure, plain};

/// Bytes of one configuration text: more is no configuration.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Files that one pattern may name.
const FILES_MAX: usize = 1024;

/// The configuration that the arguments after the program's name ask for, and the absolute path
/// of its file.
///
/// # Errors
/// A file that cannot be read, or a line that cannot be obeyed.
pub fn load(args: &[Vec<u8>]) -> Result<(Loaded, Option<PathBuf>), Failure> {
    let options = Options::parse(args);
    let mut texts = Vec::new();
    let mut file = None;
    if let Some(path) = options.file {
        let path = path_of(path);
        let path = std::path::absolute(&path).unwrap_or(path);
        texts.push(read(&path)?);
        file = Some(path);
    }
    if options.stdin {
        let read = read_all(io::stdin().lock());
        let bytes = read.map_err(|error| {
            Failure::Log(format!(
                "Fatal error, can't read the configuration from standard input: {}",
                plain(&error)
            ))
        })?;
        texts.push(Text { origin: "standard input".into(), bytes });
    }
    texts.push(Text { origin: "the command line".into(), bytes: options.lines });
    let mut loader = Loader::new(texts);
    loop {
        match loader.read() {
            Ok(Next::Include(pattern)) => loader.include(included(&path_of(pattern))?),
            Ok(Next::Done) => return Ok((loader.finish(), file)),
            Err(error) => return Err(Failure::Config(error.report(VALKEY_VERSION))),
        }
    }
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    std::ffi::OsString::from_vec(bytes).into()
}

fn included(pattern: &Path) -> Result<Vec<Text>, Failure> {
    let files = if is_pattern(pattern.as_os_str().as_bytes()) {
        matching(pattern)
    } else {
        vec![pattern.to_path_buf()]
    };
    files.iter().map(|file| read(file)).collect()
}

fn read(path: &Path) -> Result<Text, Failure> {
    let fail = |error: io::Error| {
        let (path, error) = (path.display(), plain(&error));
        Failure::Log(format!("Fatal error, can't open config file '{path}': {error}"))
    };
    let bytes = fs::File::open(path).and_then(read_all).map_err(fail)?;
    Ok(Text { origin: path.display().to_string(), bytes })
}

fn read_all(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == TEXT_BYTES_MAX {
        let text = format!("longer than {} MB", TEXT_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}

/// The files that a pattern with `*`, `?` or `[` names, sorted as the C library does: each part of
/// the path matches names in one folder, and hidden ones only if it begins with a dot itself.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        found = match part {
            Component::Normal(part) if is_pattern(part.as_bytes()) => {
                found.iter().flat_map(|folder| names_in(folder, part.as_bytes())).collect()
            }
            part => found.into_iter().map(|folder| folder.join(part)).collect(),
        };
        found.truncate(FILES_MAX);
    }
    found.retain(|path| path.exists());
    found.sort_unstable();
    found
}

fn names_in(folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // A folder that cannot be read has no names in it.
    let Ok(entries) = fs::read_dir(here) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let shown = |name: &[u8]| pattern.starts_with(b".") || !name.starts_with(b".");
    let names = names.filter(|name| {
        let name = name.as_bytes();
        shown(name) && glob::matches(pattern, name)
    });
    names.map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("keylane-{name}-{}", std::process::id()));
        for (file, text) in files {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_pattern_includes_files_in_their_order() {
        let folder = folder(
            "include",
            &[
                ("main.conf", ""),
                ("a/20.conf", "port 20"),
                ("a/10.conf", "port 10"),
                ("b/10.conf", "port 11\nhz 11"),
                ("a/.hidden.conf", "port 99"),
                ("a/other", "port 98"),
            ],
        );
        let text = |include: &str| format!("include {}/{include}\n", folder.display());
        fs::write(folder.join("main.conf"), text("?/*.conf") + &text("none/*")).unwrap();
        let main = folder.join("main.conf").into_os_string().into_vec();
        let (loaded, file) = load(std::slice::from_ref(&main)).unwrap();
        assert_eq!((loaded.config.port, loaded.config.hz), (11, 11));
        assert_eq!(file, Some(folder.join("main.conf")));
        fs::write(folder.join("main.conf"), text("none.conf")).unwrap();
        let Err(Failure::Log(message)) = load(&[main]) else { panic!("it is not there") };
        let none = folder.join("none.conf");
        assert_eq!(
            message,
            format!(
                "Fatal error, can't open config file '{}': No such file or directory",
                none.display()
            )
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_bad_line_is_reported_with_its_place() {
        let args = ["--port", "1", "--nosuch", "x"].map(|arg| arg.as_bytes().to_vec());
        let Err(Failure::Config(report)) = load(&args) else { panic!("there is no such setting") };
        assert!(report.contains("at line 2 of the command line"), "{report}");
    }
}
