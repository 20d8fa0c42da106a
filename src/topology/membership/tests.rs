//! Each case of a peer.

use super::*;
use crate::topology::desired::{Change, Force, Own, UNSET};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "cccccccccccccccccccccccccccccccccccccccc";
const D: &str = "dddddddddddddddddddddddddddddddddddddddd";

#[test]
fn a_peer_is_judged_by_what_it_tells_and_what_is_known() {
    use Verdict::{Member, Stranger, Tolerated};
    let id = |text: &str| NodeId::parse(text.as_bytes()).expect("an id");
    let text = format!("{A} h 1 master - 0-9\n{B} h 2 slave {A}\n{C} h 3 slave {B}");
    let mut desired = Desired::of(Some(id(A)), UNSET, Vec::new());
    let peer = |told: Option<(&str, i64)>, port| Peer {
        told: told.map(|(text, version)| (id(text), version)),
        host: "h".to_owned(),
        port,
    };
    assert_eq!(judge(&desired, &peer(Some((D, 9)), 9)), Member, "there is nothing to judge by");
    let change = Change::Nodes { text: text.into_bytes(), version: 5, force: Force::No };
    desired.take(&change, &Own::default()).expect("it is newer");
    for (label, told, port, expected) in [
        ("mine", Some((B, 5)), 2, Member),
        ("mine, elsewhere", Some((B, 5)), 9, Member),
        ("mine, behind", Some((B, 1)), 2, Member),
        ("mine, ahead", Some((B, 9)), 2, Member),
        ("a replica's", Some((C, 5)), 3, Stranger),
        ("no member, with an older topology", Some((D, 4)), 4, Stranger),
        ("no member, with the same topology", Some((D, 5)), 4, Stranger),
        ("no member, without a topology", Some((D, -1)), 4, Stranger),
        ("no member, with a newer topology", Some((D, 6)), 4, Tolerated),
        ("no member, at a member's address", Some((D, 5)), 2, Stranger),
        ("untold, at the address of mine", None, 2, Member),
        ("untold, at the address of another's", None, 3, Tolerated),
        ("untold, elsewhere", None, 9, Tolerated),
    ] {
        assert_eq!(judge(&desired, &peer(told, port)), expected, "{label}");
    }
}
