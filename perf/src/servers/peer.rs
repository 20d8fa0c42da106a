//! A server to measure, as the command line names it.

use std::path::PathBuf;

/// Where a command takes the port of its metrics.
const METRICS: &str = "{metrics}";

/// A server: how to start it, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name in tables.
    pub name: String,
    /// Its own CPUs, if they are not those of the others.
    pub cpus: Option<String>,
    /// Its command, with `{port}`, `{metrics}` and `{dir}` to be filled in.
    pub command: Vec<String>,
}

impl Peer {
    /// Reads `name=command`, `name@cpus=command` or a well-known name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, command) = match text.split_once('=') {
            Some((name, command)) => (name, command.to_owned()),
            None => (text, usual_command(text)?),
        };
        let (name, cpus) = match name.split_once('@') {
            Some((name, cpus)) => (name, Some(cpus.to_owned())),
            None => (name, None),
        };
        let command = words(&command)?;
        if name.is_empty() || command.is_empty() {
            return Err(format!("`{text}` is not name=command"));
        }
        Ok(Self { name: name.into(), cpus, command })
    }

    /// The command with its holes filled.
    pub fn command_at(&self, port: u16, metrics: u16, dir: &str) -> Vec<String> {
        let fill = |word: &String| {
            let word = word.replace("{port}", &port.to_string());
            word.replace(METRICS, &metrics.to_string()).replace("{dir}", dir)
        };
        self.command.iter().map(fill).collect()
    }

    /// Whether it serves metrics, which are then read while it is measured.
    pub fn has_metrics(&self) -> bool {
        self.command.iter().any(|word| word.contains(METRICS))
    }
}

/// The usual command of a server that has one.
fn usual_command(name: &str) -> Result<String, String> {
    let keylane = || "target/release/keylane".to_owned();
    let (program, more) = match name.split('@').next().unwrap_or(name) {
        "keylane" => (keylane(), " --shards 1"),
        "keylane-2" => (keylane(), " --shards 2"),
        "keylane-cluster" => (keylane(), " --shards 1 --cluster-enabled yes"),
        "keylane-2-cluster" => (keylane(), " --shards 2 --cluster-enabled yes"),
        "valkey" => (tool("valkey-server").display().to_string(), ""),
        "redis" => (tool("redis-server").display().to_string(), ""),
        _ => return Err(format!("`{name}` has no usual command: write {name}=command")),
    };
    Ok(format!("{program} --port {{port}} --save '' --dir {{dir}}{more}"))
}

/// A program of the peers: from `PATH`, else from `$PEERS/bin`.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.exists())
    {
        return found;
    }
    peers_bin().join(name)
}

/// Where the peers' programs are: `$PEERS/bin`, `$PEERS` being `~/.cache/peers` unless it is set.
pub fn peers_bin() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    std::env::var_os("PEERS").map_or_else(|| home().join(".cache/peers"), PathBuf::from).join("bin")
}

/// Splits a command as a shell would: blanks part words, quotes hold them together.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    match quote {
        Some(open) => Err(format!("the quote {open} is never closed in `{text}`")),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words_as_a_shell_does() {
        for (text, expected) in [
            ("", &[][..]),
            ("  a  b ", &["a", "b"]),
            ("a --save '' b", &["a", "--save", "", "b"]),
            ("'a b'c \"it's\"", &["a bc", "it's"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        assert!(words("a 'b").is_err());
    }

    #[test]
    fn reads_names_cpus_and_commands() {
        let peer = Peer::parse("two@0-1=server --port {port} --dir={dir}").unwrap();
        assert_eq!((peer.name.as_str(), peer.cpus.as_deref()), ("two", Some("0-1")));
        assert_eq!(peer.command_at(7, 8, "/d"), ["server", "--port", "7", "--dir=/d"]);
        assert!(Peer::parse("keylane").unwrap().command.contains(&"--shards".to_owned()));
        assert!(Peer::parse("unheard-of").is_err());
        assert!(Peer::parse("=x").is_err());
    }
}
