//! The arguments of a command as COMMAND DOCS shows them, derived from the notation of the
//! documentation:
//!
//! ```text
//! key              an argument             COUNT count     a token and what it introduces
//! [a b]            optional                <a | b | C>     one of these
//! a b [a b ...]    once or more            [a ...]         any number of times
//! ```

use shards::commands::spec::{Flag, Group, Spec};

/// An argument, a group of arguments, or a choice between some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Argument {
    pub name: String,
    /// `key`, `string`, `pure-token`, `oneof`, `block` ...
    pub kind: &'static str,
    /// The word before it.
    pub token: Option<&'static str>,
    pub is_optional: bool,
    /// It may be given more than once.
    pub is_multiple: bool,
    /// If it is given more than once, so is its token.
    pub repeats_token: bool,
    /// Of a `block` or a `oneof`.
    pub members: Vec<Argument>,
}

impl Argument {
    /// Its flags as COMMAND DOCS names them.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        let all = [
            (self.is_optional, "optional"),
            (self.is_multiple, "multiple"),
            (self.repeats_token, "multiple_token"),
        ];
        all.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
    }
}

/// The arguments of a command.
pub(super) fn parse(spec: &'static Spec) -> Vec<Argument> {
    let mut words = words(spec.syntax).into_iter();
    let alternatives = read_alternatives(&mut words);
    match alternatives.as_slice() {
        [nodes] => arguments(nodes, spec),
        choices => vec![group(choices, spec)],
    }
}

/// The notation, read but not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Word(&'static str),
    Group {
        is_optional: bool,
        alternatives: Vec<Vec<Node>>,
    },
    /// `...`: what stands before it comes again.
    Again,
}

/// Splits at spaces and around brackets and bars.
fn words(syntax: &'static str) -> Vec<&'static str> {
    let is_mark = |c: char| "[]<>|".contains(c);
    let split = |word: &'static str| {
        let mut parts = Vec::new();
        let mut rest = word;
        while let Some(at) = rest.find(is_mark) {
            parts.extend([&rest[..at], &rest[at..=at]].into_iter().filter(|part| !part.is_empty()));
            rest = &rest[at + 1..];
        }
        parts.extend((!rest.is_empty()).then_some(rest));
        parts
    };
    syntax.split_whitespace().flat_map(split).collect()
}

/// Reads up to the end of a group.
fn read_alternatives(words: &mut impl Iterator<Item = &'static str>) -> Vec<Vec<Node>> {
    let mut alternatives = vec![Vec::new()];
    while let Some(word) = words.next() {
        let node = match word {
            "]" | ">" => break,
            "|" => {
                alternatives.push(Vec::new());
                continue;
            }
            "[" => Node::Group { is_optional: true, alternatives: read_alternatives(words) },
            "<" => Node::Group { is_optional: false, alternatives: read_alternatives(words) },
            "..." => Node::Again,
            word => Node::Word(word),
        };
        alternatives.last_mut().expect("there is always one").push(node);
    }
    alternatives
}

fn arguments(nodes: &[Node], spec: &Spec) -> Vec<Argument> {
    let mut made = Vec::new();
    let mut at = 0;
    while at < nodes.len() {
        if let Some(length) = repeated(&nodes[at..]) {
            made.push(multiple(&nodes[at..at + length], spec));
            at += length + 1;
            continue;
        }
        match &nodes[at] {
            // A token introduces all that follows in its group.
            Node::Word(token) if is_token(token) => {
                made.push(introduced(token, arguments(&nodes[at + 1..], spec)));
                return made;
            }
            Node::Word(name) => {
                made.push(Argument {
                    name: (*name).to_owned(),
                    kind: kind(name, spec),
                    ..Argument::default()
                });
            }
            Node::Group { is_optional, alternatives } => {
                let argument = group(alternatives, spec);
                let is_optional = *is_optional || argument.is_optional;
                made.push(Argument { is_optional, ..argument });
            }
            Node::Again => panic!("{}: nothing stands before the dots", spec.name),
        }
        at += 1;
    }
    made
}

/// How many of these nodes the group behind them repeats: `a b [a b ...]`.
fn repeated(nodes: &[Node]) -> Option<usize> {
    (1..nodes.len()).find(|&length| {
        let Node::Group { is_optional: true, alternatives } = &nodes[length] else { return false };
        let [again] = alternatives.as_slice() else { return false };
        again.split_last() == Some((&Node::Again, &nodes[..length]))
    })
}

/// What may be given more than once.
fn multiple(nodes: &[Node], spec: &Spec) -> Argument {
    let repeats_token = matches!(nodes.first(), Some(Node::Word(word)) if is_token(word));
    Argument { is_multiple: true, repeats_token, ..one(arguments(nodes, spec), "data") }
}

fn group(alternatives: &[Vec<Node>], spec: &Spec) -> Argument {
    match alternatives {
        [nodes] => match nodes.split_last() {
            Some((Node::Again, nodes)) => multiple(nodes, spec),
            _ => one(arguments(nodes, spec), "options"),
        },
        alternatives => {
            let each = alternatives.iter();
            let members: Vec<_> =
                each.map(|nodes| group(std::slice::from_ref(nodes), spec)).collect();
            let name = name_of(&members, "option");
            Argument { name, kind: "oneof", members, ..Argument::default() }
        }
    }
}

/// Makes a block of several arguments.
fn one(mut arguments: Vec<Argument>, default: &str) -> Argument {
    if arguments.len() == 1 {
        return arguments.remove(0);
    }
    let name = name_of(&arguments, default);
    Argument { name, kind: "block", members: arguments, ..Argument::default() }
}

/// A token with what it introduces.
fn introduced(token: &'static str, mut arguments: Vec<Argument>) -> Argument {
    let name = match token {
        "=" => "equal".to_owned(),
        "~" => "approximately".to_owned(),
        "*" => "auto-id".to_owned(),
        "$" => "new-id".to_owned(),
        "ALPHA" => "sorting".to_owned(),
        "CH" => "change".to_owned(),
        "INCR" => "increment".to_owned(),
        token => token.to_ascii_lowercase(),
    };
    let token = Some(token);
    match arguments.as_slice() {
        [] => Argument { name, kind: "pure-token", token, ..Argument::default() },
        [only] if only.token.is_none() && !only.is_optional => {
            let only = arguments.remove(0);
            let name = if only.kind == "oneof" { name } else { only.name };
            Argument { name, token, ..only }
        }
        _ => Argument { name, kind: "block", token, members: arguments, ..Argument::default() },
    }
}

/// Tokens are in capitals, or no words at all.
fn is_token(word: &str) -> bool {
    !word.starts_with(|c: char| c.is_ascii_lowercase())
}

/// What Valkey calls a choice or a block, which has no name in the notation, by its first member.
const NAMES: &[(&str, &str)] = &[
    ("nx", "condition"),
    ("fnx", "fields-condition"),
    ("gt", "comparison"),
    ("seconds", "expiration"),
    ("async", "flush-type"),
    ("byte", "unit"),
    ("m", "unit"),
    ("and", "operation"),
    ("on", "enabled"),
    ("yes", "mode"),
    ("write", "mode"),
    ("asc", "order"),
    ("byscore", "sortby"),
    ("left", "where"),
    ("min", "where"),
    ("before", "where"),
    ("libname", "attr"),
    ("maxlen", "strategy"),
    ("equal", "operator"),
    ("auto-id", "id-selector"),
    ("start", "range"),
    ("end", "end-unit-block"),
    ("protover", "arguments"),
    ("timeout", "unblock-type"),
    ("get", "operation"),
    ("set", "write-operation"),
];

/// The name of a choice or a block.
fn name_of(members: &[Argument], default: &str) -> String {
    let first = members.first().map_or("", |member| member.name.as_str());
    let known = NAMES.iter().find(|(name, _)| *name == first && default != "data");
    known.map_or(default, |(_, name)| *name).to_owned()
}

/// The type of an argument of this name, where the name tells it.
fn kind(name: &str, spec: &Spec) -> &'static str {
    match name {
        "value" if spec.group == Group::Bitmap => "integer",
        // Where keys take a Unix time, fields take a number.
        "unix-time-seconds" | "unix-time-milliseconds" if spec.name.ends_with("expireat") => {
            if spec.group == Group::Hash { "integer" } else { "unix-time" }
        }
        "increment" if spec.name.ends_with("byfloat") => "double",
        "start" | "stop" if spec.name == "zrange" => "string",
        "min" | "max" if spec.name.ends_with("byscore") || spec.name == "zcount" => "double",
        "start" | "end" if spec.group == Group::Stream => "string",
        "min-idle-time" if spec.name == "xpending" => "integer",
        "timeout" if spec.flags.has(Flag::Blocking) && !spec.keys.is_empty() => "double",
        "key" | "cursor" if spec.group == Group::Cluster => "string",
        "key" | "key1" | "key2" | "newkey" | "source" | "destination" | "destkey" | "sourcekey"
        | "storekey" | "storedistkey" | "dst" | "src" => "key",
        "pattern" | "by-pattern" | "get-pattern" | "match-pattern" => "pattern",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        "height" | "latitude" | "longitude" | "radius" | "score" | "width" => "double",
        "bit" | "client-id" | "cluster-bus-port" | "config-epoch" | "count" | "cursor" | "db"
        | "decrement" | "destination-db" | "end" | "end-slot" | "entries-added" | "entriesread"
        | "frequency" | "idle" | "increment" | "index" | "index1" | "index2" | "len" | "limit"
        | "maxage" | "milliseconds" | "min-match-len" | "ms" | "not-client-id" | "not-db"
        | "num-matches" | "num-vertices" | "numfields" | "numkeys" | "numlocal" | "numreplicas"
        | "offset" | "port" | "protover" | "rank" | "seconds" | "slot" | "start" | "start-slot"
        | "stop" | "timeout" | "ttl" | "version" | "weight" => "integer",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares what is derived, one argument in each line, members indented.
    fn check(syntax: &'static str, expected: &str) {
        let spec = Box::leak(Box::new(Spec { syntax, ..Spec::EMPTY }));
        let mut shown = String::new();
        parse(spec).iter().for_each(|argument| show(argument, 0, &mut shown));
        assert_eq!(shown.trim(), expected.trim(), "{syntax}");
    }

    fn show(argument: &Argument, depth: usize, out: &mut String) {
        let Argument { name, kind, token, .. } = argument;
        let token = token.map(|token| format!(" {token}")).unwrap_or_default();
        let flags: String = argument.flags().iter().map(|flag| format!(" +{flag}")).collect();
        out.push_str(&format!("{}{name}:{kind}{token}{flags}\n", " ".repeat(depth)));
        argument.members.iter().for_each(|member| show(member, depth + 1, out));
    }

    #[test]
    fn arguments_have_the_type_of_their_name() {
        check("", "");
        check("key seconds value", "key:key\nseconds:integer\nvalue:string");
        check("[message]", "message:string +optional");
    }

    #[test]
    fn tokens_introduce_what_follows() {
        check("[COUNT count] [LEN]", "count:integer COUNT +optional\nlen:pure-token LEN +optional");
        let limit = "limit:block LIMIT +optional\n offset:integer\n count:integer";
        check("[LIMIT offset count]", limit);
        let overflow = "overflow:oneof OVERFLOW\n wrap:pure-token WRAP\n fail:pure-token FAIL";
        check("OVERFLOW <WRAP | FAIL>", overflow);
    }

    #[test]
    fn dots_repeat_what_stands_before() {
        check("key [key ...]", "key:key +multiple");
        check("[key ...]", "key:key +optional +multiple");
        check("key value [key value ...]", "data:block +multiple\n key:key\n value:string");
        let get = "pattern:pattern GET +optional +multiple +multiple_token";
        check("[GET pattern [GET pattern ...]]", get);
    }

    #[test]
    fn brackets_nest() {
        let range = "range:block +optional\n start:integer\n end-unit-block:block +optional\n  \
             end:integer\n  unit:oneof +optional\n   byte:pure-token BYTE\n   bit:pure-token BIT";
        check("[start [end [BYTE | BIT]]]", range);
        let write = "write-operation:oneof\n set:block SET\n  offset:integer\n  value:string\n \
             get:pure-token GET";
        check("<SET offset value | GET>", write);
        check("a | B", "option:oneof\n a:string\n b:pure-token B");
    }
}
