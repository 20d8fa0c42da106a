//! The sources of the project, each taken apart into code and comments.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A source file, taken apart.
pub struct Source {
    /// Its place in the repository.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// The text with comments, strings and characters blanked.
    pub code: String,
    /// The text with everything but comments blanked.
    pub comments: String,
    /// The first line of tests, or the number of lines.
    pub tests_from: usize,
}

/// All sources of the project, by path.
pub fn sources() -> Vec<Source> {
    let mut paths = BTreeSet::new();
    for folder in ["src", "shards", "bench", "perf", "tests"] {
        collect(folder, &mut paths);
    }
    let mut sources: Vec<Source> = paths.into_iter().map(Source::read).collect();
    // Modules that only tests have are tests from their first line.
    let mut tests = BTreeSet::new();
    for source in &sources {
        let folder = source.path.trim_end_matches(".rs").trim_end_matches("/lib");
        let lines: Vec<&str> = source.code.lines().collect();
        for pair in lines.windows(2) {
            let module = pair[1].trim().strip_prefix("mod ").and_then(|m| m.strip_suffix(';'));
            if let ("#[cfg(test)]", Some(module)) = (pair[0].trim(), module) {
                tests.insert(format!("{folder}/{module}.rs"));
            }
        }
    }
    for source in &mut sources {
        let outside = ["tests/", "bench/benches/"].iter().any(|f| source.path.starts_with(f));
        if outside || tests.contains(&source.path) {
            source.tests_from = 0;
        }
    }
    sources
}

fn collect(folder: &str, paths: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(root().join(folder)) else {
        return;
    };
    for entry in entries {
        let entry = entry.expect("a folder can be listed");
        let path = format!("{folder}/{}", entry.file_name().display());
        if entry.path().is_dir() && entry.file_name() != "target" {
            collect(&path, paths);
        } else if path.ends_with(".rs") {
            paths.insert(path);
        }
    }
}

impl Source {
    fn read(path: String) -> Self {
        let text = read(&path);
        let (code, comments) = take_apart(&text);
        // Tests stand at the bottom of a file, in a module of their own.
        let lines: Vec<&str> = code.lines().collect();
        let begins = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{');
        let tests_from = lines.windows(2).position(begins).map_or(lines.len() + 1, |at| at + 1);
        Self { path, text, code, comments, tests_from }
    }
}

/// What a letter of Rust text belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    LineComment,
    /// Comments within comments count.
    BlockComment(u32),
    String,
    /// Ends with a quote and this many `#`.
    RawString(usize),
}

/// The code and the comments of a Rust text, each with the rest blanked, lines where they were.
fn take_apart(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut part = Part::Code;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let (next, length) = step(part, rest);
        let taken = &rest[..length];
        let blank: String = taken.chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        let comment = |part| matches!(part, Part::LineComment | Part::BlockComment(_));
        let plain = part == Part::Code && next == Part::Code && (length == 1 || letter != '\'');
        code.push_str(if plain { taken } else { &blank });
        comments.push_str(if comment(part) || comment(next) { taken } else { &blank });
        (part, rest) = (next, &rest[length..]);
    }
    (code, comments)
}

/// The part that `rest`, which begins in `part`, goes on with, and after how many bytes.
fn step(part: Part, rest: &str) -> (Part, usize) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    match part {
        Part::Code => step_code(rest, first),
        Part::LineComment if rest.starts_with('\n') => (Part::Code, 1),
        Part::BlockComment(1) if rest.starts_with("*/") => (Part::Code, 2),
        Part::BlockComment(depth) if rest.starts_with("*/") => (Part::BlockComment(depth - 1), 2),
        Part::BlockComment(depth) if rest.starts_with("/*") => (Part::BlockComment(depth + 1), 2),
        Part::String if rest.starts_with('"') => (Part::Code, 1),
        Part::String if rest.starts_with('\\') => {
            let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
            (part, 1 + escaped)
        }
        Part::RawString(hashes) if rest.starts_with(&format!("\"{}", "#".repeat(hashes))) => {
            (Part::Code, 1 + hashes)
        }
        Part::LineComment | Part::BlockComment(_) | Part::String | Part::RawString(_) => {
            (part, first)
        }
    }
}

fn step_code(rest: &str, first: usize) -> (Part, usize) {
    if rest.starts_with("//") {
        return (Part::LineComment, 2);
    }
    if rest.starts_with("/*") {
        return (Part::BlockComment(1), 2);
    }
    if rest.starts_with('"') {
        return (Part::String, 1);
    }
    if let Some(character) = rest.strip_prefix('\'') {
        // A character ends with a quote; a lifetime does not.
        let mut letters = character.chars();
        let escaped = letters.next() == Some('\\');
        let end = if escaped { character[2..].find('\'').map(|at| at + 2) } else { None };
        let end = end.or_else(|| (letters.next() == Some('\'')).then(|| character.find('\''))?);
        return (Part::Code, end.map_or(1, |end| end + 2));
    }
    let word = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
    if let "r" | "br" | "cr" = &rest[..word] {
        let hashes = rest[word..].chars().take_while(|&letter| letter == '#').count();
        if rest[word + hashes..].starts_with('"') {
            return (Part::RawString(hashes), word + hashes + 1);
        }
    }
    (Part::Code, word.max(first))
}

/// Whether a name may hold `letter`.
pub fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Where `word` stands in `text` as a word of its own.
pub fn places(text: &str, word: &str) -> Vec<usize> {
    let alone = |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let joins = |letter: Option<char>| letter.is_some_and(is_word);
        // A path may go on behind its prefix, but does not begin in the middle of another.
        let begins = !joins(before) && (before != Some(':') || !word.ends_with("::"));
        begins && (!word.ends_with(is_word) || !joins(after))
    };
    text.match_indices(word).map(|(at, _)| at).filter(alone).collect()
}

/// The number of the line that `at` is in.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The lines of a text with their numbers.
pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Where the repository is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn takes_rust_apart() {
    for (text, code, comments) in [
        ("a // b", "a     ", "  // b"),
        ("a /* b /* c */ d */ e", "a                   e", "  /* b /* c */ d */  "),
        ("x(\"// no\", 'y', '\"', '\\'') // z", "x(       ,    ,    ,     )     ", ""),
        ("f::<'a>(r#\"\"//\"#)", "f::<'a>(        )", ""),
        ("\"a\\\"b\" c", "       c", ""),
    ] {
        let (found, said) = take_apart(text);
        assert_eq!(found.trim_end(), code.trim_end(), "{text}");
        assert!(comments.is_empty() || said.trim_end() == comments.trim_end(), "{text}: {said}");
    }
}
