//! Which arguments of a request are keys.

use shards::base::number::parse_i64;
use shards::commands::spec::{Begin, Find, KeySpec, Spec, Spread};

/// The places of a request's keys among its arguments, ascending within each specification.
/// Malformed requests give the keys that can be made out.
pub fn key_places(specs: &[KeySpec], args: &[&[u8]]) -> Vec<usize> {
    let mut places = Vec::new();
    for spec in specs {
        let Some(begin) = begin(spec.begin, args) else { continue };
        match spec.find {
            Find::Range { last, step, limit } => {
                let count = args.len();
                let last = match usize::try_from(last) {
                    Ok(last) => begin + last,
                    Err(_) if 1 < limit => begin + (count - begin) / limit - 1,
                    Err(_) => count.saturating_sub(usize::try_from(-last).unwrap_or(count)),
                };
                places.extend((begin..=last).step_by(step.max(1)).filter(|&at| at < count));
            }
            Find::Number { at, first, step } => {
                let keys = args.get(begin + at).and_then(|arg| parse_i64(arg));
                let keys = keys.and_then(|keys| usize::try_from(keys).ok()).unwrap_or(0);
                let from = begin + first;
                let within = (from..args.len()).step_by(step.max(1));
                places.extend(within.take(keys));
            }
            Find::Place(place) => places.extend(place(args)),
            Find::Anywhere(_) => {}
        }
    }
    places
}

/// Whether a command is split by its keys, and has no arguments left over (MSET a 1 b).
pub fn falls_apart(spec: &Spec, args: &[&[u8]]) -> bool {
    match (spec.spread, spec.keys) {
        (
            Spread::Split(_),
            [KeySpec { begin: Begin::Index(at), find: Find::Range { step, .. }, .. }],
        ) => (args.len() - at).is_multiple_of(*step),
        _ => false,
    }
}

/// Whether a request asks for keys that do not stand among its arguments.
pub fn reaches(specs: &[KeySpec], args: &[&[u8]]) -> bool {
    specs.iter().any(|spec| matches!(spec.find, Find::Anywhere(asks) if asks(args)))
}

/// The place of the first key of a command that is split by its keys, and their distance.
pub fn spacing(keys: &[KeySpec]) -> (usize, usize) {
    match keys {
        [KeySpec { begin: Begin::Index(at), find: Find::Range { step, .. }, .. }, ..] => {
            (*at, *step)
        }
        _ => (1, 1),
    }
}

fn begin(begin: Begin, args: &[&[u8]]) -> Option<usize> {
    match begin {
        Begin::Index(at) => (at < args.len()).then_some(at),
        Begin::IndexIf(at, is) => (at < args.len() && is(args)).then_some(at),
        Begin::Unknown => Some(0),
        Begin::Option(_, _, place) => place(args).filter(|&at| at < args.len()),
        Begin::Keyword(word, from) => {
            let is_word = |at: &usize| args[*at].eq_ignore_ascii_case(word.as_bytes());
            let found = match usize::try_from(from) {
                Ok(from) => (from..args.len()).find(is_word),
                Err(_) => {
                    let back = usize::try_from(-from).unwrap_or(args.len());
                    (1..(args.len() + 1).saturating_sub(back)).rev().find(is_word)
                }
            };
            found.map(|at| at + 1).filter(|&at| at < args.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_keys_by_range_number_and_keyword() {
        let split = |line: &'static str| line.split(' ').map(str::as_bytes).collect::<Vec<_>>();
        let pairs = [KeySpec::from(1, 2, &[])];
        assert_eq!(key_places(&pairs, &split("mset a 1 b 2")), [1, 3]);
        let find = Find::Number { at: 0, first: 1, step: 1 };
        let counted = [KeySpec { begin: Begin::Index(1), find, flags: &[] }];
        assert_eq!(key_places(&counted, &split("lmpop 2 a b left")), [2, 3]);
        assert_eq!(key_places(&counted, &split("lmpop 9 a")), [2]);
        let store = [KeySpec {
            begin: Begin::Keyword("STORE", -1),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            flags: &[],
        }];
        assert_eq!(key_places(&store, &split("sort a store b")), [3]);
        assert!(key_places(&store, &split("sort a store")).is_empty());
    }
}
