//! What a value is and how it is encoded: the byte before it.

/// A version of the format that can be written. Values are written in the newest encoding that it
/// has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// That of Redis 7.0: every server reads it.
    V10,
    /// That of Redis 7.2 and Valkey 7.2 to 8.1.
    V11,
    /// That of Valkey 9: fields of hashes may expire.
    V80,
}

impl Version {
    /// Its number.
    pub const fn number(self) -> u16 {
        match self {
            Self::V10 => 10,
            Self::V11 => 11,
            Self::V80 => 80,
        }
    }
}

/// Who wrote it: kinds above 21 mean different things to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Valkey, or Redis up to version 11.
    Valkey,
    /// Redis from version 12 on.
    Redis,
}

impl Dialect {
    /// The one of a version; `None` if there is no such version.
    pub const fn of(version: u32) -> Option<Self> {
        match version {
            1..=11 | 80.. => Some(Self::Valkey),
            12..=79 => Some(Self::Redis),
            0 => None,
        }
    }

    /// Whether all is known that there may be in a version. What else there may be, Redis' and
    /// later versions, can be read as far as it is the same.
    pub const fn knows(version: u32) -> bool {
        matches!(version, 1..=11 | 80)
    }
}

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])+ $kind:ident = $code:literal $dialect:ident, $since:ident; )*) => {
        /// A kind of value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind {
            $( $(#[doc = $doc])+ $kind, )*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$kind, )*];

            /// The kind of this code.
            pub fn of(code: u8, dialect: Dialect) -> Option<Self> {
                let meant = |of: Of| match (of, dialect) {
                    (Of::Both, _) => true,
                    (Of::Valkey, Dialect::Valkey) | (Of::Redis, Dialect::Redis) => true,
                    (Of::Valkey, Dialect::Redis) | (Of::Redis, Dialect::Valkey) => false,
                };
                match code {
                    $( $code if meant(Of::$dialect) => Some(Self::$kind), )*
                    _ => None,
                }
            }

            /// Its code.
            pub const fn code(self) -> u8 {
                match self {
                    $( Self::$kind => $code, )*
                }
            }

            /// The first of the versions that can be written which has it.
            pub const fn since(self) -> Version {
                match self {
                    $( Self::$kind => Version::$since, )*
                }
            }
        }
    };
}

/// Whose kind it is.
#[derive(Clone, Copy)]
enum Of {
    Both,
    Valkey,
    Redis,
}

kinds! {
    /// A string.
    String = 0 Both, V10;
    /// A list of strings.
    List = 1 Both, V10;
    /// A set of strings.
    Set = 2 Both, V10;
    /// A sorted set with scores in decimal.
    SortedSet = 3 Both, V10;
    /// A hash of strings.
    Hash = 4 Both, V10;
    /// A sorted set with scores in binary.
    SortedSet2 = 5 Both, V10;
    /// A value of a module.
    Module = 6 Both, V10;
    /// A value of a module, which can be skipped.
    Module2 = 7 Both, V10;
    /// A hash in a zipmap.
    HashZipmap = 9 Both, V10;
    /// A list in a ziplist.
    ListZiplist = 10 Both, V10;
    /// A set in an intset.
    SetIntset = 11 Both, V10;
    /// A sorted set in a ziplist.
    SortedSetZiplist = 12 Both, V10;
    /// A hash in a ziplist.
    HashZiplist = 13 Both, V10;
    /// A list of ziplists.
    ListQuicklist = 14 Both, V10;
    /// A stream of listpacks.
    Stream = 15 Both, V10;
    /// A hash in a listpack.
    HashListpack = 16 Both, V10;
    /// A sorted set in a listpack.
    SortedSetListpack = 17 Both, V10;
    /// A list of listpacks and large elements.
    ListQuicklist2 = 18 Both, V10;
    /// A stream that knows what was deleted.
    Stream2 = 19 Both, V10;
    /// A set in a listpack.
    SetListpack = 20 Both, V11;
    /// A stream that knows when consumers were active.
    Stream3 = 21 Both, V11;
    /// A hash of fields that may expire, as Valkey writes it.
    Hash2 = 22 Valkey, V80;
    /// A hash of fields that may expire, as Redis writes it.
    HashMetadata = 24 Redis, V80;
    /// The same in a listpack.
    HashListpackEx = 25 Redis, V80;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_one_kind_in_each_dialect() {
        for kind in Kind::ALL {
            let found = [Dialect::Valkey, Dialect::Redis].map(|it| Kind::of(kind.code(), it));
            assert!(found.contains(&Some(*kind)));
            assert!(found.iter().flatten().all(|found| found == kind));
        }
        assert_eq!(Kind::of(22, Dialect::Redis), None);
        assert_eq!(Kind::of(8, Dialect::Valkey), None);
    }
}
