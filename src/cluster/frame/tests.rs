//! Frames of real servers, frames of ours, every cut, odd lengths.

use shards::base::random::Random;

use super::header::{Flags, Marks, Ports};
use super::*;
use crate::cluster::ids::{Epoch, ShardId};
use crate::cluster::slot_set::{SlotSet, all_slots};

const VALKEY: &[u8] = include_bytes!("../../../tests/data/bus/valkey-9.1.2.bin");
const REDIS: &[u8] = include_bytes!("../../../tests/data/bus/redis-7.0.15.bin");

fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = bytes.split_at(measure(bytes).expect("a frame begins here"));
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn encoded(packet: &Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}

fn id(letter: u8) -> NodeId {
    NodeId::parse(&[letter; 40]).expect("a letter")
}

fn header() -> Header {
    Header {
        sender: id(b'a'),
        primary: Some(id(b'b')),
        ip: Some([10, 0, 0, 1].into()),
        ports: Ports { client: 1, other: 2, bus: 3 },
        flags: Flags::REPLICA.with(Flags::EXTENSIONS),
        current_epoch: Epoch(7),
        config_epoch: Epoch(6),
        offset: 0x0102_0304_0506_0708,
        slots: all_slots().take(100).collect(),
        sees_fail: true,
        marks: Marks::PAUSED,
    }
}

/// One packet of each kind.
fn examples() -> Vec<Packet> {
    let entry = Entry {
        node: id(b'c'),
        ping_sent_s: 1,
        pong_received_s: 2,
        ip: None,
        ports: Ports::default(),
        flags: Flags::NOADDR,
    };
    let extensions = vec![
        Extension::Hostname("host-1.example".to_string()),
        Extension::Nodename("n".to_string()),
        Extension::Forgotten(id(b'd'), 59),
        Extension::Shard(ShardId::parse(&[b's'; 40]).expect("letters")),
        Extension::ClientIpv4("1.2.3.4".to_string()),
        Extension::ClientIpv6("0:0::1".to_string()),
        Extension::ClientPort(5),
        Extension::ClientTlsPort(6),
        Extension::Zone("zone".to_string()),
        Extension::Unknown(77, vec![1; 16]),
    ];
    let heartbeat = Heartbeat { gossip: vec![entry, entry], extensions };
    let publish = Publish { channel: b"news".to_vec(), message: b"\0all well".to_vec() };
    let messages = [
        Message::Publish(publish.clone()),
        Message::PublishShard(publish),
        Message::Module(Module { module: 9, kind: 3, payload: b"xyz".to_vec() }),
    ];
    let update = Update { node: id(b'e'), config_epoch: Epoch(3), slots: SlotSet::all() };
    let bodies = [
        Body::Heartbeat(Beat::Ping, heartbeat.clone()),
        Body::Heartbeat(Beat::Pong, heartbeat),
        Body::Heartbeat(Beat::Meet, Heartbeat::default()),
        Body::Fail(id(b'f')),
        Body::AuthRequest,
        Body::AuthAck,
        Body::Update(update),
        Body::MfStart,
        Body::Unknown(11, vec![5]),
    ];
    let of_messages = messages.iter().cloned().map(Body::Message);
    let full = bodies.into_iter().chain(of_messages).map(|body| Frame { header: header(), body });
    let full = full.map(|frame| Packet::Full(Box::new(frame)));
    full.chain(messages.iter().cloned().map(Packet::Light)).collect()
}

#[test]
fn frames_of_real_servers_decode_and_encode_to_the_same_bytes() {
    for (server, recorded, count) in [("valkey", VALKEY, 18), ("redis", REDIS, 11)] {
        let frames = frames(recorded);
        assert_eq!(frames.len(), count, "{server}");
        for (index, frame) in frames.into_iter().enumerate() {
            let packet = Packet::decode(frame).expect("a real server sent it");
            assert!(packet.kind().is_some(), "{server} {index}");
            assert_eq!(encoded(&packet), frame, "{server} {index}: {packet:?}");
            let Packet::Full(frame) = packet else { continue };
            if let Body::Heartbeat(_, heartbeat) = frame.body {
                let of_later = |one: &Extension| matches!(one, Extension::Unknown(..));
                assert!(!heartbeat.extensions.iter().any(of_later), "{server} {index}");
            }
        }
    }
}

#[test]
fn a_message_is_as_long_as_its_frame() {
    for packet in examples() {
        let is_message = matches!(packet.kind(), Some(Kind::Publish | Kind::PublishShard));
        let len = is_message.then(|| encoded(&packet).len());
        assert_eq!(packet.message_len(), len, "{packet:?}");
    }
}

#[test]
fn every_kind_of_frame_was_recorded_but_those_of_modules() {
    let kinds = |recorded| {
        frames(recorded).into_iter().map(|frame| {
            Packet::decode(frame).expect("a real server sent it").kind().expect("it is known")
        })
    };
    let mut kinds: Vec<Kind> = kinds(VALKEY).chain(kinds(REDIS)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let expected = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Module);
    assert_eq!(kinds, expected.collect::<Vec<_>>());
}

#[test]
fn what_is_encoded_decodes_to_the_same() {
    for packet in examples() {
        let bytes = encoded(&packet);
        assert_eq!(measure(&bytes), Ok(bytes.len()));
        assert_eq!(Packet::decode(&bytes), Ok(packet));
    }
}

#[test]
fn a_frame_that_is_cut_or_too_long_is_none() {
    for packet in examples() {
        let whole = encoded(&packet);
        let lightest = if matches!(packet, Packet::Light(_)) { LIGHT_LEN } else { HEADER_LEN };
        for len in 0..=whole.len() + 9 {
            let mut bytes = whole.clone();
            bytes.resize(len, 0);
            if 8 <= len {
                let claimed = u32::try_from(len).expect("it is short").to_be_bytes();
                bytes[4..8].copy_from_slice(&claimed);
            }
            let expected = match len {
                len if len == whole.len() => Ok(packet.clone()),
                len if len < lightest => Err(Broken::NotAFrame),
                _ => Err(Broken::Odd),
            };
            let is_unknown = packet.kind().is_none() && HEADER_LEN <= len;
            let decoded = Packet::decode(&bytes);
            assert!(decoded == expected || is_unknown, "{packet:?} at {len}: {decoded:?}");
        }
        // The bytes end, but the length that is said does not.
        for len in 0..whole.len() {
            assert_eq!(Packet::decode(&whole[..len]), Err(Broken::NotAFrame), "at {len}");
        }
    }
}

#[test]
fn hostile_lengths_and_counts_are_refused_without_room_for_them() {
    let hostile: [(usize, &[u8], Broken); 8] = [
        (0, b"RCmc", Broken::NotAFrame),
        (4, &[0xff; 4], Broken::NotAFrame),
        (4, &[0; 4], Broken::NotAFrame),
        (8, &[0, 2], Broken::Odd),
        (14, &[0xff; 2], Broken::Odd),
        (2214, &[0xff; 2], Broken::Odd),
        (40, b"A", Broken::Odd),
        (2256 + 2 * 104, &[0xff; 4], Broken::Odd),
    ];
    for (at, bytes, expected) in hostile {
        let mut frame = encoded(&examples()[0]);
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(Packet::decode(&frame), Err(expected), "at {at}");
    }
    for (packet, at) in [(12, 16), (12, 20), (14, 24)] {
        let mut frame = encoded(&examples()[packet]);
        frame[at..at + 4].copy_from_slice(&[0xff; 4]);
        assert_eq!(Packet::decode(&frame), Err(Broken::Odd), "{packet} at {at}");
    }
    let mut light = encoded(&examples()[12]);
    light[13] = 0;
    assert_eq!(Packet::decode(&light), Err(Broken::Odd), "a PING has no light form");
}

#[test]
fn an_id_that_is_none_drops_all_gossip_of_its_frame() {
    let mut frame = encoded(&examples()[0]);
    frame[2256 + 104] = b' ';
    let Ok(Packet::Full(frame)) = Packet::decode(&frame) else { panic!("it is a frame") };
    let Body::Heartbeat(Beat::Ping, heartbeat) = frame.body else { panic!("it is a PING") };
    assert_eq!(heartbeat.gossip, []);
    assert_eq!(heartbeat.extensions.len(), 10);
}

#[test]
fn texts_that_would_tear_a_file_are_not_taken() {
    for (extension, taken) in [
        (Extension::Hostname("a.b-c".to_string()), true),
        (Extension::Hostname("a b".to_string()), false),
        (Extension::Hostname("a,b".to_string()), false),
        (Extension::Nodename("a:b/c".to_string()), true),
        (Extension::Nodename("a\nb".to_string()), false),
        (Extension::Zone("a=b".to_string()), false),
        (Extension::ClientIpv4("::1".to_string()), false),
        (Extension::ClientIpv6("::1 ".to_string()), false),
    ] {
        let mut bytes = Vec::new();
        extension.encode(&mut bytes);
        let decoded = Extension::decode(&mut Reader::new(&bytes)).expect("its length is right");
        assert_eq!(decoded == extension, taken, "{extension:?}: {decoded:?}");
        assert_eq!(matches!(decoded, Extension::Unknown(..)), !taken, "{extension:?}");
    }
}

#[test]
fn frames_with_any_bytes_changed_never_panic() {
    let mut random = Random::new(1);
    let examples: Vec<Vec<u8>> = examples().iter().map(encoded).collect();
    for _ in 0..20_000 {
        let which = usize::try_from(random.below(examples.len() as u64)).expect("it is small");
        let mut frame = examples[which].clone();
        for _ in 0..=random.below(4) {
            // Mostly where numbers are.
            let near = [16, 24, frame.len() as u64, frame.len() as u64];
            let limit = near[usize::try_from(random.below(4)).expect("it is small")];
            let at = usize::try_from(random.below(limit)).expect("it is small");
            frame[at.min(16)] ^= u8::try_from(random.below(256)).expect("a byte");
            frame[at] = u8::try_from(random.below(256)).expect("a byte");
        }
        if let Ok(packet) = Packet::decode(&frame) {
            let again = encoded(&packet);
            assert_eq!(Packet::decode(&again), Ok(packet), "what was taken is understood");
        }
    }
}
