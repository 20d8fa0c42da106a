//! Inline requests: a line typed by a person, split into arguments as a shell would.

use alloc::vec::Vec;

/// The arguments in `line`, or nothing if a quote is left open.
///
/// Words are separated by white space. Quotes may open anywhere in a word. Between double quotes
/// `\n \r \t \b \a \xHH` are what they are in C, and `\` takes the next byte as it is; between
/// single quotes only `\'` is special; outside of quotes `\` is a byte like any other.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        rest = skip_space(rest);
        if rest.is_empty() {
            return Some(args);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        args.push(word);
    }
}

/// What follows the white space that `text` begins with. Vertical tab and form feed count here
/// but do not end a word: Valkey has it so.
fn skip_space(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c);
    let end = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    &text[end..]
}

/// Appends the word that `text` begins with to `word`; returns what follows, or nothing if a
/// quote is left open.
fn take_word<'a>(text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => return Some(rest),
            [b'"', rest @ ..] => take_double_quoted(rest, word)?,
            [b'\'', rest @ ..] => take_single_quoted(rest, word)?,
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        };
    }
}

fn take_double_quoted<'a>(text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return None,
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'x', high, low, rest @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest
            }
            [b'\\', byte, rest @ ..] => {
                word.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    byte => *byte,
                });
                rest
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        };
    }
}

fn take_single_quoted<'a>(text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return None,
            [b'\'', rest @ ..] => return Some(rest),
            [b'\\', b'\'', rest @ ..] => {
                word.push(b'\'');
                rest
            }
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        };
    }
}

/// The value of a digit that is known to be hexadecimal.
fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Case = (&'static [u8], Option<&'static [&'static [u8]]>);

    /// Lines and what Valkey 9.1.2 made of them.
    const CASES: &[Case] = &[
        (b"", Some(&[])),
        (b" \t \r", Some(&[])),
        (b"PING", Some(&[b"PING"])),
        (b"PING\r", Some(&[b"PING"])),
        (b"PI\rNG", Some(&[b"PI", b"NG"])),
        (b"  ECHO   a  ", Some(&[b"ECHO", b"a"])),
        (b"ECHO\ta", Some(&[b"ECHO", b"a"])),
        (b"\x0bPING", Some(&[b"PING"])),
        (b"PING \x0b", Some(&[b"PING"])),
        (b"PING\x0b", Some(&[b"PING\x0b"])),
        (b"ECHO\x0ca", Some(&[b"ECHO\x0ca"])),
        (b"\x85PING", Some(&[b"\x85PING"])),
        (b"ECHO \"a b\"", Some(&[b"ECHO", b"a b"])),
        (b"ECHO \"\"", Some(&[b"ECHO", b""])),
        (b"\"\"", Some(&[b""])),
        (b"ECHO a\"b\"c", Some(&[b"ECHO", b"abc"])),
        (b"ECHO \"a\"b", Some(&[b"ECHO", b"ab"])),
        (b"ECHO \"a\"'b'", Some(&[b"ECHO", b"ab"])),
        (b"ECHO \"a\"\tb", Some(&[b"ECHO", b"a", b"b"])),
        (b"ECHO \"a\rb\"", Some(&[b"ECHO", b"a\rb"])),
        (b"ECHO 'a b'", Some(&[b"ECHO", b"a b"])),
        (b"ECHO 'a\\'b'", Some(&[b"ECHO", b"a'b"])),
        (b"ECHO 'a\\nb'", Some(&[b"ECHO", b"a\\nb"])),
        (b"ECHO '\\\\\\''", Some(&[b"ECHO", b"\\\\'"])),
        (
            b"ECHO \"a\\nb\\x41\\xzz\\t\\r\\b\\a\\q\\\"\\\\\"",
            Some(&[b"ECHO", b"a\nbAxzz\t\r\x08\x07q\"\\"]),
        ),
        (b"ECHO \"a\\x4\"", Some(&[b"ECHO", b"ax4"])),
        (b"ECHO \"a\\x4g\"", Some(&[b"ECHO", b"ax4g"])),
        (b"ECHO \"\\xfF\\x00\"", Some(&[b"ECHO", b"\xff\0"])),
        (b"ECHO \"\\XfF\"", Some(&[b"ECHO", b"XfF"])),
        (b"ECHO a\\nb", Some(&[b"ECHO", b"a\\nb"])),
        (b"ECHO a\\ b", Some(&[b"ECHO", b"a\\", b"b"])),
        (b"ECHO a\\\"b\"", Some(&[b"ECHO", b"a\\b"])),
        (b"# PING", Some(&[b"#", b"PING"])),
        (b"ECHO \"abc", None),
        (b"ECHO 'abc", None),
        (b"ECHO a'b", None),
        (b"ECHO \"a\\", None),
        (b"ECHO 'a\\", None),
        (b"ECHO a\\\"", None),
        (b"ECHO a\\'", None),
        (b"ECHO \"a\" \"b", None),
        (b"ECHO \"\\x4", None),
        // Valkey loses the byte 255 and hangs on the byte 0; here they are bytes like any other.
        (b"ECHO a\xffb", Some(&[b"ECHO", b"a\xffb"])),
        (b"ECHO a\0b", Some(&[b"ECHO", b"a\0b"])),
    ];

    #[test]
    fn splits_as_valkey_does() {
        for (line, expected) in CASES {
            let expected = expected.map(|args| args.iter().map(|arg| arg.to_vec()).collect());
            assert_eq!(split(line), expected, "{:?}", line.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn quoted_bytes_come_back(args: Vec<Vec<u8>>) {
            let mut line = Vec::new();
            for arg in &args {
                line.push(b'"');
                for byte in arg {
                    line.extend_from_slice(alloc::format!("\\x{byte:02x}").as_bytes());
                }
                line.extend_from_slice(b"\" ");
            }
            prop_assert_eq!(split(&line), Some(args));
        }
    }
}
