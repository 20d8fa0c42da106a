//! One line of a configuration file: words, with quotes as Valkey takes them.
//!
//! Words are parted by blanks. Within "double quotes" stand `\n \r \t \b \a`, `\xHH`, and `\`
//! before any other byte for that byte; within 'single quotes' only `\'`. A closing quote ends
//! the word.

/// The words of a line, or nothing if its quotes are not balanced.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.iter().position(|&byte| !is_blank(byte)) {
        let (word, after) = first_word(&rest[start..])?;
        words.push(word);
        rest = after;
    }
    Some(words)
}

/// `word` in double quotes, so that [`split`] gives it back.
pub fn quote(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in word {
        match byte {
            b'\\' | b'"' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            0x07 => text.extend(b"\\a"),
            0x08 => text.extend(b"\\b"),
            b' '..=b'~' => text.push(byte),
            _ => text.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    text.push(b'"');
    text
}

/// `line` without blanks and line ends around it.
pub fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

/// What C's `isspace` holds for a blank.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn first_word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = line;
    loop {
        match rest {
            [] | [b' ' | b'\t' | b'\r' | b'\n', ..] => return Some((word, rest)),
            [quote @ (b'"' | b'\''), inside @ ..] => {
                let after = unquote(*quote, inside, &mut word)?;
                let ends = after.first().is_none_or(|&byte| is_blank(byte));
                return ends.then_some((word, after));
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

/// Appends what stands within quotes to `word`; what follows the closing quote is the answer.
fn unquote<'a>(quote: u8, inside: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = inside;
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [byte, after @ ..] if *byte == quote => return Some(after),
            [b'\\', after @ ..] => escaped(quote, after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

/// The byte that `\` and what follows it stand for.
fn escaped(quote: u8, after: &[u8]) -> (u8, &[u8]) {
    match (quote, after) {
        (b'"', [b'x', high, low, rest @ ..])
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
        {
            (hex_digit(*high) * 16 + hex_digit(*low), rest)
        }
        (b'"', [b'n', rest @ ..]) => (b'\n', rest),
        (b'"', [b'r', rest @ ..]) => (b'\r', rest),
        (b'"', [b't', rest @ ..]) => (b'\t', rest),
        (b'"', [b'b', rest @ ..]) => (0x08, rest),
        (b'"', [b'a', rest @ ..]) => (0x07, rest),
        (b'"', [byte, rest @ ..]) => (*byte, rest),
        (b'\'', [b'\'', rest @ ..]) => (b'\'', rest),
        _ => (b'\\', after),
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&[&[u8]]>) {
        let words = split(line.as_bytes());
        let expected = expected.map(|words| words.iter().map(|word| word.to_vec()).collect());
        assert_eq!(words, expected, "{line}");
    }

    #[test]
    fn splits_as_valkey_does() {
        check("", Some(&[]));
        check(" \t ", Some(&[]));
        check("port 6379", Some(&[b"port", b"6379"]));
        check("  a\tb  ", Some(&[b"a", b"b"]));
        check("save \"\"", Some(&[b"save", b""]));
        check("a 'b c' \"d e\"", Some(&[b"a", b"b c", b"d e"]));
        check("ab\"cd\"", Some(&[b"abcd"]));
        check(r#""\x41\xfg\n\q\\\"""#, Some(&[b"Axfg\nq\\\""]));
        check(r"'it\'s \n'", Some(&[br"it's \n"]));
        check(r"\n", Some(&[br"\n"]));
    }

    #[test]
    fn unbalanced_quotes_give_nothing() {
        for line in ["\"a", "'a", "\"a\"b", "'a'b", "\"a\\", "\"a\\\""] {
            check(line, None);
        }
    }

    #[test]
    fn every_byte_survives_quoting() {
        let word: Vec<u8> = (0..=255).collect();
        assert_eq!(split(&quote(&word)), Some(vec![word]));
        assert_eq!(quote(b"a\"\n\xff"), br#""a\"\n\xff""#);
    }

    #[test]
    fn trims_both_ends() {
        assert_eq!(trim(b" \ta b\r\n"), b"a b");
        assert_eq!(trim(b" \t"), b"");
    }
}
