//! Whether two servers said the same.

use std::cmp::Ordering;

use crate::client::Reply;
use crate::families::Policy;
use crate::plan::Step;
use crate::words::Manners;

/// The first step at which the replies differ; `None` if they do not.
pub fn first_difference(
    steps: &[Step],
    ours: &[Reply],
    theirs: &[Reply],
    manners: Manners,
) -> Option<usize> {
    let mut queued: Option<Vec<&Step>> = None;
    for (at, step) in steps.iter().enumerate() {
        let (Some(our), Some(their)) = (ours.get(at), theirs.get(at)) else { return Some(at) };
        let is = |name: &[u8]| step.words[0].eq_ignore_ascii_case(name);
        let in_exec = is(b"EXEC") && matches!(their, Reply::Group(..));
        let same = match (&queued, our, their) {
            (Some(queued), Reply::Group(_, our), Reply::Group(_, their)) if in_exec => {
                our.len() == their.len()
                    && queued.len() == their.len()
                    && queued
                        .iter()
                        .zip(our.iter().zip(their))
                        .all(|(step, (our, their))| agree(step.policy, our, their, manners))
            }
            _ => agree(step.policy, our, their, manners),
        };
        if !same {
            return Some(at);
        }
        match their {
            Reply::Simple(text) if text == b"QUEUED" => {
                queued.iter_mut().for_each(|queued| queued.push(step));
            }
            Reply::Simple(_) if is(b"MULTI") => queued = Some(Vec::new()),
            Reply::Error(_) if !is(b"EXEC") => {}
            _ => queued = None,
        }
    }
    None
}

/// Whether both replies are the same as far as `policy` asks.
fn agree(policy: Policy, our: &Reply, their: &Reply, manners: Manners) -> bool {
    if our == their {
        return true;
    }
    match (policy, our, their) {
        (_, Reply::Error(our), Reply::Error(their)) => match manners {
            Manners::Wild => false,
            Manners::Tame => code(our) == code(their),
        },
        (_, Reply::Error(_), _) | (_, _, Reply::Error(_)) => false,
        (Policy::Alike(_), Reply::Group(kind, our), Reply::Group(other, their)) => {
            kind == other && our.len() == their.len()
        }
        (Policy::Alike(_), our, their) => {
            std::mem::discriminant(our) == std::mem::discriminant(their)
        }
        (Policy::Near(tolerance), Reply::Integer(our), Reply::Integer(their)) => {
            0 <= *our && 0 <= *their && our.abs_diff(*their) <= tolerance.unsigned_abs()
        }
        (_, Reply::Group(kind, our), Reply::Group(other, their)) => {
            if kind != other || our.len() != their.len() {
                return false;
            }
            let each = |policy| {
                our.iter().zip(their).all(|(our, their)| agree(policy, our, their, manners))
            };
            match policy {
                Policy::Unordered => sorted(our, 1) == sorted(their, 1),
                Policy::Pairs => sorted(our, 2) == sorted(their, 2),
                Policy::Scan | Policy::ScanPairs => {
                    let members =
                        if policy == Policy::Scan { Policy::Unordered } else { Policy::Pairs };
                    our.first() == their.first()
                        && our[1..]
                            .iter()
                            .zip(&their[1..])
                            .all(|(our, their)| agree(members, our, their, manners))
                }
                // An array may hold errors, also that of an EXEC.
                Policy::Exact | Policy::Near(_) | Policy::Alike(_) => each(policy),
            }
        }
        _ => false,
    }
}

fn code(error: &[u8]) -> &[u8] {
    error.split(|byte| *byte == b' ').next().unwrap_or(error)
}

/// The members in groups of so many, in an order that only depends on what they are.
fn sorted(members: &[Reply], size: usize) -> Vec<&[Reply]> {
    let mut groups: Vec<&[Reply]> = members.chunks(size).collect();
    groups.sort_by(|one, other| {
        let pairs = one.iter().zip(*other).map(|(one, other)| order(one, other));
        pairs.fold(Ordering::Equal, Ordering::then)
    });
    groups
}

fn order(one: &Reply, other: &Reply) -> Ordering {
    match (one, other) {
        (Reply::Bulk(one), Reply::Bulk(other)) => one.cmp(other),
        _ => one.lines().cmp(&other.lines()),
    }
}

#[test]
fn replies_are_alike_as_far_as_the_policy_asks() {
    let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
    let array = |texts: &[&str]| Reply::Group('*', texts.iter().map(|text| bulk(text)).collect());
    let error = |text: &str| Reply::Error(text.as_bytes().to_vec());
    let number = Reply::Integer;
    let scan = |texts: &[&str]| Reply::Group('*', vec![bulk("0"), array(texts)]);
    let cases = [
        (Policy::Exact, bulk("a"), bulk("a"), true),
        (Policy::Exact, bulk("a"), Reply::Simple(b"a".to_vec()), false),
        (Policy::Exact, Reply::NullBulk, Reply::Null, false),
        (Policy::Exact, array(&["a", "b"]), array(&["b", "a"]), false),
        (Policy::Unordered, array(&["a", "b"]), array(&["b", "a"]), true),
        (Policy::Unordered, array(&["a", "a"]), array(&["a", "b"]), false),
        (Policy::Unordered, array(&["a"]), Reply::Group('~', vec![bulk("a")]), false),
        (Policy::Pairs, array(&["a", "1", "b", "2"]), array(&["b", "2", "a", "1"]), true),
        (Policy::Pairs, array(&["a", "1", "b", "2"]), array(&["a", "2", "b", "1"]), false),
        (Policy::Scan, scan(&["a", "b"]), scan(&["b", "a"]), true),
        (Policy::Scan, scan(&["a", "b"]), scan(&["b"]), false),
        (Policy::ScanPairs, scan(&["a", "1", "b", "2"]), scan(&["b", "2", "a", "1"]), true),
        (Policy::Near(5), number(10), number(15), true),
        (Policy::Near(5), number(10), number(16), false),
        (Policy::Near(5), number(-1), number(0), false),
        (Policy::Near(5), number(-1), number(-2), false),
        (Policy::Alike("chance"), bulk("a"), bulk("b"), true),
        (Policy::Alike("chance"), bulk("a"), Reply::NullBulk, false),
        (Policy::Alike("chance"), array(&["a"]), array(&["a", "b"]), false),
        (Policy::Alike("chance"), error("ERR a"), error("ERR b"), false),
    ];
    for (policy, ours, theirs, expected) in cases {
        let found = agree(policy, &ours, &theirs, Manners::Wild);
        assert_eq!(found, expected, "{policy:?}: {ours:?} and {theirs:?}");
    }
    let codes =
        |one: &str, other: &str| agree(Policy::Exact, &error(one), &error(other), Manners::Tame);
    assert!(codes("ERR a", "ERR b"));
    assert!(!codes("ERR a", "WRONGTYPE a"));
}

#[test]
fn what_a_transaction_answers_is_compared_command_by_command() {
    let step = |line: &str, policy| Step {
        words: line.split(' ').map(|word| word.as_bytes().to_vec()).collect(),
        policy,
        care: crate::families::Care::None,
    };
    let simple = |text: &str| Reply::Simple(text.as_bytes().to_vec());
    let steps = [
        step("MULTI", Policy::Exact),
        step("TTL a", Policy::Near(5)),
        step("DBSIZE", Policy::Exact),
        step("EXEC", Policy::Exact),
    ];
    let replies = |ttl: i64, size: i64| {
        let members = vec![Reply::Integer(ttl), Reply::Integer(size)];
        vec![simple("OK"), simple("QUEUED"), simple("QUEUED"), Reply::Group('*', members)]
    };
    let check = |ours: (i64, i64), theirs: (i64, i64), expected: Option<usize>| {
        let (ours, theirs) = (replies(ours.0, ours.1), replies(theirs.0, theirs.1));
        assert_eq!(first_difference(&steps, &ours, &theirs, Manners::Wild), expected);
    };
    check((100, 1), (101, 1), None);
    check((100, 1), (100, 2), Some(3));
    check((100, 1), (200, 1), Some(3));
    let short = &replies(100, 1)[..2];
    assert_eq!(first_difference(&steps, short, &replies(100, 1), Manners::Wild), Some(2));
}
