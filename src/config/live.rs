//! CONFIG GET and CONFIG SET on a configuration: what is answered, and what is changed.

use super::choices::{Caller, ClusterTopology};
use super::kinds::{Mention, Reason};
use super::setting::{Change, Setting};
use super::table::{self, Config, SETTINGS};
use super::valkey::{self, FOREIGN, Foreign, Shown};
use std::fmt;

/// What CONFIG SET did.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The configuration to use from now on.
    pub config: Config,
    /// Names of the settings that have another value now, as the table has them.
    pub changed: Vec<&'static str>,
    /// What to log, a line each.
    pub warnings: Vec<String>,
}

/// Why CONFIG SET did nothing. Displayed as the whole error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No setting has this name.
    Unknown {
        /// As the client wrote it.
        name: String,
    },
    /// The setting does not take the value, or not now.
    Failed {
        /// The setting.
        name: String,
        /// Why.
        reason: Reason,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            Self::Failed { name, reason } => write!(
                f,
                "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Whether the value of this setting must not show in logs.
pub fn is_secret(name: &[u8]) -> bool {
    match Known::find(name) {
        Some(Known::Ours(setting, _)) => setting.secret,
        Some(Known::Foreign(foreign)) => foreign.secret,
        None => false,
    }
}

impl Config {
    /// How many databases there are.
    pub fn database_count(&self) -> u32 {
        if self.cluster_enabled { self.cluster_databases } else { self.databases }
    }

    /// Whether this is a node of a cluster whose topology is set by CLUSTERX.
    pub fn is_topology_external(&self) -> bool {
        self.cluster_enabled && self.cluster_topology == ClusterTopology::External
    }

    /// CONFIG GET: names and values of what any of `patterns` matches, each name once, sorted.
    /// A name without `*`, `?` and `[` is answered as it was written. `matches` is the glob,
    /// called with a pattern in lower case and a name.
    pub fn get(
        &self,
        patterns: &[&[u8]],
        matches: fn(pattern: &[u8], name: &[u8]) -> bool,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], value: Vec<u8>| {
            if !found.iter().any(|(listed, _)| listed.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), value));
            }
        };
        for pattern in patterns {
            if pattern.iter().any(|byte| b"*?[".contains(byte)) {
                let pattern = pattern.to_ascii_lowercase();
                for known in Known::listed() {
                    let name = known.name().as_bytes();
                    if matches(&pattern, name) {
                        known.value(self).into_iter().for_each(|value| add(name, value));
                    }
                }
            } else if let Some(value) = Known::find(pattern).and_then(|known| known.value(self)) {
                add(pattern, value);
            }
        }
        found.sort_unstable();
        found
    }

    /// CONFIG SET: all pairs of name and value, or none.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], caller: Caller) -> Result<Applied, ConfigError> {
        let mut known = Vec::new();
        for (at, (name, value)) in pairs.iter().enumerate() {
            let written = || String::from_utf8_lossy(name).into_owned();
            let setting = Known::find(name)
                .filter(|known| known.settable())
                .ok_or_else(|| ConfigError::Unknown { name: written() })?;
            let fail =
                |reason: &str| ConfigError::Failed { name: written(), reason: reason.into() };
            match setting.change() {
                Change::AtStart => return Err(fail("can't set immutable config")),
                Change::Protected if !self.enable_protected_configs.permits(caller) => {
                    return Err(fail("can't set protected config"));
                }
                Change::Protected | Change::AtRuntime => {}
            }
            if pairs[..at].iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
                return Err(fail("duplicate parameter"));
            }
            known.push((setting, *value));
        }
        let mut applied =
            Applied { config: self.clone(), changed: Vec::new(), warnings: Vec::new() };
        for (setting, value) in known {
            let warning = setting
                .write(&mut applied.config, value)
                .map_err(|reason| ConfigError::Failed { name: setting.name().into(), reason })?;
            applied.warnings.extend(warning);
        }
        let changed = SETTINGS.iter().filter(|setting| !(setting.same)(self, &applied.config));
        applied.changed = changed.map(|setting| setting.name).collect();
        Ok(applied)
    }
}

/// A setting of either table.
enum Known {
    /// One of ours, and the name it was found by.
    Ours(&'static Setting, &'static str),
    /// One that only Valkey acts on.
    Foreign(&'static Foreign),
}

impl Known {
    /// Every name that patterns can find.
    fn listed() -> impl Iterator<Item = Self> {
        let ours = SETTINGS.iter().filter(|setting| !setting.file_only && !setting.hidden);
        let ours = ours.flat_map(|setting| setting.names().map(|name| Self::Ours(setting, name)));
        let foreign = FOREIGN.iter().filter(|foreign| foreign.shown == Shown::Listed);
        ours.chain(foreign.map(Self::Foreign))
    }

    fn find(name: &[u8]) -> Option<Self> {
        let ours = table::find(name).map(|(setting, listed)| Self::Ours(setting, listed));
        ours.or_else(|| valkey::find(name).map(Self::Foreign))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Ours(_, listed) => listed,
            Self::Foreign(foreign) => foreign.name,
        }
    }

    fn settable(&self) -> bool {
        match self {
            Self::Ours(setting, _) => !setting.file_only,
            Self::Foreign(foreign) => foreign.shown != Shown::Never,
        }
    }

    fn change(&self) -> Change {
        match self {
            Self::Ours(setting, _) => setting.change,
            Self::Foreign(foreign) => foreign.change,
        }
    }

    fn value(&self, config: &Config) -> Option<Vec<u8>> {
        match self {
            Self::Ours(setting, _) => (!setting.file_only).then(|| (setting.print)(config)),
            Self::Foreign(foreign) => {
                (foreign.shown != Shown::Never).then(|| foreign.value.as_bytes().to_vec())
            }
        }
    }

    /// Gives the setting a value, and says what to warn of.
    fn write(&self, config: &mut Config, value: &[u8]) -> Result<Option<String>, Reason> {
        match self {
            Self::Ours(setting, _) => {
                // Here quotes mean nothing and each blank parts two words, as in Valkey.
                let words: Vec<&[u8]> = match value {
                    [] if setting.many => Vec::new(),
                    _ if setting.many => value.split(|&byte| byte == b' ').collect(),
                    _ => vec![value],
                };
                (setting.read)(config, &words, Mention::First)?;
                Ok(None)
            }
            Self::Foreign(foreign) => {
                let words: Vec<&[u8]> = value.split(|&byte| byte == b' ').collect();
                foreign.take(&words)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A glob good enough for these tests: `*` at either end.
    fn matches(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            b"*" => true,
            [b'*', middle @ .., b'*'] => name.windows(middle.len()).any(|part| part == middle),
            [b'*', end @ ..] => name.ends_with(end),
            [start @ .., b'*'] => name.starts_with(start),
            _ => pattern == name,
        }
    }

    fn get(config: &Config, patterns: &[&str]) -> Vec<(String, String)> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let found = config.get(&patterns, matches).into_iter();
        found.map(|(name, value)| (text(name), text(value))).collect()
    }

    fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Applied, String> {
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        config.set(&pairs, Caller::Remote).map_err(|error| error.to_string())
    }

    fn refused(pairs: &[(&str, &str)], expected: &str) {
        assert_eq!(set(&Config::default(), pairs).unwrap_err(), expected);
    }

    fn failed(name: &str, value: &str, reason: &str) {
        let expected =
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}");
        refused(&[(name, value)], &expected);
    }

    #[test]
    fn answers_what_valkey_answers_at_its_defaults() {
        let captured = include_str!("../../tests/data/config-defaults.txt");
        let expected: Vec<_> = captured
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once('\t').expect("name, tab, value"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let only_here = [
            "authentication-timeout",
            "auto-failover-on-shutdown",
            "cluster-empty-restart",
            "cluster-fast-detection",
            "cluster-refused-confirm",
            "cluster-shard-stall",
            "cluster-topology",
            "cluster-write-lease",
            "hotkeys-max",
            "hotkeys-sample-rate",
            "huge-pages",
            "metrics-bind",
            "metrics-port",
            "pipeline-order",
            "rdb-save-threads",
            "repl-connect-timeout",
            "repl-idle-timeout",
            "repl-native",
            "repl-progress-timeout",
            "repl-step-timeout",
            "repl-sync-log-limit",
            "shard-cpus",
            "shards",
            "shutdown-linger",
            "shutdown-total-timeout",
        ];
        let mut found = get(&Config::default(), &["*"]);
        found.retain(|(name, _)| !only_here.contains(&name.as_str()));
        // A replica keeps what it has until it has something better.
        let other = found.iter_mut().find(|(name, _)| name == "repl-diskless-load");
        let (_, other) = other.expect("it is a setting");
        assert_eq!(std::mem::replace(other, "disabled".to_owned()), "swapdb");
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_found_in_any_case_and_answered_once() {
        let config = Config::default();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(get(&config, &["MaxMemory", "maxmemory"]), [pair("MaxMemory", "0")]);
        assert_eq!(get(&config, &["PORT*", "port", "p*t"]), [pair("port", "6379")]);
        assert_eq!(get(&config, &["watchdog-period"]), [pair("watchdog-period", "0")]);
        assert_eq!(get(&config, &["nosuch", "rename-command", "dynamic-hz", "watchd*"]), []);
    }

    #[test]
    fn several_settings_change_together_or_not_at_all() {
        let config = Config::default();
        let pairs = [("maxmemory", "1mb"), ("SlowLog-Max-Len", "5"), ("port", "6379")];
        let applied = set(&config, &pairs).unwrap();
        assert_eq!((applied.config.maxmemory, applied.config.port), (1 << 20, 6379));
        assert_eq!(applied.changed, ["commandlog-slow-execution-max-len", "maxmemory"]);
        assert!(set(&config, &[("maxmemory", "1mb"), ("hz", "x")]).is_err());
    }

    #[test]
    fn words_are_parted_by_single_blanks() {
        let config = Config::default();
        let applied = set(&config, &[("bind", "127.0.0.1 ::1"), ("save", "")]).unwrap();
        assert_eq!(applied.config.bind, ["127.0.0.1", "::1"]);
        assert_eq!(applied.config.save, []);
        assert_eq!(applied.warnings, [""; 0]);
        let reason = "Invalid latency-tracking-info-percentiles parameters";
        failed("latency-tracking-info-percentiles", "50  1", reason);
    }

    #[test]
    fn errors_are_valkeys() {
        let unknown = "ERR Unknown option or number of arguments for CONFIG SET - ";
        refused(&[("foo", "1"), ("Port", "2")], &format!("{unknown}'foo'"));
        refused(&[("dynamic-hz", "yes")], &format!("{unknown}'dynamic-hz'"));
        refused(&[("rename-command", "a b")], &format!("{unknown}'rename-command'"));
        failed("DAEMONIZE", "yes", "can't set immutable config");
        failed("dir", "/tmp", "can't set protected config");
        failed("dbfilename", "a.rdb", "can't set protected config");
        failed("port", "70000", "argument must be between 0 and 65535 inclusive");
        failed("hz", "+5", "argument couldn't be parsed into an integer");
        failed("save", "60", "Invalid save parameters");
        failed(
            "appendonly",
            "yes",
            "appendonly is not supported: there is no append-only file yet",
        );
        let duplicate = set(&Config::default(), &[("Maxmemory", "1"), ("MAXMEMORY", "2")]);
        assert!(duplicate.unwrap_err().ends_with("'MAXMEMORY') - duplicate parameter"));
        refused(
            &[("SLOWLOG-max-len", "foo")],
            "ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - argument \
             couldn't be parsed into an integer",
        );
    }

    #[test]
    fn protected_settings_are_for_whom_the_file_allows() {
        use super::super::choices::Allowed;
        let mut config = Config { enable_protected_configs: Allowed::Local, ..Config::default() };
        let pairs: [(&[u8], &[u8]); 1] = [(b"dir", b"/tmp")];
        assert!(config.set(&pairs, Caller::Remote).is_err());
        assert_eq!(config.set(&pairs, Caller::Local).unwrap().changed, ["dir"]);
        config.enable_protected_configs = Allowed::Yes;
        assert!(config.set(&pairs, Caller::Remote).is_ok());
    }

    #[test]
    fn what_has_no_effect_is_taken_with_a_warning() {
        let applied =
            set(&Config::default(), &[("io-threads", "4"), ("appendonly", "no")]).unwrap();
        assert_eq!(applied.changed, [""; 0]);
        assert_eq!(applied.warnings.len(), 1);
        assert_eq!(get(&applied.config, &["io-threads"])[0].1, "1");
    }

    #[test]
    fn passwords_are_secret() {
        assert!(is_secret(b"RequirePass") && is_secret(b"masterauth"));
        assert!(!is_secret(b"port") && !is_secret(b"nosuch"));
    }
}
