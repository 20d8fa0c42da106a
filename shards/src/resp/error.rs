//! Every error text a client can see, as Valkey words it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why a command failed: written as `-TEXT\r\n`. A text that several commands share is a variant;
/// one that a single command has stands in its file as `Text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The key holds another type.
    WrongType,
    /// The arguments make no sense.
    Syntax,
    /// Not an integer, or outside of 64 bits.
    NotInteger,
    /// Not a number, or not a finite one where it must be.
    NotFloat,
    /// Must be above zero.
    NotPositive,
    /// The number of keys is no number, or does not fit the arguments.
    NumKeys,
    /// The key is missing where the command cannot do without.
    NoSuchKey,
    /// No such element.
    IndexOutOfRange,
    /// The offset lies outside of what a string may hold.
    OffsetOutOfRange,
    /// A bit offset that is no number, or outside of what a string may hold.
    BitOffset,
    /// A bit that is neither 0 nor 1.
    Bit,
    /// A BITFIELD type other than i1..i64 and u1..u63.
    BitfieldType,
    /// The string would exceed `proto-max-bulk-len`.
    StringTooLong,
    /// The sum does not fit 64 bits.
    Overflow,
    /// The negated decrement does not fit 64 bits.
    DecrementOverflow,
    /// The sum is not finite.
    NanOrInfinity,
    /// No such database.
    DbIndex,
    /// Source and destination are one key.
    SameObject,
    /// Not a cursor that SCAN gave.
    InvalidCursor,
    /// A timeout that is no whole number.
    TimeoutNotInteger,
    /// A timeout that is no number.
    TimeoutNotFloat,
    /// A timeout below zero.
    TimeoutNegative,
    /// EXEC outside of a transaction.
    ExecWithoutMulti,
    /// DISCARD outside of a transaction.
    DiscardWithoutMulti,
    /// A queued command was refused, so nothing ran.
    ExecAborted,
    /// Memory is short and the command needs some.
    Oom,
    /// The client has not said who it is.
    NoAuth,
    /// Unknown user, wrong password or disabled user.
    WrongPass,
    /// HELLO asked for another protocol than 2 or 3.
    NoProto,
    /// The dataset is not in memory yet.
    Loading,
    /// Snapshots cannot be written, so what may need to be saved is refused.
    Misconf,
    /// RESTORE found the key taken.
    BusyKey,
    /// A write on a replica.
    ReadOnly,
    /// Too few replicas are in time for a write.
    NoReplicas,
    /// The replica has lost its primary and may not serve old values.
    PrimaryDown,
    /// Keys of one command lie in several slots.
    CrossSlot,
    /// A write on a node of a cluster that no majority of primaries answers.
    Fenced,
    /// A cluster command without a cluster.
    ClusterDisabled,
    /// Wrong number of arguments for this (sub)command, given by its name as Valkey shows it.
    WrongArity(String),
    /// The expire time of this command is out of bounds.
    InvalidExpire(&'static str),
    /// This command may not be queued.
    NotInTransaction(&'static str),
    /// Any other fixed text, its code included: `ERR no such key`.
    Text(&'static str),
    /// Any other text that names what came in, its code included.
    Owned(String),
    /// Likewise with what came in as it came, which may be no text.
    Naming(Vec<u8>),
}

impl Error {
    /// The answer to an unknown command: its name and a preview of what came with it.
    #[cold]
    pub fn unknown_command(args: &[&[u8]]) -> Self {
        let (name, rest) =
            args.split_first().map_or((&b""[..], args), |(name, rest)| (*name, rest));
        let mut text = b"ERR unknown command '".to_vec();
        text.extend_from_slice(shown(name, SHOWN_BYTES_MAX));
        text.extend_from_slice(b"', with args beginning with: ");
        let start = text.len();
        for arg in rest {
            let used = text.len() - start;
            if SHOWN_BYTES_MAX <= used {
                break;
            }
            text.push(b'\'');
            text.extend_from_slice(shown(arg, SHOWN_BYTES_MAX - used));
            text.extend_from_slice(b"' ");
        }
        Self::Naming(text)
    }

    /// The answer to an unknown subcommand; `container` is the command's name in capitals.
    #[cold]
    pub fn unknown_subcommand(container: &str, given: &[u8]) -> Self {
        let given = shown(given, SHOWN_BYTES_MAX);
        Self::naming("ERR unknown subcommand '", given, &format!("'. Try {container} HELP."))
    }

    /// An error that names what came in, between two pieces of text.
    #[cold]
    pub fn naming(before: &str, given: &[u8], after: &str) -> Self {
        Self::Naming([before.as_bytes(), shown(given, usize::MAX), after.as_bytes()].concat())
    }

    /// Appends `-TEXT\r\n`; control characters in it become spaces.
    #[cold]
    pub fn write(&self, out: &mut Vec<u8>) {
        let parts = self.parts();
        out.reserve(parts.iter().map(|part| part.len()).sum::<usize>() + "-\r\n".len());
        out.push(b'-');
        for part in parts {
            out.extend(part.iter().map(|byte| match byte {
                b'\r' | b'\n' | 0 => b' ',
                byte => *byte,
            }));
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The first word, by which errors are counted: `ERR`, `WRONGTYPE` ...
    pub fn code(&self) -> &str {
        let [start, ..] = self.parts();
        let code = start.split(|byte| *byte == b' ').next().unwrap_or(start);
        core::str::from_utf8(code).expect("a text begins with one of our codes")
    }

    /// The text in pieces, so that writing it allocates nothing.
    fn parts(&self) -> [&[u8]; 3] {
        let parts = match self {
            Self::WrongArity(name) => {
                ["ERR wrong number of arguments for '", name.as_str(), "' command"]
            }
            Self::InvalidExpire(name) => ["ERR invalid expire time in '", name, "' command"],
            Self::NotInTransaction(name) => {
                ["ERR Command '", name, "' not allowed inside a transaction"]
            }
            Self::Text(text) => [text, "", ""],
            Self::Owned(text) => [text.as_str(), "", ""],
            Self::Naming(text) => return [text, b"", b""],
            fixed => [fixed.fixed(), "", ""],
        };
        parts.map(str::as_bytes)
    }

    /// The text of a variant that holds nothing.
    fn fixed(&self) -> &'static str {
        match self {
            Self::WrongType => WRONG_TYPE,
            Self::Syntax => "ERR syntax error",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotFloat => "ERR value is not a valid float",
            Self::NotPositive => "ERR value is out of range, must be positive",
            Self::NumKeys => "ERR invalid numkeys value or out of range",
            Self::NoSuchKey => "ERR no such key",
            Self::IndexOutOfRange => "ERR index out of range",
            Self::OffsetOutOfRange => "ERR offset is out of range",
            Self::BitOffset => "ERR bit offset is not an integer or out of range",
            Self::Bit => "ERR bit is not an integer or out of range",
            Self::BitfieldType => BITFIELD_TYPE,
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::Overflow => "ERR increment or decrement would overflow",
            Self::DecrementOverflow => "ERR decrement would overflow",
            Self::NanOrInfinity => "ERR increment would produce NaN or Infinity",
            Self::DbIndex => "ERR DB index is out of range",
            Self::SameObject => "ERR source and destination objects are the same",
            Self::InvalidCursor => "ERR invalid cursor",
            Self::TimeoutNotInteger => "ERR timeout is not an integer or out of range",
            Self::TimeoutNotFloat => "ERR timeout is not a float or out of range",
            Self::TimeoutNegative => "ERR timeout is negative",
            Self::ExecWithoutMulti => "ERR EXEC without MULTI",
            Self::DiscardWithoutMulti => "ERR DISCARD without MULTI",
            Self::ExecAborted => "EXECABORT Transaction discarded because of previous errors.",
            Self::Oom => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::WrongPass => "WRONGPASS invalid username-password pair or user is disabled.",
            Self::NoProto => "NOPROTO unsupported protocol version",
            Self::Loading => "LOADING Valkey is loading the dataset in memory",
            Self::Misconf => MISCONF,
            Self::BusyKey => "BUSYKEY Target key name already exists.",
            Self::ReadOnly => "READONLY You can't write against a read only replica.",
            Self::NoReplicas => "NOREPLICAS Not enough good replicas to write.",
            Self::PrimaryDown => PRIMARY_DOWN,
            Self::CrossSlot => "CROSSSLOT Keys in request don't hash to the same slot",
            Self::Fenced => "CLUSTERDOWN The cluster is down",
            Self::ClusterDisabled => "ERR This instance has cluster support disabled",
            Self::WrongArity(_)
            | Self::InvalidExpire(_)
            | Self::NotInTransaction(_)
            | Self::Text(_)
            | Self::Owned(_)
            | Self::Naming(_) => "",
        }
    }
}

/// Why a connection cannot go on: the text is sent and the connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number of arguments is no number or too large.
    MultibulkLength,
    /// The length of an argument is no number or too large.
    BulkLength,
    /// A length should follow, but this byte came.
    ExpectedDollar(u8),
    /// A line or an argument does not end in CR LF.
    Crlf,
    /// The line with the number of arguments has no end.
    MultibulkLine,
    /// The line with the length of an argument has no end.
    BulkLine,
    /// An inline request has no end.
    InlineLine,
    /// A quote in an inline request is left open.
    Quotes,
    /// More arguments than a client may send before it has said who it is.
    UnauthenticatedMultibulk,
    /// A longer argument than a client may send before it has said who it is.
    UnauthenticatedBulk,
    /// The request outgrows what a [`Range`](crate::resp::parser::Range) can address.
    RequestTooLong,
    /// A browser that was talked into sending us HTTP: close without a word, and log it.
    Http,
}

impl ProtocolError {
    /// Whether `name` is what an HTTP request has in place of a command. The parser checks inline
    /// requests; a caller that meets an unknown command in a RESP request asks as well.
    pub fn is_http(name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
    }

    /// Appends `-TEXT\r\n`, or nothing for [`ProtocolError::Http`].
    #[cold]
    pub fn write(self, out: &mut Vec<u8>) {
        if self == Self::Http {
            return;
        }
        out.extend_from_slice(b"-ERR Protocol error: ");
        out.extend_from_slice(self.text().as_bytes());
        if let Self::ExpectedDollar(byte) = self {
            out.push(if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
            out.push(b'\'');
        }
        out.extend_from_slice(b"\r\n");
    }

    /// What Valkey calls it.
    fn text(self) -> &'static str {
        match self {
            Self::MultibulkLength => "invalid multibulk length",
            Self::BulkLength => "invalid bulk length",
            Self::ExpectedDollar(_) => "expected '$', got '",
            Self::Crlf => "invalid CRLF in request",
            Self::MultibulkLine => "too big mbulk count string",
            Self::BulkLine => "too big bulk count string",
            Self::InlineLine => "too big inline request",
            Self::Quotes => "unbalanced quotes in request",
            Self::UnauthenticatedMultibulk => "unauthenticated multibulk length",
            Self::UnauthenticatedBulk => "unauthenticated bulk length",
            Self::RequestTooLong => "too big request",
            Self::Http => "POST or Host: in place of a command",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        if let Self::ExpectedDollar(byte) = self {
            write!(f, "{}'", byte.escape_ascii())?;
        }
        Ok(())
    }
}

impl core::error::Error for ProtocolError {}

/// What a client sees of its own bytes in an error.
const SHOWN_BYTES_MAX: usize = 128;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const MISCONF: &str = "MISCONF Valkey is configured to save RDB snapshots, but it's currently \
    unable to persist to disk. Commands that may modify the data set are disabled, because this \
    instance is configured to report errors during writes if RDB snapshotting fails \
    (stop-writes-on-bgsave-error option). Please check the Valkey logs for details about the RDB \
    error.";
const PRIMARY_DOWN: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
const BITFIELD_TYPE: &str = "ERR Invalid bitfield type. Use something like i16 u8. \
     Note that u64 is not supported but i64 is.";

/// At most `bytes_max` bytes of `given`, up to its first zero byte as Valkey does.
fn shown(given: &[u8], bytes_max: usize) -> &[u8] {
    let given = &given[..given.len().min(bytes_max)];
    given.split(|byte| *byte == 0).next().unwrap_or(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn check(error: &Error, text: &str) {
        let mut out = b"+OK\r\n".to_vec();
        error.write(&mut out);
        assert_eq!(core::str::from_utf8(&out).unwrap(), alloc::format!("+OK\r\n-{text}\r\n"));
    }

    #[test]
    fn writes_the_texts_of_valkey() {
        check(&Error::Syntax, "ERR syntax error");
        check(
            &Error::WrongArity("config|get".to_string()),
            "ERR wrong number of arguments for 'config|get' command",
        );
        check(&Error::InvalidExpire("setex"), "ERR invalid expire time in 'setex' command");
        check(
            &Error::NotInTransaction("multi"),
            "ERR Command 'multi' not allowed inside a transaction",
        );
        check(&Error::Owned("ERR a\r\nb\0c".to_string()), "ERR a  b c");
    }

    #[test]
    fn shows_the_beginning_of_an_unknown_command() {
        let unknown = |args: &[&str], text: &str| {
            let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
            check(&Error::unknown_command(&args), text);
        };
        let start = "ERR unknown command 'foo', with args beginning with: ";
        unknown(&["foo"], start);
        unknown(&["foo", "a", "b"], &alloc::format!("{start}'a' 'b' "));
        unknown(&["foo", "", "", "a"], &alloc::format!("{start}'' '' 'a' "));
        unknown(&["foo", "a\r\nb\0c"], &alloc::format!("{start}'a  b' "));
        unknown(&["fo\0o", "x"], "ERR unknown command 'fo', with args beginning with: 'x' ");
        // The preview ends once 128 bytes are used; the last argument may fill them.
        let long = "x".repeat(200);
        let shown = "x".repeat(128);
        unknown(&["foo", &long, "b"], &alloc::format!("{start}'{shown}' "));
        unknown(&["foo", &long[..124], "bc"], &alloc::format!("{start}'{}' 'b' ", &long[..124]));
        unknown(&["foo", &long[..125], "bc"], &alloc::format!("{start}'{}' ", &long[..125]));
        unknown(
            &[&long, "a"],
            &alloc::format!("ERR unknown command '{shown}', with args beginning with: 'a' "),
        );
    }

    #[test]
    fn what_came_in_is_shown_as_it_came_up_to_a_zero() {
        let mut out = Vec::new();
        Error::naming("ERR what is '", b"\xff\r\0x", "'?").write(&mut out);
        assert_eq!(out, b"-ERR what is '\xff '?\r\n");
    }

    #[test]
    fn names_the_help_of_a_container() {
        check(
            &Error::unknown_subcommand("CONFIG", b"F\r\noo"),
            "ERR unknown subcommand 'F  oo'. Try CONFIG HELP.",
        );
    }

    #[test]
    fn code_is_the_first_word() {
        assert_eq!(Error::WrongType.code(), "WRONGTYPE");
        assert_eq!(Error::InvalidExpire("set").code(), "ERR");
        assert_eq!(Error::Owned("NOPERM no".to_string()).code(), "NOPERM");
        assert_eq!(Error::Owned(String::new()).code(), "");
    }

    #[test]
    fn every_fixed_text_has_a_code() {
        for error in [Error::Bit, Error::Oom, Error::Loading, Error::PrimaryDown, Error::CrossSlot]
        {
            assert!(error.code().bytes().all(|byte| byte.is_ascii_uppercase()), "{error:?}");
        }
    }
}
