//! A difference as people read it: a transcript, in the format of `tests/transcripts`.

use std::fmt::Write as _;

use crate::client::{Reply, shown};
use crate::families::Policy;
use crate::plan::Step;
use crate::round::Difference;
use crate::sides::Protocol;

/// The block of a transcript that shows the difference, with the peer's replies.
pub fn transcript(difference: &Difference, title: &str, protocol: Protocol, name: &str) -> String {
    let mut text = format!("# {title}\n");
    if protocol == Protocol::Resp3 {
        text.push_str("! resp3\n");
    }
    for (step, reply) in &difference.steps {
        push_step(&mut text, "", step, reply);
    }
    // Only the last of these differs; what came before may have chosen the database.
    let mut after = difference.after.iter().rev();
    if let Some((last, reply)) = after.next() {
        let select = after.find(|(step, _)| step.words[0] == b"SELECT" && step.words[1] != b"0");
        if let Some((step, reply)) = select {
            push_step(&mut text, "@after ", step, reply);
        }
        push_step(&mut text, "@after ", last, reply);
    }
    for line in difference.instead.lines() {
        writeln!(text, "# {name}: {line}").expect("a string takes all");
    }
    text
}

/// The command that is answered differently, and the kinds of both replies.
pub fn kind(difference: &Difference) -> (Vec<u8>, Option<char>, Option<char>) {
    let last = difference.after.last().or(difference.steps.last());
    let (step, reply) = last.expect("something was asked");
    let name = step.words[0].to_ascii_uppercase();
    (name, reply.head().chars().next(), difference.instead.chars().next())
}

/// What tells one difference from another: the command, and how replies differ.
pub fn gist(difference: &Difference) -> String {
    let last = difference.after.last().or(difference.steps.last());
    let (step, reply) = last.expect("something was asked");
    let name = shown(&step.words[0]).to_uppercase();
    let kind = |text: &str| -> String {
        text.chars().filter(|letter| !letter.is_ascii_digit()).take(40).collect()
    };
    format!("{name} {} {}", kind(&reply.lines().join(" ")), kind(&difference.instead))
}

fn push_step(text: &mut String, connection: &str, step: &Step, reply: &Reply) {
    let words: Vec<String> = step.words.iter().map(|word| quoted(word)).collect();
    writeln!(text, "{connection}> {}", words.join(" ")).expect("a string takes all");
    let mut lines = reply.lines();
    match (step.policy, reply) {
        (Policy::Unordered | Policy::Pairs, Reply::Group(..)) => lines[0] += " in any order",
        (Policy::Near(_), Reply::Integer(number)) if 0 <= *number => lines = vec!["?:*".into()],
        (Policy::Alike(_), _) => lines = vec!["?".into()],
        _ => {}
    }
    for line in lines {
        writeln!(text, "{connection}< {line}").expect("a string takes all");
    }
}

/// A word as redis-cli takes it.
fn quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let shown = shown(word);
    if shown.starts_with('"') && shown.ends_with('"') && shown.len() > 1 && shown != "\"" {
        return shown;
    }
    let escaped = shown.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[test]
fn words_are_quoted_so_that_a_transcript_can_be_read_again() {
    for (word, expected) in [
        (&b"a"[..], "a"),
        (b"", "\"\""),
        (b"nil", "nil"),
        (b"a b", "\"a b\""),
        (b"a\"b", "\"a\\\"b\""),
        (b"a\\b", "\"a\\\\b\""),
        (b"\0\xff\r\n", "\"\\x00\\xff\\r\\n\""),
        (b"'", "\"'\""),
    ] {
        assert_eq!(quoted(word), expected);
    }
}
