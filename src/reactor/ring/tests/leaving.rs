//! Sockets that leave the ring.

use shards::base::random::Random;

use super::*;

/// The near end behind the ring: its descriptor, read and written without waiting.
#[expect(clippy::disallowed_types, reason = "the next owner is not the ring")]
fn owned(fd: OwnedFd) -> TcpStream {
    let near = TcpStream::from(fd);
    near.set_read_timeout(PATIENCE).expect("it is not zero");
    near
}

/// Takes turns until a socket is handed over. All that is told before goes to `told`.
fn handed_over(
    ring: &mut DataRing,
    token: Token,
    told: &mut Vec<Completion>,
) -> (OwnedFd, Vec<u8>) {
    loop {
        for completion in turn(ring) {
            match completion {
                Completion::HandedOver(of, fd, unread) if of == token => return (fd, unread),
                other => told.push(other),
            }
        }
    }
}

/// Hands over a socket of which nothing else is told.
fn hand_over(ring: &mut DataRing, token: Token) -> (OwnedFd, Vec<u8>) {
    let mut told = Vec::new();
    ring.hand_over(token);
    let handed = handed_over(ring, token, &mut told);
    assert!(told.is_empty(), "{told:?}");
    handed
}

/// Both ends of a connection hear each other.
#[expect(clippy::disallowed_types, reason = "these are both ends")]
fn both_hear(near: &mut TcpStream, far: &mut TcpStream) {
    near.write_all(b"to you").expect("it fits");
    far.write_all(b"to me").expect("it fits");
    let (mut from_near, mut from_far) = ([0; 6], [0; 5]);
    far.read_exact(&mut from_near).expect("it comes");
    near.read_exact(&mut from_far).expect("it comes");
    assert_eq!((&from_near, &from_far), (b"to you", b"to me"));
}

#[test]
fn nothing_is_lost_of_what_comes_in_while_a_socket_leaves() {
    let (wake, mut ring) = new();
    for seen_before in [false, true] {
        let (near, mut far) = tcp();
        let token = ring.add(near);
        if seen_before {
            far.write_all(b"PSYNC").expect("it fits");
            let mut seen = Seen::default();
            seen.until(&mut ring, |seen| seen.bytes == b"PSYNC");
        }
        far.write_all(b"first").expect("it fits");
        ring.hand_over(token);
        // What is asked twice happens once.
        ring.hand_over(token);
        far.write_all(b"second").expect("it fits");
        let (fd, mut unread) = handed_over(&mut ring, token, &mut Vec::new());
        far.write_all(b"third").expect("it fits");
        let mut near = owned(fd);
        while unread.len() < b"firstsecondthird".len() {
            let mut more = [0; 16];
            let len = near.read(&mut more).expect("it comes");
            unread.extend_from_slice(&more[..len]);
        }
        assert_eq!(unread, b"firstsecondthird");
        both_hear(&mut near, &mut far);
        assert_eq!(ring.sockets_open(), 0);
        is_silent(&wake, &mut ring);
    }
}

#[test]
fn a_socket_leaves_behind_what_it_was_sending() {
    let (wake, mut ring) = new();
    for len in [10, 32 << 20] {
        let (near, mut far) = tcp();
        let token = ring.add(near);
        ring.send(token, vec![b'x'; len]);
        ring.hand_over(token);
        let mut told = Vec::new();
        if 10 < len {
            is_silent(&wake, &mut ring);
        }
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut all = Vec::new();
                far.read_to_end(&mut all).expect("it ends in order");
                all
            });
            let (fd, unread) = handed_over(&mut ring, token, &mut told);
            assert!(matches!(&told[..], [Completion::Sent(_, sent)] if sent.len() == len));
            assert!(unread.is_empty());
            owned(fd).write_all(b"tail").expect("it fits");
            let all = reader.join().expect("it read all");
            assert_eq!((all.len(), &all[len..]), (len + 4, &b"tail"[..]));
        });
    }
}

#[test]
fn the_next_owner_hears_that_the_peer_has_gone() {
    let (wake, mut ring) = new();
    for told_before in [false, true] {
        let (near, mut far) = tcp();
        let token = ring.add(near);
        far.write_all(b"bye").expect("it fits");
        drop(far);
        let mut all = Vec::new();
        if told_before {
            let mut seen = Seen::default();
            seen.until(&mut ring, |seen| seen.end.is_some());
            all = seen.bytes;
        }
        let (fd, unread) = hand_over(&mut ring, token);
        all.extend(unread);
        owned(fd).read_to_end(&mut all).expect("it ends in order");
        assert_eq!(all, b"bye");
        is_silent(&wake, &mut ring);
    }
    // A send that fails leaves a hole, so nothing can be sent behind it.
    let (near, mut far) = tcp();
    let token = ring.add(near);
    ring.send(token, vec![b'x'; 32 << 20]);
    is_silent(&wake, &mut ring);
    ring.hand_over(token);
    far.read_exact(&mut [0; 100]).expect("it comes");
    drop(far);
    let mut told = Vec::new();
    let (fd, _) = handed_over(&mut ring, token, &mut told);
    assert!(matches!(told[..], [Completion::SendFailed(_)]), "{told:?}");
    let failed = owned(fd).write_all(b"more").expect_err("it is shut");
    assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_paused_socket_leaves_with_its_bytes_unread() {
    let (wake, mut ring) = new();
    for (writes_before, resumed) in [(false, false), (true, false), (true, true)] {
        let (near, mut far) = tcp();
        let token = ring.add(near);
        is_silent(&wake, &mut ring);
        ring.pause(token);
        is_silent(&wake, &mut ring);
        if writes_before {
            far.write_all(b"unread").expect("it fits");
        }
        let (fd, mut all) = if resumed {
            ring.hand_over(token);
            ring.resume(token);
            handed_over(&mut ring, token, &mut Vec::new())
        } else {
            hand_over(&mut ring, token)
        };
        let mut near = owned(fd);
        both_hear_behind(
            &mut near,
            &mut far,
            if writes_before { b"unread" } else { b"" },
            &mut all,
        );
    }
    // One of which the kernel has no request leaves without any news, and without waiting.
    let (near, far) = tcp();
    let token = ring.add(near);
    is_silent(&wake, &mut ring);
    ring.pause(token);
    is_silent(&wake, &mut ring);
    far.shutdown(Shutdown::Write).expect("it is connected");
    let mut seen = Seen::default();
    seen.until(&mut ring, |seen| 0 < seen.hang_ups);
    is_silent(&wake, &mut ring);
    ring.hand_over(token);
    assert!(ring.has_work());
    assert!(matches!(turn(&mut ring)[..], [Completion::HandedOver(..)]));
}

/// Reads what is still unread, then hears what both say.
#[expect(clippy::disallowed_types, reason = "these are both ends")]
fn both_hear_behind(near: &mut TcpStream, far: &mut TcpStream, sent: &[u8], all: &mut Vec<u8>) {
    let mut rest = vec![0; sent.len() - all.len()];
    near.read_exact(&mut rest).expect("it comes");
    all.extend(rest);
    assert_eq!(all, sent);
    both_hear(near, far);
}

#[test]
fn a_socket_that_is_closed_is_not_handed_over() {
    let (wake, mut ring) = new();
    for finish in [false, true] {
        for hand_over_first in [false, true] {
            let (near, mut far) = tcp();
            let token = ring.add(near);
            is_silent(&wake, &mut ring);
            let end = |ring: &mut DataRing| {
                if finish { ring.finish(token) } else { ring.close(token) }
            };
            if hand_over_first {
                ring.hand_over(token);
                end(&mut ring);
            } else {
                end(&mut ring);
                ring.hand_over(token);
            }
            assert_eq!(far.read(&mut [0]).expect("it ends in order"), 0);
            drop(far);
            release_all(&mut ring);
        }
    }
    assert!(ring.sockets.len() == 1, "one place was enough");
    // Nor does a ring that is dropped hand over.
    let (near, mut far) = tcp();
    let token = ring.add(near);
    ring.send(token, vec![b'x'; 32 << 20]);
    is_silent(&wake, &mut ring);
    ring.hand_over(token);
    drop(ring);
    far.read_to_end(&mut Vec::new()).expect("it ends in order");
}

/// One connection of the random test, with what each end has sent and the other has got.
#[expect(clippy::disallowed_types, reason = "one of them is the other side")]
struct Pair {
    token: Token,
    far: TcpStream,
    near: Option<TcpStream>,
    leaves: bool,
    sends: bool,
    written: [u64; 2],
    got: [Vec<u8>; 2],
}

/// The bytes of one direction from this place on.
fn counted(from: u64, len: u64) -> Vec<u8> {
    (from..from + len).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

impl Pair {
    fn step(&mut self, ring: &mut DataRing, random: &mut Random) {
        match random.below(8) {
            0..3 => self.write_far(random.below(20_000)),
            3 if !self.leaves && !self.sends => {
                let len = 1 + random.below(300_000);
                ring.send(self.token, counted(self.written[1], len));
                (self.written[1], self.sends) = (self.written[1] + len, true);
            }
            4 => ring.pause(self.token),
            5 => ring.resume(self.token),
            6 if random.below(4) == 0 => {
                ring.hand_over(self.token);
                self.leaves = true;
            }
            _ => self.read_far(),
        }
    }

    fn write_far(&mut self, len: u64) {
        if let Ok(len) = self.far.write(&counted(self.written[0], len)) {
            self.written[0] += len as u64;
        }
    }

    fn read_far(&mut self) {
        let mut chunk = [0; 100_000];
        if let Ok(len) = self.far.read(&mut chunk) {
            self.got[1].extend_from_slice(&chunk[..len]);
        }
    }

    fn happens(&mut self, ring: &DataRing, completion: Completion) {
        match completion {
            Completion::Received(_, buffer, len) => {
                self.got[0].extend_from_slice(ring.buffers().bytes(&buffer, len));
                ring.buffers().recycle(buffer);
            }
            Completion::Sent(..) => self.sends = false,
            Completion::HandedOver(_, fd, unread) => {
                assert!(self.leaves && !self.sends, "it was asked to, and has sent all");
                self.got[0].extend(unread);
                self.near = Some(owned(fd));
            }
            other => panic!("{other:?}"),
        }
    }

    /// All that is left is written and read, by both.
    fn end(mut self) {
        let mut near = self.near.take().expect("it has left");
        near.write_all(&counted(self.written[1], 10)).expect("it fits");
        drop(self.far.set_nonblocking(false));
        self.far.shutdown(Shutdown::Write).expect("it is connected");
        near.read_to_end(&mut self.got[0]).expect("it ends in order");
        drop(near);
        self.far.read_to_end(&mut self.got[1]).expect("it ends in order");
        assert!(self.got[0] == counted(0, self.written[0]), "all came in, in order");
        assert!(self.got[1] == counted(0, self.written[1] + 10), "all went out, in order");
    }
}

#[test]
fn random_sockets_leave_with_all_their_bytes() {
    let seed = std::env::var("SEED").map_or(0, |seed| seed.parse().expect("a number"));
    for seed in seed..seed + 30 {
        eprintln!("SEED={seed}");
        let mut random = Random::new(seed);
        let (wake, mut ring) = new();
        let mut pairs: Vec<Pair> = (0..4)
            .map(|_| {
                let (near, far) = tcp();
                far.set_nonblocking(true).expect("it is a socket");
                let token = ring.add(near);
                let (written, got) = Default::default();
                Pair { token, far, near: None, leaves: false, sends: false, written, got }
            })
            .collect();
        while pairs.iter().any(|pair| pair.near.is_none()) {
            for pair in pairs.iter_mut().filter(|pair| pair.near.is_none()) {
                pair.step(&mut ring, &mut random);
            }
            if random.below(3) != 0 {
                let mut done = Vec::new();
                ring.turn(None, &mut done).expect("the ring works");
                for completion in done {
                    let (Completion::Received(token, ..)
                    | Completion::Sent(token, _)
                    | Completion::HandedOver(token, ..)) = completion
                    else {
                        // A paused socket's peer never hangs up here.
                        panic!("{completion:?}")
                    };
                    let pair = pairs.iter_mut().find(|pair| pair.token == token);
                    pair.expect("it is one of them").happens(&ring, completion);
                }
            }
        }
        pairs.into_iter().for_each(Pair::end);
        assert_eq!(ring.sockets_open(), 0);
        is_silent(&wake, &mut ring);
    }
}
