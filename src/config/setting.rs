//! What is known of one setting, and the macro that makes of entries, one each, the configuration
//! and the list of all settings.

use super::kinds::{Examples, FileLine, Kind, Mention, Reason};
use super::table::Config;

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only by the file and the command line.
    AtStart,
    /// By CONFIG SET too.
    AtRuntime,
    /// By CONFIG SET too, if `enable-protected-configs` lets the caller.
    Protected,
}

/// What is known of one setting, and how to read and print it.
#[derive(Debug)]
pub struct Setting {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Older names for it.
    pub aliases: &'static [&'static str],
    /// What it means, in a sentence or two.
    pub doc: &'static str,
    /// When it may change.
    pub change: Change,
    /// Whether a file's line may hold several words.
    pub many: bool,
    /// Whether the value must not show in logs.
    pub secret: bool,
    /// Whether only the file and options may say it, and CONFIG GET keeps silent.
    pub file_only: bool,
    /// Whether CONFIG GET shows it to its exact name only: it is for tests.
    pub hidden: bool,
    /// Reads words into the field; on failure the configuration is as it was.
    pub read: Read,
    /// The value as CONFIG GET gives it.
    pub print: fn(&Config) -> Vec<u8>,
    /// The lines of a file that give the value, without the name.
    pub lines: fn(&Config) -> Vec<FileLine>,
    /// Whether two configurations agree on it.
    pub same: fn(&Config, &Config) -> bool,
    /// What is allowed, in words.
    pub limits: fn() -> String,
    /// Words on both sides of every limit.
    pub examples: fn() -> Examples,
}

/// Reads words into a field.
pub type Read = fn(&mut Config, &[&[u8]], Mention) -> Result<(), Reason>;

impl Setting {
    /// Its name and its other names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Makes `Config` and `SETTINGS` of the entries of the table.
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $name:literal $(| $alias:literal)*
        $field:ident: $type:ty = $default:expr, $kind:expr, $change:ident;
    )*) => {
        /// The value of every setting.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( $(#[doc = $doc])+ pub $field: $type, )*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        /// All settings, by name.
        pub static SETTINGS: &[Setting] = &[ $( Setting {
            name: $name,
            aliases: &[ $( $alias ),* ],
            doc: concat!($( $doc ),+).trim_ascii(),
            change: Change::$change,
            many: traits_of(&$kind).many,
            secret: traits_of(&$kind).secret,
            file_only: traits_of(&$kind).file_only,
            hidden: traits_of(&$kind).hidden,
            read: |config, words, mention| {
                config.$field = ($kind).read(words, &config.$field, mention)?;
                Ok(())
            },
            print: |config| ($kind).print(&config.$field),
            lines: |config| {
                let default: $type = $default;
                ($kind).lines(&config.$field, &default)
            },
            same: |one, other| one.$field == other.$field,
            limits: || ($kind).limits(),
            examples: || ($kind).examples(),
        }, )* ];
    };
}

pub(super) use settings;

/// What a kind says of all its settings.
pub(super) struct Traits {
    pub many: bool,
    pub secret: bool,
    pub file_only: bool,
    pub hidden: bool,
}

/// What the kind of this value says of all its settings.
pub(super) const fn traits_of<K: Kind>(_: &K) -> Traits {
    Traits { many: K::MANY, secret: K::SECRET, file_only: K::FILE_ONLY, hidden: K::HIDDEN }
}
