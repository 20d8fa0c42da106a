//! The ring with real sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::*;
use crate::reactor::sockets;

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

#[test]
fn a_peer_gets_everything_before_its_socket_is_closed() {
    let wake = Wake::new().expect("an eventfd can be had");
    let mut ring = DataRing::new(&wake).expect("a ring can be made");
    let listener = sockets::listen_tcp(([127, 0, 0, 1], 0).into(), 1).expect("there is a port");
    let address = sockets::local(&listener).expect("it is bound");
    ring.accept(listener.as_raw_fd());
    #[expect(clippy::disallowed_types, reason = "this is the other side")]
    let mut far = std::net::TcpStream::connect(address).expect("it is listened on");
    let near = loop {
        let accepted = turn(&mut ring).into_iter().find_map(|done| match done {
            Completion::Accepted(_, fd) => Some(fd),
            _ => None,
        });
        if let Some(fd) = accepted {
            break fd;
        }
    };
    let token = ring.add(near);
    // More than its buffer takes; and there is always something from it that was not read.
    let bytes = vec![b'x'; 1 << 20];
    far.set_nonblocking(true).expect("it is a socket");
    ring.send(token, bytes.clone());
    let (mut received, mut chunk) = (Vec::new(), [0; 4096]);
    let (mut finished, mut ended) = (false, false);
    while !ended {
        let mut done = Vec::new();
        ring.turn(None, &mut done).expect("the ring works");
        for completion in done {
            match completion {
                Completion::Received(_, buffer, _) => ring.buffers.recycle(buffer),
                Completion::Sent(..) => {
                    ring.finish(token);
                    finished = true;
                }
                _ => {}
            }
        }
        if finished {
            let left = ring.look_after();
            assert!(left.sockets <= 1 && (left.sockets == 1 || left.bytes == 0));
        }
        // It sends as long as somebody takes it.
        let _ = far.write(&[b'y'; 4096]);
        match far.read(&mut chunk) {
            Ok(0) => ended = true,
            Ok(len) => received.extend_from_slice(&chunk[..len]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{finished}"),
        }
    }
    assert!(received == bytes);
    drop(far);
    while 0 < ring.sockets_open() {
        turn(&mut ring);
        ring.look_after();
    }
}
