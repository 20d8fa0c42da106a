//! Patterns of KEYS, SCAN, CONFIG GET and the like: `*`, `?`, `[a-z]`, `[^a]` and `\x`.
//!
//! Stars cut a pattern into parts. The first part must match the beginning of the text and the last
//! one its end; each of the others is found as early as possible behind the one before, since what
//! an earlier `*` took never needs to change. To find one takes as many comparisons as the text
//! has bytes, times the bytes of a short part, or a 64th of the tokens of a long one: 100,000 bytes
//! of either take a tenth of a second at worst.

mod long;

/// Bytes of a part from which on it is looked for in words of 64 tokens.
const LONG_BYTES: usize = 64;

/// Whether all of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    walk(pattern, text, Case::Sensitive, || ())
}

/// The same, where `a` and `A` are alike: names of settings and commands.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    walk(pattern, text, Case::Insensitive, || ())
}

/// Whether letters differ in their two forms.
#[derive(Clone, Copy)]
enum Case {
    Sensitive,
    Insensitive,
}

/// The same, telling of each comparison.
#[inline]
fn walk(pattern: &[u8], text: &[u8], case: Case, mut on_step: impl FnMut()) -> bool {
    if text.is_empty() {
        // Valkey takes no other pattern than these for an empty key, not even `**`.
        return matches!(pattern, b"" | b"*");
    }
    let (mut at, mut rest) = (0, text);
    while at < pattern.len() && pattern[at] != b'*' {
        let Some(byte) = rest.split_off_first() else { return false };
        on_step();
        let (is_same, next) = match_one(pattern, at, *byte, case);
        if !is_same {
            return false;
        }
        at = next;
    }
    if at == pattern.len() {
        return rest.is_empty();
    }
    loop {
        at += pattern[at..].iter().take_while(|byte| **byte == b'*').count();
        let (end, tokens) = part_end(pattern, at);
        let part = &pattern[at..end];
        let Some(last) = rest.len().checked_sub(tokens) else { return false };
        if end == pattern.len() {
            return matches_part(part, &rest[last..], case, &mut on_step);
        }
        let found = if part.len() < LONG_BYTES {
            let mut starts = 0..=last;
            starts.find(|start| {
                matches_part(part, &rest[*start..*start + tokens], case, &mut on_step)
            })
        } else {
            long::find(part, tokens, rest, case, &mut on_step)
        };
        let Some(start) = found else { return false };
        (at, rest) = (end, &rest[start + tokens..]);
    }
}

/// Where the part of a pattern ends that begins at `at`, and how many bytes of a text it matches.
fn part_end(pattern: &[u8], mut at: usize) -> (usize, usize) {
    let mut tokens = 0;
    while at < pattern.len() && pattern[at] != b'*' {
        at = match pattern[at..] {
            [b'[', ..] => for_each_range(pattern, at + 1, Case::Sensitive, |_, _| ()).1,
            [b'\\', _, ..] => at + 2,
            _ => at + 1,
        };
        tokens += 1;
    }
    (at, tokens)
}

/// Whether a part of a pattern matches a text that has a byte for each of its tokens.
#[inline]
fn matches_part(part: &[u8], text: &[u8], case: Case, on_step: &mut impl FnMut()) -> bool {
    let mut at = 0;
    text.iter().all(|byte| {
        on_step();
        let (is_same, next) = match_one(part, at, *byte, case);
        at = next;
        is_same
    })
}

/// Whether the token that stands at `at` in `pattern` matches `byte`, and what comes after it.
#[inline]
fn match_one(pattern: &[u8], at: usize, byte: u8, case: Case) -> (bool, usize) {
    match pattern[at..] {
        [b'?', ..] => (true, at + 1),
        [b'[', ..] => match_class(pattern, at + 1, case.fold(byte), case),
        [b'\\', escaped, ..] => (case.fold(escaped) == case.fold(byte), at + 2),
        [literal, ..] => (case.fold(literal) == case.fold(byte), at + 1),
        [] => unreachable!("the caller has seen a token there"),
    }
}

/// Whether the class that begins at `at` has `byte`, and what comes after it.
fn match_class(pattern: &[u8], at: usize, byte: u8, case: Case) -> (bool, usize) {
    let (mut found, byte) = (false, byte.cast_signed());
    let (is_negated, next) = for_each_range(pattern, at, case, |from, to| {
        found |= from.cast_signed() <= byte && byte <= to.cast_signed();
    });
    (found != is_negated, next)
}

/// Shows the ranges of the class that begins at `at`, the smaller end first; says whether they are
/// those that it does not have, and what comes after it. A class that is not closed ends with the
/// pattern.
///
/// Bytes from 128 on are below zero here, as C has it where Valkey mostly runs.
fn for_each_range(
    pattern: &[u8],
    at: usize,
    case: Case,
    mut see: impl FnMut(u8, u8),
) -> (bool, usize) {
    let (is_negated, mut at) = match pattern[at..] {
        [b'^', ..] => (true, at + 1),
        _ => (false, at),
    };
    loop {
        let (from, to, bytes) = match pattern[at..] {
            [] => return (is_negated, at),
            [b'\\', escaped, ..] => (escaped, escaped, 2),
            [b']', ..] => return (is_negated, at + 1),
            // Whatever follows the dash is the range's end, be it a bracket or a backslash.
            [from, b'-', to, ..] => (from, to, 3),
            [literal, ..] => (literal, literal, 1),
        };
        let (from, to) = (case.fold(from), case.fold(to));
        if from.cast_signed() <= to.cast_signed() {
            see(from, to)
        } else {
            see(to, from)
        }
        at += bytes;
    }
}

impl Case {
    /// The byte in which all of its forms are alike.
    #[inline]
    fn fold(self, byte: u8) -> u8 {
        match self {
            Self::Sensitive => byte,
            Self::Insensitive => byte.to_ascii_lowercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Patterns and keys, and whether `KEYS` of Valkey 9.1.2 found the one by the other.
    const CASES: &[(&[u8], &[u8], bool)] = &[
        (b"*", b"", true),
        (b"*", b"a", true),
        (b"", b"", true),
        (b"", b"a", false),
        (b"a", b"", false),
        (b"?", b"", false),
        (b"?", b"a", true),
        (b"?", b"ab", false),
        (b"a", b"a", true),
        (b"a", b"b", false),
        (b"a", b"A", false),
        (b"**", b"abc", true),
        (b"a*", b"a", true),
        (b"a*", b"ab", true),
        (b"*a", b"ba", true),
        (b"*a", b"ab", false),
        (b"a*b", b"ab", true),
        (b"a*b", b"acb", true),
        (b"a*b", b"acbc", false),
        (b"a*b*c", b"axbxc", true),
        (b"a*b*c", b"abcbc", true),
        (b"*a*", b"bab", true),
        (b"*?", b"a", true),
        (b"*?", b"", false),
        (b"?*?", b"a", false),
        (b"?*?", b"ab", true),
        (b"h?llo", b"hello", true),
        (b"h[ae]llo", b"hallo", true),
        (b"h[ae]llo", b"hillo", false),
        (b"h[^e]llo", b"hallo", true),
        (b"h[^e]llo", b"hello", false),
        (b"h[!e]llo", b"hello", true),
        (b"h[!e]llo", b"h!llo", true),
        (b"h[a-b]llo", b"hbllo", true),
        (b"h[a-b]llo", b"hcllo", false),
        (b"[b-a]", b"a", true),
        (b"[b-a]", b"b", true),
        (b"[b-a]", b"c", false),
        (b"[a-]", b"a", true),
        (b"[a-]", b"-", false),
        (b"[a-]", b"]", true),
        (b"[a-", b"a", true),
        (b"[a-", b"-", true),
        (b"[-a]", b"-", true),
        (b"[-a]", b"a", true),
        (b"[-a]", b"b", false),
        (b"[]", b"a", false),
        (b"[]", b"]", false),
        (b"[]", b"", false),
        (b"[]a]", b"a", false),
        (b"[]a]", b"a]", false),
        (b"[]a]", b"]", false),
        (b"[^]", b"a", true),
        (b"[^]", b"", false),
        (b"[^]a]", b"b", false),
        (b"[^]a]", b"ba]", true),
        (b"[", b"[", false),
        (b"[", b"a", false),
        (b"[a", b"a", true),
        (b"[a", b"b", false),
        (b"[^a", b"b", true),
        (b"[^a", b"a", false),
        (b"[ab", b"ab", false),
        (b"[^", b"a", true),
        (b"[^", b"^", true),
        (b"[a]b", b"ab", true),
        (b"[\\]]", b"]", true),
        (b"[\\]]", b"\\", false),
        (b"[\\a]", b"a", true),
        (b"[\\", b"\\", true),
        (b"[\\", b"a", false),
        (b"[a\\", b"a", true),
        (b"[a\\", b"\\", true),
        (b"[\\-z]", b"-", true),
        (b"[a\\-z]", b"b", false),
        (b"[a\\-z]", b"-", true),
        (b"[a\\-z]", b"a", true),
        (b"[\\a-z]", b"b", false),
        (b"[a-\\z]", b"b", false),
        (b"[a-\\z]", b"z", true),
        (b"[a-\\z]", b"\\", true),
        (b"[a-]b]", b"b]", false),
        (b"[a-]b]", b"^b]", false),
        (b"[a-]", b"b", false),
        (b"[Z-]]", b"]", true),
        (b"[Z-]]", b"Z]", false),
        (b"[Z-]]", b"[", true),
        (b"\\a", b"a", true),
        (b"\\a", b"\\a", false),
        (b"\\*", b"*", true),
        (b"\\*", b"a", false),
        (b"\\?", b"?", true),
        (b"\\?", b"a", false),
        (b"\\[a]", b"[a]", true),
        (b"\\", b"\\", true),
        (b"\\", b"", false),
        (b"a\\", b"a", false),
        (b"a\\", b"a\\", true),
        (b"\\\\", b"\\", true),
        (b"\\\\", b"\\\\", false),
        (b"*\\*", b"a*", true),
        (b"*\\", b"a\\", true),
        (b"[*]", b"*", true),
        (b"[*]", b"a", false),
        (b"[?]", b"a", false),
        (b"*[ab]", b"xa", true),
        (b"*[ab]", b"xc", false),
        (b"*[^ab]", b"xa", false),
        (b"a[b]*c", b"abxc", true),
        (b"[a-z]*", b"Abc", false),
        (b"[a-c", b"b", true),
        (b"[a-c", b"a", true),
        (b"[a-cx", b"b", true),
        (b"x*[", b"x[", false),
        (b"*[", b"a", false),
        (b"[[]", b"[", true),
        (b"[a^]", b"^", true),
        (b"[a^]", b"a", true),
        (b"[^^]", b"^", false),
        (b"[^^]", b"a", true),
        (b"a**", b"a", true),
        (b"a***b", b"ab", true),
        (b"*", b"\xff", true),
        (b"[\x80-\xff]", b"\xc3", true),
        (b"[\x80-\xff]", b"a", false),
        (b"?", b"\xc3\xa9", false),
        (b"??", b"\xc3\xa9", true),
        (b"*\0", b"a\0", true),
        (b"a\0b", b"a\0b", true),
        (b"\0", b"\0", true),
        (b"a*", b"b", false),
        (b"[abc]", b"abc", false),
        (b"[a][b]", b"ab", true),
        (b"[a]", b"a]", false),
        (b"[a-z-9]", b"-", true),
        (b"[a-z-9]", b"5", false),
        (b"[a-z-9]", b"9", true),
        (b"[^a-c]d", b"dd", true),
        (b"[^a-c]d", b"bd", false),
        (b"a?", b"a", false),
        (b"a[", b"a", false),
        (b"a[b", b"a", false),
        (b"a[]", b"a", false),
        (b"a*[", b"a", false),
        (b"a*?", b"a", false),
        (b"a*\\", b"a", false),
        (b"a\\*", b"a*b", false),
        (b"[\\^a]", b"^", true),
        (b"[\\^a]", b"b", false),
        (b"[^\\]]", b"a", true),
        (b"[^\\]]", b"]", false),
        (b"[a-[]", b"Z", false),
        (b"[A-[]", b"Z", true),
        (b"[+--]", b",", true),
        (b"[--/]", b".", true),
        (b"[---]", b"-", true),
        (b"[a--]", b"-", true),
        (b"[a--]", b"a", true),
        (b"[a--]", b"b", false),
        (b"**", b"", false),
        (b"[b-\xff]", b"a", true),
        (b"[b-\xff]", b"c", false),
        (b"[b-\xff]", b"\xff", true),
        (b"[b-\xff]", b"\xfe", false),
        (b"*b", b"aab", true),
        (b"a*ab", b"aaab", true),
        (b"*ab*ab", b"abab", true),
        (b"*ab*ab", b"abxab", true),
        (b"*aab", b"aaaab", true),
    ];

    #[test]
    fn finds_what_valkey_finds() {
        for (pattern, text, expected) in CASES {
            let shown = (pattern.escape_ascii(), text.escape_ascii());
            assert_eq!(matches(pattern, text), *expected, "{shown:?}");
        }
    }

    #[test]
    fn letters_may_be_alike() {
        for (pattern, text) in [("a*B", "AxxB"), ("[A-C]x", "bX"), ("\\A", "a"), ("[\\Z]", "z")] {
            assert!(matches_ignoring_case(pattern.as_bytes(), text.as_bytes()));
            assert!(!matches(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_text() {
        let text = [b'a'; 64 << 10];
        for unit in ["a*", "*a", "**?"] {
            let pattern = unit.repeat(1000) + "b";
            let mut steps = 0;
            assert!(!walk(pattern.as_bytes(), &text, Case::Sensitive, || steps += 1));
            assert!(steps <= 2 * (text.len() + pattern.len()), "{steps} steps for {unit}");
        }
        let mut steps = 0;
        assert!(walk(b"*aaaaaaaa", &text, Case::Sensitive, || steps += 1));
        assert!(steps < 20, "{steps} steps though the end is known");
    }

    /// Patterns and texts of 100,000 bytes, and whether the one is found in the other.
    #[test]
    fn long_patterns_on_long_texts_cost_a_64th_of_both() {
        const LEN: usize = 100_000;
        let as_then_b = [&[b'a'; LEN / 2][..], b"b"].concat();
        let text = [&[b'a'; LEN][..], b"b", &[b'a'; 10]].concat();
        let questions = "?".repeat(LEN);
        let classes = "[ab]".repeat(LEN / 4);
        let long_class = ["[", &"x-z".repeat(LEN / 3), "a]"].concat();
        let cases: [(Vec<u8>, bool); 12] = [
            ([b"*", &as_then_b[..], b"*"].concat(), true),
            ([b"*", &as_then_b[..], b"b*"].concat(), false),
            ([b"*", &as_then_b[..], b"*b*"].concat(), false),
            ([b"*", &as_then_b[..], b"*a"].concat(), true),
            ([b"*", questions.as_bytes(), b"ba*"].concat(), true),
            ([b"*", questions.as_bytes(), b"bb*"].concat(), false),
            ([b"*", classes.as_bytes(), b"c*"].concat(), false),
            ([b"*", classes.as_bytes(), b"b*"].concat(), true),
            ([b"*", long_class.as_bytes(), b"ab*"].concat(), true),
            ([b"*", long_class.as_bytes(), b"bb*"].concat(), false),
            ("a*".repeat(LEN / 2).into_bytes(), true),
            (["a*".repeat(LEN / 2).as_bytes(), b"c"].concat(), false),
        ];
        for (pattern, expected) in cases {
            let (mut steps, shown) = (0, pattern[..9].escape_ascii());
            let found = walk(&pattern, &text, Case::Sensitive, || steps += 1);
            assert_eq!(found, expected, "{shown}");
            let most = text.len() * pattern.len() / 32 + 64 * text.len();
            assert!(steps <= most, "{steps} steps for {shown}");
        }
    }

    /// By definition: a `*` takes any number of bytes.
    fn simple(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], text) => text.is_empty(),
            ([b'*', rest @ ..], text) => (0..=text.len()).any(|n| simple(rest, &text[n..])),
            (_, []) => false,
            (pattern, [byte, text @ ..]) => {
                let (is_same, next) = match_one(pattern, 0, *byte, Case::Sensitive);
                is_same && simple(&pattern[next..], text)
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            pattern in prop::collection::vec(
                prop::sample::select(b"*?ab[]^-\\".as_slice()), 0..12),
            text in prop::collection::vec(prop::sample::select(b"ab]".as_slice()), 0..12),
        ) {
            let found = matches(&pattern, &text);
            let is_odd = text.is_empty() && 1 < pattern.len();
            prop_assert_eq!(found, simple(&pattern, &text) && !is_odd);
        }

        #[test]
        fn long_parts_are_found_where_they_are_first(
            text in prop::collection::vec(prop::sample::select(b"aAb\x81".as_slice()), 0..900),
            (start, len) in (0usize..600, 1usize..200),
            tokens in prop::collection::vec(0u8..12, 200),
            changed in any::<Option<prop::sample::Index>>(),
            insensitive: bool,
        ) {
            let case = if insensitive { Case::Insensitive } else { Case::Sensitive };
            let start = start.min(text.len());
            let mut like = text[start..text.len().min(start + len)].to_vec();
            if let Some(at) = changed.filter(|_| !like.is_empty()) {
                *at.get_mut(&mut like) ^= 0x21;
            }
            let mut part = Vec::new();
            for (byte, token) in like.iter().zip(tokens) {
                let (above, below) = (byte.wrapping_add(1), byte.wrapping_sub(1));
                match token {
                    0 => part.push(b'?'),
                    1 => part.extend([b'[', *byte, b']']),
                    2 => part.extend([b'[', b'x', b'\\', *byte, b']']),
                    3 => part.extend([b'[', above, b'-', below, b']']),
                    4 => part.extend([b'[', b'^', above, b']']),
                    5 => part.extend([b'\\', *byte]),
                    _ => part.push(*byte),
                }
            }
            let tokens = part_end(&part, 0).1;
            prop_assert_eq!(tokens, like.len());
            let mut starts = 0..(text.len() + 1).saturating_sub(tokens);
            let expected = starts.find(|start| {
                matches_part(&part, &text[*start..*start + tokens], case, &mut || ())
            });
            prop_assert_eq!(long::find(&part, tokens, &text, case, &mut || ()), expected);
        }
    }
}
