//! Frames in pieces, frames of strangers, and room that is given back.

use shards::base::random::Random;

use super::*;
use crate::cluster::frame::bodies::Publish;
use crate::cluster::frame::{Body, Frame, Message};
use crate::cluster::machine::bench::{Bench, id};

/// A frame of `a`.
fn full(body: Body) -> Packet {
    let bench = Bench::started("m primary 3 0-99, a primary 4 100-199", Default::default());
    Packet::Full(Box::new(Frame { header: bench.header('a'), body }))
}

fn publish(bytes: usize) -> Message {
    Message::Publish(Publish { channel: b"c".to_vec(), message: vec![7; bytes] })
}

fn encoded(packets: &[Packet]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packets.iter().for_each(|packet| packet.encode(&mut bytes));
    bytes
}

/// What comes of these pieces.
fn taken(input: &mut Input, pieces: &[&[u8]], knows: bool) -> Vec<Came> {
    let mut came = Vec::new();
    pieces.iter().for_each(|piece| input.take(piece, |_| knows, &mut came));
    came
}

fn packets(came: Vec<Came>) -> Vec<Packet> {
    let packet = |came| match came {
        Came::Packet(packet, length) => {
            assert_eq!(length, encoded(std::slice::from_ref(&packet)).len());
            packet
        }
        Came::Broken(broken) => panic!("{broken:?}"),
    };
    came.into_iter().map(packet).collect()
}

#[test]
fn frames_may_be_cut_at_any_byte() {
    let sent = [full(Body::AuthRequest), Packet::Light(publish(9)), full(Body::Fail(id('b')))];
    let bytes = encoded(&sent);
    for cut in 0..=bytes.len() {
        let (one, other) = bytes.split_at(cut);
        let mut input = Input::new(Source::Known);
        assert_eq!(packets(taken(&mut input, &[one, other], false)), sent, "cut at {cut}");
    }
    let mut input = Input::new(Source::Stranger);
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(packets(taken(&mut input, &pieces, false)), sent, "byte by byte");
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let (mut pieces, mut rest) = (Vec::new(), bytes.as_slice());
        while !rest.is_empty() {
            let len = usize::try_from(random.below(1500)).expect("it is small").min(rest.len());
            let (piece, behind) = rest.split_at(len);
            pieces.push(piece);
            rest = behind;
        }
        let mut input = Input::new(Source::Known);
        assert_eq!(packets(taken(&mut input, &pieces, false)), sent, "seed {seed}");
    }
}

#[test]
fn nothing_is_read_behind_bytes_that_are_no_frame() {
    let good = encoded(&[full(Body::AuthAck)]);
    let mut odd = good.clone();
    odd[9] = 2;
    let bytes = [&good[..], &odd, &good, b"no frame at all", &good].concat();
    let mut input = Input::new(Source::Known);
    let came = taken(&mut input, &[&bytes[..5000], &bytes[5000..]], false);
    let is_right = matches!(
        came[..],
        [
            Came::Packet(..),
            Came::Broken(Broken::Odd),
            Came::Packet(..),
            Came::Broken(Broken::NotAFrame)
        ]
    );
    assert!(is_right && input.is_broken(), "{came:?}");
    assert!(taken(&mut input, &[&good], true).iter().all(|came| matches!(came, Came::Broken(_))));
}

#[test]
fn only_known_nodes_send_long_frames() {
    let hello = encoded(&[full(Body::AuthAck)]);
    let message = encoded(&[full(Body::Message(publish(1 << 20)))]);
    let light = encoded(&[Packet::Light(publish(1 << 20))]);
    for (label, first, long, knows, taken_in) in [
        ("a stranger", &hello, &message, false, false),
        ("a stranger's light one", &hello, &light, false, false),
        ("a known node", &hello, &message, true, true),
        ("a known node's light one", &hello, &light, true, true),
    ] {
        let mut input = Input::new(Source::Stranger);
        // The beginning of the frame decides: a stranger makes this node keep nothing.
        let came = taken(&mut input, &[&[&first[..], &long[..100]].concat()], knows);
        assert_eq!(came.len(), if taken_in { 1 } else { 2 }, "{label}");
        assert_eq!(input.is_broken(), !taken_in, "{label}");
        if taken_in {
            assert_eq!(packets(taken(&mut input, &[&long[100..]], knows)).len(), 1, "{label}");
        }
    }
}

#[test]
fn a_node_that_has_become_known_sends_long_frames_at_once() {
    let hello = encoded(&[full(Body::AuthAck)]);
    let light = encoded(&[Packet::Light(publish(1 << 20))]);
    let mut input = Input::new(Source::Stranger);
    assert_eq!(packets(taken(&mut input, &[&hello], false)).len(), 1);
    assert_eq!(packets(taken(&mut input, &[&light], true)), [Packet::Light(publish(1 << 20))]);
    let mut input = Input::new(Source::Stranger);
    taken(&mut input, &[&light], true);
    assert!(input.is_broken(), "it has not said which node it is");
}

#[test]
fn a_long_frame_leaves_no_long_buffer() {
    let bytes = encoded(&[full(Body::Message(publish(4 << 20))), full(Body::AuthAck)]);
    let mut input = Input::new(Source::Known);
    // A part of the next frame is there already.
    let came =
        taken(&mut input, &bytes[..bytes.len() - 9].chunks(60_000).collect::<Vec<_>>(), true);
    assert_eq!(packets(came).len(), 1);
    assert!(input.bytes.capacity() <= KEPT_BYTES, "{}", input.bytes.capacity());
    let mut output = Output::default();
    output.put(&bytes);
    while 9 < output.len() {
        output.sent(output.first().len().min(50_000).min(output.len() - 9));
    }
    assert!(output.allocated() <= KEPT_BYTES, "{}", output.allocated());
    assert_eq!(output.first(), &bytes[bytes.len() - 9..]);
}
