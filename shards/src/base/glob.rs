//! Patterns of KEYS, SCAN, CONFIG GET and the like: `*`, `?`, `[a-z]`, `[^a]` and `\x`.

/// Whether all of `text` matches `pattern`.
///
/// Without recursion, and in at most `pattern.len() * text.len()` steps: when something does not
/// match, only the last `*` is tried with one byte more. What an earlier `*` took never needs to
/// change, since the part behind it was found as early as possible.
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
    let (mut at, mut text_at) = (0, 0);
    // Behind the last `*`, and where the text that it does not take began.
    let mut retry: Option<(usize, usize)> = None;
    while text_at < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            retry = Some((at, text_at));
            continue;
        }
        on_step();
        if let Some((true, next)) = match_one(pattern, at, text[text_at], case) {
            at = next;
            text_at += 1;
            continue;
        }
        let Some((behind, start)) = retry else { return false };
        // All that is behind the `*` was used up before the end of the text: it can only end
        // there if it begins later by just as much.
        let skipped = if at == pattern.len() { text.len() - text_at } else { 1 };
        (at, text_at) = (behind, start + skipped);
        retry = Some((at, text_at));
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Whether what stands at `at` in `pattern`, which is no `*`, matches `byte`, and what comes after
/// it. Nothing if the pattern ends there.
#[inline]
fn match_one(pattern: &[u8], at: usize, byte: u8, case: Case) -> Option<(bool, usize)> {
    match pattern[at..] {
        [] => None,
        [b'?', ..] => Some((true, at + 1)),
        [b'[', ..] => Some(match_class(pattern, at + 1, case.fold(byte), case)),
        [b'\\', escaped, ..] => Some((case.fold(escaped) == case.fold(byte), at + 2)),
        [literal, ..] => Some((case.fold(literal) == case.fold(byte), at + 1)),
    }
}

/// Whether the class that begins at `at` has `byte`, and what comes after it. A class that is not
/// closed ends with the pattern.
fn match_class(pattern: &[u8], at: usize, byte: u8, case: Case) -> (bool, usize) {
    let (negated, mut at) = match pattern[at..] {
        [b'^', ..] => (true, at + 1),
        _ => (false, at),
    };
    let mut found = false;
    loop {
        at += match pattern[at..] {
            [] => return (found != negated, at),
            [b'\\', escaped, ..] => {
                found |= case.fold(escaped) == byte;
                2
            }
            [b']', ..] => return (found != negated, at + 1),
            // Whatever follows the dash is the range's end, be it a bracket or a backslash.
            [from, b'-', to, ..] => {
                let (from, to) = (case.fold(from), case.fold(to));
                found |= is_between(byte, from, to);
                3
            }
            [literal, ..] => {
                found |= case.fold(literal) == byte;
                1
            }
        };
    }
}

/// Whether `byte` lies between the ends of a range, whichever of them is the smaller. Bytes from
/// 128 on are below zero here, as C has it where Valkey mostly runs.
fn is_between(byte: u8, from: u8, to: u8) -> bool {
    let [byte, from, to] = [byte, from, to].map(u8::cast_signed);
    (from.min(to)..=from.max(to)).contains(&byte)
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

    /// By definition: a `*` takes any number of bytes.
    fn simple(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], text) => text.is_empty(),
            ([b'*', rest @ ..], text) => (0..=text.len()).any(|n| simple(rest, &text[n..])),
            (_, []) => false,
            (pattern, [byte, text @ ..]) => match_one(pattern, 0, *byte, Case::Sensitive)
                .is_some_and(|(matched, next)| matched && simple(&pattern[next..], text)),
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
    }
}
