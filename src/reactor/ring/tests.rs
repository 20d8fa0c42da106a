//! The ring with real sockets.

mod leaving;

use std::io::{Read, Write};
#[expect(clippy::disallowed_types, reason = "these are the other side")]
use std::net::{Shutdown, TcpListener, TcpStream};
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

fn new() -> (Wake, DataRing) {
    let wake = Wake::new().expect("an eventfd can be had");
    let ring = DataRing::new(&wake).expect("a ring can be made");
    (wake, ring)
}

/// Both ends of a connection over TCP.
#[expect(clippy::disallowed_types, reason = "one of them is the other side")]
fn tcp() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let far = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (listener.accept().expect("it is connected").0.into(), far)
}

/// What came of a socket's input.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    bytes: Vec<u8>,
    hang_ups: usize,
    /// The end of the input; an error is its kind.
    end: Option<Result<(), io::ErrorKind>>,
}

impl Seen {
    fn ended(bytes: &[u8], hang_ups: usize) -> Self {
        Self { bytes: bytes.to_vec(), hang_ups, end: Some(Ok(())) }
    }

    fn add(&mut self, ring: &mut DataRing, completion: Completion) {
        assert_eq!(self.end, None, "the end comes last: {completion:?}");
        match completion {
            Completion::Received(_, buffer, len) => {
                self.bytes.extend_from_slice(ring.buffers().bytes(&buffer, len));
                ring.buffers().recycle(buffer);
            }
            Completion::HungUp(_) => self.hang_ups += 1,
            Completion::InputEnded(_) => self.end = Some(Ok(())),
            Completion::Failed(_, error) => self.end = Some(Err(error.kind())),
            other => panic!("{other:?}"),
        }
    }

    /// Takes in what happens until `is_enough`.
    fn until(&mut self, ring: &mut DataRing, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            turn(ring).into_iter().for_each(|completion| self.add(ring, completion));
        }
    }
}

/// Nothing more comes than what rings at once.
fn is_silent(wake: &Wake, ring: &mut DataRing) {
    wake.ring();
    loop {
        match turn(ring).as_slice() {
            [] => {}
            [Completion::Woken] => return,
            more => panic!("{more:?}"),
        }
    }
}

/// Sends what fits, which nothing is waited for.
fn send(ring: &mut DataRing, token: Token, bytes: &[u8]) {
    ring.send(token, bytes.to_vec());
    let mut done = Vec::new();
    ring.turn(None, &mut done).expect("the ring works");
    assert!(matches!(done[..], [Completion::Sent(..)]), "{done:?}");
}

/// Waits until sockets that were closed or finished are gone: none of them has anything to tell.
fn release_all(ring: &mut DataRing) {
    let mut done = Vec::new();
    while 0 < ring.sockets_open() {
        ring.turn(None, &mut done).expect("the ring works");
        assert!(done.is_empty(), "{done:?}");
        ring.look_after();
    }
}

#[test]
fn what_was_sent_before_the_end_comes_before_the_end() {
    let (wake, mut ring) = new();
    let (near, mut far) = tcp();
    let token = ring.add(near);
    far.write_all(b"SET").expect("it fits");
    drop(far);
    let mut seen = Seen::default();
    seen.until(&mut ring, |seen| seen.end.is_some());
    assert_eq!(seen, Seen::ended(b"SET", 0));
    is_silent(&wake, &mut ring);
    // Not even if it is paused and resumed: that it is over was said.
    ring.pause(token);
    is_silent(&wake, &mut ring);
    ring.resume(token);
    is_silent(&wake, &mut ring);
}

#[test]
fn a_peer_that_has_said_all_can_be_answered() {
    let (wake, mut ring) = new();
    let (near, mut far) = tcp();
    let token = ring.add(near);
    far.write_all(b"GET").expect("it fits");
    far.shutdown(Shutdown::Write).expect("it is connected");
    let mut seen = Seen::default();
    seen.until(&mut ring, |seen| seen.end.is_some());
    assert_eq!(seen, Seen::ended(b"GET", 0));
    send(&mut ring, token, b"value");
    is_silent(&wake, &mut ring);
    ring.finish(token);
    let mut reply = Vec::new();
    far.read_to_end(&mut reply).expect("it comes in order");
    assert_eq!(reply, b"value");
    release_all(&mut ring);
}

#[test]
fn a_reset_is_no_orderly_end() {
    let (wake, mut ring) = new();
    let (near, mut far) = tcp();
    let token = ring.add(near);
    far.write_all(b"SET").expect("it fits");
    let mut seen = Seen::default();
    seen.until(&mut ring, |seen| seen.bytes == b"SET");
    // It goes without having read this.
    send(&mut ring, token, b"value");
    drop(far);
    seen.until(&mut ring, |seen| seen.end.is_some());
    assert_eq!(seen.end, Some(Err(io::ErrorKind::ConnectionReset)));
    is_silent(&wake, &mut ring);
}

#[test]
fn a_paused_socket_tells_once_that_its_peer_has_hung_up() {
    for half in [false, true] {
        let (wake, mut ring) = new();
        let (near, mut far) = tcp();
        let token = ring.add(near);
        is_silent(&wake, &mut ring);
        ring.pause(token);
        is_silent(&wake, &mut ring);
        far.write_all(b"unread").expect("it fits");
        is_silent(&wake, &mut ring);
        let kept = if half {
            far.shutdown(Shutdown::Write).expect("it is connected");
            Some(far)
        } else {
            drop(far);
            None
        };
        let mut seen = Seen::default();
        seen.until(&mut ring, |seen| 0 < seen.hang_ups);
        assert_eq!(seen, Seen { hang_ups: 1, ..Seen::default() }, "nothing is read");
        is_silent(&wake, &mut ring);
        // Some of it is received between the two, or nothing.
        ring.resume(token);
        ring.pause(token);
        seen.until(&mut ring, |seen| seen.bytes == b"unread" || seen.bytes.is_empty());
        ring.resume(token);
        seen.until(&mut ring, |seen| seen.end.is_some());
        assert_eq!(seen, Seen::ended(b"unread", 1));
        drop(kept);
    }
}

#[test]
fn a_paused_socket_tells_that_its_peer_is_gone() {
    let (wake, mut ring) = new();
    // A reset, and the end of a unix socket's peer, have no half.
    let (near, mut far) = tcp();
    sockets::send_now(&near, b"what it does not read");
    far.write_all(b"unread").expect("it fits");
    let token = ring.add(near);
    ring.pause(token);
    let mut seen = Seen::default();
    drop(far);
    seen.until(&mut ring, |seen| 0 < seen.hang_ups);
    ring.close(token);
    let (near, mut far) = UnixStream::pair().expect("two descriptors can be had");
    far.write_all(b"unread").expect("it fits");
    let token = ring.add(near.into());
    ring.pause(token);
    drop(far);
    let mut seen = Seen::default();
    seen.until(&mut ring, |seen| 0 < seen.hang_ups);
    is_silent(&wake, &mut ring);
}

#[test]
fn a_socket_that_is_watched_can_be_closed_and_finished() {
    let (wake, mut ring) = new();
    for finish in [false, true] {
        for _ in 0..10 {
            let (near, mut far) = tcp();
            let token = ring.add(near);
            ring.pause(token);
            is_silent(&wake, &mut ring);
            if finish {
                ring.finish(token);
            } else {
                ring.close(token);
            }
            assert_eq!(far.read(&mut [0]).unwrap_or(0), 0);
            drop(far);
            // Its place is taken by another, which hears nothing of it.
            release_all(&mut ring);
        }
    }
    assert!(ring.sockets.len() == 1, "one place was enough");
}

#[test]
#[expect(clippy::disallowed_types, reason = "these are the other side")]
fn a_listener_takes_all_connections_until_it_is_closed() {
    let (wake, mut ring) = new();
    let listen = || sockets::listen_tcp(([127, 0, 0, 1], 0).into(), 511).expect("there is a port");
    let listeners = [listen(), listen()];
    let addresses = listeners.each_ref().map(|socket| sockets::local(socket).expect("it is bound"));
    let numbers = listeners.map(|socket| ring.accept(socket).expect("there are descriptors"));
    is_silent(&wake, &mut ring);
    // More than are accepted in one go, then one by one.
    for connections in [200, 1, 1] {
        let far: Vec<_> = (0..connections)
            .map(|number| TcpStream::connect(addresses[number % 2]).expect("it is listened on"))
            .collect();
        let mut accepted = [0, 0];
        while accepted.iter().sum::<usize>() < connections {
            for completion in turn(&mut ring) {
                let Completion::Accepted(number, fd) = completion else { panic!("{completion:?}") };
                let at = numbers.iter().position(|&known| known == number).expect("it is known");
                assert_eq!(sockets::local(&fd), Some(addresses[at]));
                accepted[at] += 1;
            }
        }
        assert_eq!(accepted, [connections - connections / 2, connections / 2]);
        drop(far);
        is_silent(&wake, &mut ring);
    }
    ring.stop_accepting();
    // Whatever the kernel still has to do for the ring.
    for address in addresses {
        let refused = TcpStream::connect(address).expect_err("the listener is closed");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
    numbers.into_iter().for_each(|number| ring.accept_again(number));
    is_silent(&wake, &mut ring);
}

#[test]
fn a_ring_that_is_dropped_lets_go_of_everything_while_its_thread_goes_on() {
    // More of them than one thread may register at a time.
    for _ in 0..20 {
        let (wake, mut ring) = new();
        let mut all: Vec<_> =
            (0..4).map(|_| tcp()).map(|(near, far)| (ring.add(near), far)).collect();
        is_silent(&wake, &mut ring);
        ring.pause(all[1].0);
        // More than it takes, and one that is tried for the first time.
        ring.send(all[2].0, vec![b'x'; 64 << 20]);
        is_silent(&wake, &mut ring);
        ring.finish(all[3].0);
        ring.send(all[0].0, b"bye".to_vec());
        wake.ring();
        drop(ring);
        for (place, (_, far)) in all.iter_mut().enumerate() {
            // What the kernel still has of a ring it does later; here all is done by now, but for
            // what a peer has no room for.
            far.set_nonblocking(place != 2).expect("it is open");
            far.set_read_timeout(PATIENCE).expect("it is not zero");
            let mut received = Vec::new();
            far.read_to_end(&mut received).expect("it ends in order");
        }
    }
}

#[test]
fn many_that_send_and_go_are_all_heard() {
    let (_wake, mut ring) = new();
    let mut seen: Vec<(Token, Seen)> = Vec::new();
    for round in 0..500_u32 {
        let (near, mut far) = tcp();
        let token = ring.add(near);
        assert_eq!(token.index as usize, seen.len());
        seen.push((token, Seen::default()));
        if round % 2 == 0 {
            ring.pause(token);
        }
        far.write_all(&round.to_le_bytes()).expect("it fits");
        if round % 3 == 0 {
            far.shutdown(Shutdown::Write).expect("it is connected");
        }
    }
    let mut all = |ring: &mut DataRing, is_enough: &dyn Fn(&Seen) -> bool| {
        while !seen.iter().all(|(_, seen)| is_enough(seen)) {
            for completion in turn(ring) {
                let (Completion::Received(token, ..)
                | Completion::HungUp(token)
                | Completion::InputEnded(token)
                | Completion::Failed(token, _)) = completion
                else {
                    panic!("{completion:?}")
                };
                seen[token.index as usize].1.add(ring, completion);
            }
        }
        seen.iter().map(|(token, _)| *token).collect::<Vec<Token>>()
    };
    let tokens = all(&mut ring, &|seen| seen.hang_ups == 1 || seen.end.is_some());
    tokens.iter().for_each(|&token| ring.resume(token));
    all(&mut ring, &|seen| seen.end == Some(Ok(())) && seen.bytes.len() == 4);
    tokens.iter().for_each(|&token| ring.close(token));
    release_all(&mut ring);
}

#[test]
fn a_socket_without_buffers_is_read_once_however_often_it_is_paused() {
    let (wake, mut ring) = new();
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
            held.drain(..).for_each(|buffer| ring.buffers().recycle(buffer));
        }
        for completion in done {
            let Completion::Received(_, buffer, len) = completion else { continue };
            received.extend_from_slice(ring.buffers().bytes(&buffer, len));
            held.push(buffer);
        }
        ring.pause(token);
        ring.resume(token);
    }
    assert!(received == bytes, "bytes come in order");
    ring.close(token);
    release_all(&mut ring);
    // Whatever else the kernel had of it has come when this has.
    is_silent(&wake, &mut ring);
}

#[test]
fn what_came_in_is_seen_without_asking_the_kernel() {
    let (_wake, mut ring) = new();
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
    let (_wake, mut ring) = new();
    let listener = sockets::listen_tcp(([127, 0, 0, 1], 0).into(), 1).expect("there is a port");
    let address = sockets::local(&listener).expect("it is bound");
    ring.accept(listener).expect("there are descriptors");
    #[expect(clippy::disallowed_types, reason = "this is the other side")]
    let mut far = TcpStream::connect(address).expect("it is listened on");
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
                Completion::Received(_, buffer, _) => ring.buffers().recycle(buffer),
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
        // The peer sends as long as the socket takes it.
        let _ = far.write(&[b'y'; 4096]);
        match far.read(&mut chunk) {
            Ok(0) => ended = true,
            Ok(len) => received.extend_from_slice(&chunk[..len]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{finished}"),
        }
    }
    assert!(received == bytes);
    drop(far);
    release_all(&mut ring);
}

#[test]
fn a_ring_wakes_itself_once_for_all_that_was_asked_meanwhile() {
    let (_wake, mut ring) = new();
    for _ in 0..2 {
        let delays = [1, 10_000, 0].map(Duration::from_millis);
        delays.into_iter().for_each(|delay| ring.wake_in(delay));
        assert!(matches!(turn(&mut ring)[..], [Completion::Woken]));
        let mut done = Vec::new();
        ring.turn(None, &mut done).expect("the ring works");
        assert!(done.is_empty(), "{done:?}");
    }
}
