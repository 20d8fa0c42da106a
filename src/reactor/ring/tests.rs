//! The ring with real sockets.

use std::io::Write;
use std::os::unix::net::UnixStream;

use super::*;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// Everything there is in one turn, with patience for the first of it.
fn turn(ring: &mut DataRing) -> Vec<Completion> {
    let mut done = Vec::new();
    ring.turn(PATIENCE, &mut done).expect("the ring works");
    done
}

#[test]
fn a_socket_without_buffers_is_read_once_however_often_it_is_paused() {
    let wake = Wake::new().expect("an eventfd can be had");
    let mut ring = DataRing::new(&wake).expect("a ring can be made");
    let (near, mut far) = UnixStream::pair().expect("two descriptors can be had");
    far.set_nonblocking(true).expect("it is a socket");
    let token = ring.add(near.into());
    // More than all buffers together, and no buffer comes back before all are filled.
    let bytes: Vec<u8> = (0..3 << 20).map(|at: u32| at.to_le_bytes()[(at % 3) as usize]).collect();
    let (mut written, mut received, mut held) = (0, Vec::new(), Vec::new());
    while received.len() < bytes.len() {
        match far.write(&bytes[written..]) {
            Ok(len) => written += len,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        let done = turn(&mut ring);
        if done.is_empty() {
            held.drain(..).for_each(|buffer| ring.buffers.recycle(buffer));
        }
        for completion in done {
            let Completion::Received(_, buffer, len) = completion else { continue };
            received.extend_from_slice(ring.buffers.bytes(&buffer, len));
            held.push(buffer);
        }
        ring.pause(token);
        ring.resume(token);
    }
    assert!(received == bytes, "bytes come in order");
    ring.close(token);
    while 0 < ring.sockets_open() {
        turn(&mut ring);
    }
    // Whatever else the kernel had of it has come when this has.
    wake.ring();
    while !turn(&mut ring).iter().any(|done| matches!(done, Completion::Woken)) {}
}

#[test]
fn what_came_in_is_seen_without_asking_the_kernel() {
    let wake = Wake::new().expect("an eventfd can be had");
    let mut ring = DataRing::new(&wake).expect("a ring can be made");
    let (near, mut far) = UnixStream::pair().expect("two descriptors can be had");
    ring.add(near.into());
    // Once before and once after something was received.
    for _ in 0..2 {
        ring.turn(None, &mut Vec::new()).expect("the ring works");
        assert!(!ring.has_work());
        far.write_all(b"PING\r\n").expect("it fits");
        assert!(ring.has_work());
        assert!(matches!(turn(&mut ring)[..], [Completion::Received(_, _, 6)]));
    }
}
