//! Events, bytes and cuts by chance: no order of them panics or breaks what must always hold.

use shards::base::random::Random;

use super::rig::{GREETED, ID, MARK, OTHER_ID, Rig};

const EVENTS: [&str; 17] = [
    "same",
    "other",
    "failover",
    "plainly",
    "unfollow",
    "connect-failed",
    "garbage",
    "closed",
    "full",
    "room",
    "staging-failed",
    "applied",
    "tick",
    "late",
    "staged",
    "moved",
    "brought",
];

/// What must hold of all that was asked for: each socket is shut once, before the next connects;
/// nothing is sent without one; each snapshot that begins is dropped or becomes the data.
#[derive(Debug, Default)]
struct Holds {
    socket: Option<u64>,
    staging: bool,
    committing: bool,
    connects: u32,
    commits: u32,
}

impl Holds {
    fn note(&mut self, word: &str) {
        let is_open = self.socket.is_some();
        let number = |word: &str| {
            let digits: String = word.chars().skip_while(|c| !c.is_ascii_digit()).collect();
            digits.split(':').next().and_then(|digits| digits.parse::<u64>().ok())
        };
        match word {
            word if word.starts_with("connect") => {
                assert!(!is_open && !self.staging && !self.committing, "{word} {self:?}");
                self.socket = number(word);
                self.connects += 1;
            }
            word if word.starts_with("shut") => {
                assert_eq!(self.socket.take(), number(word), "{word}");
            }
            word if word.starts_with("send") || word == "hold" || word == "read" => {
                assert!(is_open, "{word} {self:?}");
            }
            word if word.starts_with("stage") || word.starts_with("open") => {
                assert!(is_open && !self.staging, "{word} {self:?}");
                self.staging = true;
            }
            word if word.starts_with("drop") => {
                assert!(self.staging && !self.committing, "{word} {self:?}");
                self.staging = false;
            }
            word if word.starts_with("commit") => {
                assert!(self.staging && !self.committing, "{word} {self:?}");
                (self.staging, self.committing) = (false, true);
                self.commits += 1;
            }
            _ => {}
        }
    }
}

/// What a primary may say.
fn replies() -> [String; 13] {
    [
        GREETED.to_string(),
        format!("+CONTINUE {ID}\r\n"),
        format!("+CONTINUE {OTHER_ID}\r\n"),
        format!("+FULLRESYNC {OTHER_ID} 500\r\n"),
        format!("+SNAPSHOT {OTHER_ID} 2\r\n"),
        "-ERR no\r\n".to_string(),
        "$5\r\n".to_string(),
        format!("$EOF:{MARK}\r\n"),
        MARK.to_string(),
        "*1\r\n$4\r\nPING\r\n".to_string(),
        "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n".to_string(),
        "*1\r\n$5\r\nMULTI\r\n*1\r\n$3\r\nSET\r\n*1\r\n$4\r\nEXEC\r\n".to_string(),
        "\n".to_string(),
    ]
}

#[test]
fn no_order_of_events_breaks_what_must_hold() {
    let (mut connects, mut commits) = (0, 0);
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut below =
            |bound: usize| usize::try_from(random.below(bound as u64)).expect("it is small");
        let replies = replies();
        let mut rig = Rig::new();
        let mut holds = Holds::default();
        for step in 0..400 {
            match (rig.status(), below(10)) {
                ("idle", 0..=6) => rig.happen("same"),
                ("connecting", 0..=7) => rig.happen("connected"),
                ("waiting", 0..=5) => rig.happen("late"),
                ("committing", 0..=3) => rig.happen("committed"),
                ("receiving", 0..=1) => rig.happen(["staged", "moved", "brought"][below(3)]),
                (_, 9) => rig.happen(EVENTS[below(EVENTS.len())]),
                (_, 8) => rig.tick_after(below(3_000) as u64),
                (status, 7) if status != "connecting" => {
                    let junk: Vec<u8> = (0..below(20)).map(|_| b"*$\r\n19+x"[below(8)]).collect();
                    rig.bytes(junk);
                }
                (status, kind) => {
                    // Mostly what a primary would say.
                    let which = match (status, kind) {
                        (_, 6) => below(replies.len()),
                        ("greeting", _) => 0,
                        ("asking", _) => 1 + below(5),
                        ("receiving", _) => 6 + below(3),
                        (_, _) => 9 + below(4),
                    };
                    let reply = replies[which].as_bytes();
                    let cut = below(reply.len() + 1);
                    rig.bytes(&reply[..cut]);
                    rig.bytes(&reply[cut..]);
                }
            }
            // A commit ends by itself; what follows from that is asked for in the same step.
            holds.committing &= rig.status() == "committing";
            for word in std::mem::take(&mut rig.words) {
                holds.note(&word);
            }
            assert_eq!(holds.committing, rig.status() == "committing", "seed {seed} step {step}");
            let deadline = rig.link.deadline();
            rig.happen("tick");
            assert!(
                rig.link.deadline().is_none_or(|after| rig.now < after),
                "seed {seed} step {step}: {deadline:?} would be waited for without end"
            );
            for word in std::mem::take(&mut rig.words) {
                holds.note(&word);
            }
        }
        let status = rig.status();
        rig.happen("unfollow");
        assert!(status == "committing" || rig.status() == "idle", "seed {seed}: {status}");
        connects += holds.connects;
        commits += holds.commits;
    }
    assert!(4_000 < connects && 400 < commits, "{connects} connects, {commits} commits");
}
