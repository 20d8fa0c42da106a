//! Version rules, who this node is, and what follows.

use super::*;
use crate::topology::file;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

fn id(text: &str) -> NodeId {
    NodeId::parse(text.as_bytes()).expect("an id")
}

fn spell(text: &str) -> Vec<u8> {
    text.replace("<a>", A).replace("<b>", B).replace("<c>", C).into_bytes()
}

fn own() -> Own {
    Own { hosts: vec!["h".to_owned()], port: 2 }
}

fn push(desired: &mut Desired, text: &str, version: i64, force: Force) -> Result<Outcome, Error> {
    desired.take(&Change::Nodes { text: spell(text), version, force }, &own())
}

const ONE: &str = "<a> h 1 master - 0-9\n<b> h 2 slave <a>";
const OTHER: &str = "<a> h 1 master - 0-8\n<b> h 2 slave <a>";

#[test]
fn a_version_is_taken_by_the_table() {
    use Force::{No, Yes};
    for (label, text, version, force, expected) in [
        ("negative", ONE, -1, No, Err(VERSION)),
        ("negative by force", ONE, -1, Yes, Err(VERSION)),
        ("older", OTHER, 4, No, Err(VERSION)),
        ("older, alike", ONE, 4, No, Err(VERSION)),
        ("older by force", OTHER, 4, Yes, Ok(Outcome::Changed)),
        ("same", ONE, 5, No, Ok(Outcome::Same)),
        (
            "same, in another order",
            "<b> h 2 replica <a>\n<a> h 1 master - 0-4 5-9",
            5,
            No,
            Ok(Outcome::Same),
        ),
        ("same by force", ONE, 5, Yes, Ok(Outcome::Same)),
        ("diverged", OTHER, 5, No, Err(CONTENT)),
        ("diverged by force", OTHER, 5, Yes, Ok(Outcome::Changed)),
        ("newer", OTHER, 9, No, Ok(Outcome::Changed)),
        ("newer, alike", ONE, 6, No, Ok(Outcome::Changed)),
        ("newer, wrong", "<a> h 1", 6, No, Err(text::NODES)),
        ("same, wrong", "<a> h 1", 5, No, Err(text::NODES)),
        ("older, wrong", "<a> h 1", 4, No, Err(VERSION)),
    ] {
        let mut desired = Desired::default();
        assert_eq!(push(&mut desired, ONE, 5, No), Ok(Outcome::Changed));
        let before = desired.clone();
        assert_eq!(push(&mut desired, text, version, force), expected, "{label}");
        match expected {
            Ok(Outcome::Changed) => assert_eq!(desired.version(), version, "{label}"),
            Ok(Outcome::Same) | Err(_) => assert_eq!(desired, before, "{label}"),
        }
    }
}

#[test]
fn a_node_finds_itself_by_its_address_until_it_was_told() {
    let mut desired = Desired::default();
    assert_eq!(desired.goal(), Goal::Unset);
    push(&mut desired, ONE, 1, Force::No).expect("it is newer");
    assert_eq!(desired.id, Some(id(B)));
    let primary = Primary { host: "h".to_owned(), port: 1 };
    assert_eq!(desired.goal(), Goal::Follow(primary));
    push(&mut desired, "<a> h 1 slave <c>\n<c> h 2 master -", 2, Force::No).expect("newer");
    assert_eq!(desired.goal(), Goal::Leave, "an id that is known stays");
    push(&mut desired, "<a> h 1 slave <c>\n<c> h 2 master -", 3, Force::Yes).expect("newer");
    assert_eq!((desired.id, desired.goal()), (Some(id(C)), Goal::Lead), "force looks anew");
    let name = |desired: &mut Desired, text| desired.take(&Change::Name(id(text)), &own());
    assert_eq!(name(&mut desired, C), Ok(Outcome::Same));
    assert_eq!(name(&mut desired, B), Ok(Outcome::Changed));
    assert_eq!(desired.goal(), Goal::Leave);
    push(&mut desired, "<b> h 5 slave <c>", 4, Force::No).expect("newer");
    assert_eq!(desired.goal(), Goal::Lost(id(C)));
    assert_eq!(desired.imposed(id(A)).me, id(B));
    desired.reset();
    assert_eq!((desired.goal(), desired.imposed(id(A)).me), (Goal::Unset, id(A)));
}

#[test]
fn a_slot_is_set_as_a_step_from_the_version_in_force() {
    let two = "<a> h 1 master - 0-9\n<b> h 2 master -\n<c> h 3 slave <a>";
    let slots = |text: &str| text::slots(text.as_bytes()).expect("slots");
    for (label, owner, version, expected) in [
        ("the next", B, 6, Ok(Outcome::Changed)),
        ("not the next", B, 7, Err(VERSION)),
        ("the same", B, 5, Err(VERSION)),
        ("zero", B, 0, Err(VERSION)),
        ("a replica", C, 6, Err(NO_PRIMARY)),
        ("unknown", "dddddddddddddddddddddddddddddddddddddddd", 6, Err(NO_NODE)),
    ] {
        let mut desired = Desired::default();
        push(&mut desired, two, 5, Force::No).expect("it is newer");
        let change = Change::Slots { slots: slots("3-4 20"), owner: id(owner), version };
        assert_eq!(desired.take(&change, &own()), expected, "{label}");
        if expected.is_ok() {
            let same = "<a> h 1 master - 0-2 5-9\n<b> h 2 master - 3-4 20\n<c> h 3 slave <a>";
            assert_eq!(push(&mut desired, same, 6, Force::No), Ok(Outcome::Same), "{label}");
        }
    }
}

#[test]
fn what_is_written_is_read_alike() {
    let mut desired = Desired::default();
    for text in ["", ONE, "<a> h 1 slave,fail <b>\n<b> h 2 master - 0-16383"] {
        if !text.is_empty() {
            let version = desired.version() + 1;
            push(&mut desired, text, version, Force::Yes).expect("it is newer");
        }
        assert_eq!(file::load(&file::text(&desired)).as_ref(), Ok(&desired));
    }
}
