//! What is answered to `PSYNC` and `SYNC`: one table.
//!
//! A request and the facts become a case; each case meets one row. The offset that a replica asks
//! for is the number of the first byte that it wants, counted from 1, so it has one byte less.

mod table;

use shards::base::number::parse_i64;
use shards::resp::error::Error;

use crate::replication::history::Scalar;
use crate::replication::replid::ReplId;
use table::{Asked, Case, Name, Place, ROWS};

/// What a replica asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `SYNC`: everything, then the stream.
    Sync,
    /// `PSYNC replid offset`: the rest of a stream.
    Psync(Wanted),
    /// `PSYNC replid offset FAILOVER`: the same, of a node that becomes a primary by it.
    Failover(Wanted),
}

/// Which stream, and from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The stream.
    pub stream: Stream,
    /// The number of the first byte wanted, from 1 on; 0 and less are never there. `None`: it is no
    /// number, which counts only if nothing else refuses the request.
    pub offset: Option<i64>,
}

/// A stream as a replica names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `?`: it has none.
    None,
    /// This one.
    Named(ReplId),
    /// What can be the name of none.
    Nonsense,
}

/// What this node knows when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What this node is.
    pub standing: Standing,
    /// The name of its stream.
    pub stream: ReplId,
    /// What is kept of the stream.
    pub backlog: Backlog,
    /// Where the stream gets without another write: what all logs add up to. Of a node that follows
    /// a stock primary, the end of the backlog.
    pub reaches: Scalar,
    /// The stream of this node, or of the stock primary that it follows or followed, that went on
    /// as the present one.
    pub former: Option<Former>,
    /// The stream of another node, of whose history the present stream is the continuation.
    pub foreign: Option<Foreign>,
}

/// What a node is to those who ask for its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It loads its data set.
    Loading,
    /// A replica whose link is down, or gets a snapshot.
    Unlinked,
    /// A primary that hands over to a replica (`FAILOVER`).
    FailingOver,
    /// A primary.
    Primary,
    /// A replica with a stream: the bytes of its primary.
    Follows,
}

/// What is kept of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// Nothing.
    None,
    /// Nothing yet: the merge waits for the fence at which it begins.
    Beginning,
    /// All bytes behind `first`, up to `end`.
    Kept {
        /// The place in front of the first byte.
        first: Scalar,
        /// The place behind the last byte.
        end: Scalar,
    },
}

impl Backlog {
    /// What of it a replica may lack that is cut if more than so many bytes wait for it.
    pub fn within(self, bytes_max: u64) -> Self {
        match self {
            Self::Kept { first, end } => {
                Self::Kept { first: first.max(end.before(bytes_max)), end }
            }
            other => other,
        }
    }
}

/// A former name of the present stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// The name.
    pub id: ReplId,
    /// Up to here the streams are the same bytes.
    pub until: Scalar,
}

/// The stream of another relay, which merged the same logs in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its name.
    pub id: ReplId,
    /// The last fence at or before the cut: nowhere else are the streams known to be alike.
    pub fence: Scalar,
}

/// What to do about a request, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub answer: Answer,
    /// The row of the table.
    pub label: &'static str,
    /// Why, for the log.
    pub reason: &'static str,
}

/// What to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `+CONTINUE` with the name of the present stream, which goes on where the replica is.
    Continue,
    /// The request is decided anew when the stream has got further.
    Wait,
    /// A full sync.
    Full(Full),
    /// This node becomes a primary; then the request is decided anew, as [`Request::promoted`].
    Promote,
    /// An error; the replica tries again.
    Refuse(Refusal),
}

/// Why a sync is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The replica asked by `SYNC`: it knows only the form with a length, and acknowledges nothing.
    Sync,
    /// The replica has no stream.
    New,
    /// The replica has another stream.
    Unknown,
    /// What it wants of the stream is not there.
    Outside,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no data yet.
    Loading,
    /// What the node has is not known to be what its primary has.
    Unlinked,
    /// The stream is about to end.
    FailingOver,
    /// A primary cannot become one.
    IsPrimary,
    /// The stream that is to go on is not that of this node.
    OtherReplId,
    /// The offset is no number.
    NotInteger,
}

impl Request {
    /// What `PSYNC` is given: name, offset, and perhaps FAILOVER. As in Valkey, other words behind
    /// the offset are not looked at.
    ///
    /// # Errors
    /// If there are too few arguments.
    pub fn parse_psync(args: &[&[u8]]) -> Result<Self, Error> {
        let &[name, offset, ref more @ ..] = args else {
            return Err(Error::WrongArity("psync".into()));
        };
        let named = |name| ReplId::parse(name).map_or(Stream::Nonsense, Stream::Named);
        let stream = if name == b"?" { Stream::None } else { named(name) };
        let wanted = Wanted { stream, offset: parse_i64(offset) };
        let is_failover = more.first().is_some_and(|word| word.eq_ignore_ascii_case(b"failover"));
        Ok(if is_failover { Self::Failover(wanted) } else { Self::Psync(wanted) })
    }

    /// What is left to decide when this node has become a primary by it.
    pub fn promoted(self) -> Self {
        match self {
            Self::Failover(wanted) => Self::Psync(wanted),
            Self::Sync | Self::Psync(_) => self,
        }
    }

    /// The place up to which the replica has the stream that it names. `None`: it has nothing.
    pub fn has(&self) -> Option<Scalar> {
        match self {
            Self::Sync => None,
            Self::Psync(wanted) | Self::Failover(wanted) => wanted.has(),
        }
    }
}

impl Wanted {
    fn has(&self) -> Option<Scalar> {
        let first = u64::try_from(self.offset?).ok()?;
        first.checked_sub(1).map(Scalar)
    }
}

impl Full {
    /// Whether it counts as `sync_partial_err`: all that a replica with a name gets, as in Valkey.
    pub const fn is_partial_err(self) -> bool {
        matches!(self, Self::Unknown | Self::Outside)
    }
}

impl Refusal {
    /// The error that the replica gets, as Valkey words it.
    pub fn error(self) -> Error {
        match self {
            Self::Loading => Error::Loading,
            Self::Unlinked => {
                Error::Text("NOMASTERLINK Can't SYNC while not connected with my master")
            }
            Self::FailingOver => Error::Text("NOMASTERLINK Can't SYNC while failing over"),
            Self::IsPrimary => Error::Text("ERR PSYNC FAILOVER can't be sent to a master."),
            Self::OtherReplId => Error::Text("ERR PSYNC FAILOVER replid must match my replid."),
            Self::NotInteger => Error::NotInteger,
        }
    }
}

/// What to do about a request.
pub fn decide(request: &Request, facts: &Facts) -> Decision {
    let case = Case::of(request, facts);
    let row = ROWS.iter().find(|row| row.is_met_by(case));
    let row = row.expect("a test tries every case");
    Decision { answer: row.answer, label: row.label, reason: row.reason }
}

impl Case {
    fn of(request: &Request, facts: &Facts) -> Self {
        let standing = facts.standing;
        let (asked, wanted) = match request {
            Request::Sync => {
                let (asked, name) = (Asked::Sync, Name::None);
                return Self { standing, asked, name, place: Place::Outside };
            }
            Request::Psync(wanted) => (Asked::Psync, wanted),
            Request::Failover(wanted) => (Asked::Failover, wanted),
        };
        let (name, place) = locate(wanted, facts);
        Self { standing, asked, name, place }
    }
}

/// Whose stream a replica names, and where in it the replica is.
fn locate(wanted: &Wanted, facts: &Facts) -> (Name, Place) {
    let Facts { stream, backlog, reaches, former, foreign, .. } = *facts;
    // The stream and the other one are the same at these places only.
    let (name, alike) = match wanted.stream {
        Stream::None => (Name::None, None),
        Stream::Named(id) if id == stream => (Name::Ours, Some((Scalar(0), reaches))),
        Stream::Named(id) => match (former, foreign) {
            (Some(former), _) if id == former.id => (Name::Former, Some((Scalar(0), former.until))),
            (_, Some(foreign)) if id == foreign.id => {
                (Name::Foreign, Some((foreign.fence, foreign.fence)))
            }
            (_, _) => (Name::Unknown, None),
        },
        Stream::Nonsense => (Name::Unknown, None),
    };
    if wanted.offset.is_none() {
        return (name, Place::NoNumber);
    }
    let is_alike = |has: &Scalar| alike.is_some_and(|(from, to)| from <= *has && *has <= to);
    let place = match (wanted.has().filter(is_alike), backlog) {
        (None, _) | (Some(_), Backlog::None) => Place::Outside,
        (Some(_), Backlog::Beginning) => Place::Ahead,
        (Some(has), Backlog::Kept { first, .. }) if has < first => Place::Outside,
        (Some(has), Backlog::Kept { end, .. }) if has <= end => Place::Within,
        (Some(_), Backlog::Kept { .. }) => Place::Ahead,
    };
    (name, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: ReplId = ReplId::of_random([1; 20]);
    const FORMER: ReplId = ReplId::of_random([2; 20]);
    const FOREIGN: ReplId = ReplId::of_random([3; 20]);
    const FACTS: Facts = Facts {
        standing: Standing::Primary,
        stream: OURS,
        backlog: Backlog::Kept { first: Scalar(100), end: Scalar(200) },
        reaches: Scalar(250),
        former: Some(Former { id: FORMER, until: Scalar(150) }),
        foreign: Some(Foreign { id: FOREIGN, fence: Scalar(120) }),
    };

    #[test]
    fn a_replica_may_lack_no_more_than_may_wait_for_it() {
        for (bytes_max, lower) in [(u64::MAX, 100), (100, 100), (60, 140), (0, 200)] {
            let expected = Backlog::Kept { first: Scalar(lower), end: Scalar(200) };
            assert_eq!(FACTS.backlog.within(bytes_max), expected, "{bytes_max}");
        }
        assert_eq!(Backlog::Beginning.within(0), Backlog::Beginning);
    }

    fn check(facts: &Facts, request: &str, label: &str) {
        let words: Vec<String> = request
            .replace("OURS", &OURS.to_string())
            .replace("FORMER", &FORMER.to_string())
            .replace("FOREIGN", &FOREIGN.to_string())
            .replace("OTHER", &"f".repeat(40))
            .split(' ')
            .map(str::to_owned)
            .collect();
        let args: Vec<&[u8]> = words[1..].iter().map(String::as_bytes).collect();
        let request = match words[0].as_str() {
            "SYNC" => Request::Sync,
            _ => Request::parse_psync(&args).unwrap(),
        };
        assert_eq!(decide(&request, facts).label, label, "{words:?} {facts:?}");
    }

    #[test]
    fn a_node_with_a_stream_continues_what_it_has() {
        for (request, label) in [
            ("SYNC", "sync"),
            ("PSYNC ? -1", "new"),
            ("PSYNC ? 150", "new"),
            ("PSYNC OURS 100", "outside"),
            ("PSYNC OURS 101", "ours"),
            ("PSYNC OURS 201", "ours"),
            ("PSYNC OURS 202", "ahead"),
            ("PSYNC OURS 251", "ahead"),
            ("PSYNC OURS 252", "outside"),
            ("PSYNC OURS -1", "outside"),
            ("PSYNC OURS 0", "outside"),
            ("PSYNC OURS -9223372036854775808", "outside"),
            ("PSYNC OURS 9223372036854775807", "outside"),
            ("PSYNC FORMER 100", "outside"),
            ("PSYNC FORMER 101", "former"),
            ("PSYNC FORMER 151", "former"),
            ("PSYNC FORMER 152", "outside"),
            ("PSYNC FOREIGN 120", "outside"),
            ("PSYNC FOREIGN 121", "foreign"),
            ("PSYNC FOREIGN 122", "outside"),
            ("PSYNC OTHER 150", "unknown"),
            ("PSYNC x 150", "unknown"),
            ("PSYNC OURS x", "no number"),
            ("PSYNC ? 9223372036854775808", "no number"),
            ("PSYNC OURS 150 else", "ours"),
            ("PSYNC OURS 150 FAILOVER", "failover: a primary"),
            ("PSYNC OURS x FAILOVER", "failover: a primary"),
        ] {
            check(&FACTS, request, label);
            if !request.contains("FAILOVER") {
                check(&Facts { standing: Standing::Follows, ..FACTS }, request, label);
            }
        }
        let foreign = Some(Foreign { id: FOREIGN, fence: Scalar(99) });
        check(&Facts { foreign, ..FACTS }, "PSYNC FOREIGN 100", "outside");
    }

    #[test]
    fn a_stream_that_begins_is_waited_for_and_none_is_not() {
        for (request, beginning, none) in [
            ("SYNC", "sync", "sync"),
            ("PSYNC ? -1", "new", "new"),
            ("PSYNC OURS 251", "ahead", "outside"),
            ("PSYNC OURS 252", "outside", "outside"),
            ("PSYNC FORMER 151", "ahead", "outside"),
            ("PSYNC FOREIGN 121", "ahead", "outside"),
            ("PSYNC FOREIGN 122", "outside", "outside"),
            ("PSYNC OTHER 101", "unknown", "unknown"),
        ] {
            check(&Facts { backlog: Backlog::Beginning, ..FACTS }, request, beginning);
            check(&Facts { backlog: Backlog::None, ..FACTS }, request, none);
        }
    }

    #[test]
    fn a_node_without_a_stream_refuses() {
        for (standing, request, label) in [
            (Standing::Loading, "SYNC", "loading"),
            (Standing::Loading, "PSYNC OURS 150 FAILOVER", "loading"),
            (Standing::Unlinked, "SYNC", "unlinked"),
            (Standing::Unlinked, "PSYNC ? -1", "unlinked"),
            (Standing::Unlinked, "PSYNC ? x", "unlinked"),
            (Standing::Unlinked, "PSYNC OURS 150 FAILOVER", "failover: no data"),
            (Standing::Unlinked, "PSYNC OTHER 150 FAILOVER", "failover: another stream"),
            (Standing::FailingOver, "PSYNC OURS 150", "failing over"),
            (Standing::FailingOver, "PSYNC OURS 150 FAILOVER", "failover: a primary"),
            (Standing::Follows, "PSYNC OURS 150 failover", "failover"),
            (Standing::Follows, "PSYNC OURS x Failover", "failover"),
            (Standing::Follows, "PSYNC FORMER 150 FAILOVER", "failover: another stream"),
        ] {
            check(&Facts { standing, ..FACTS }, request, label);
        }
    }

    #[test]
    fn a_promoted_node_decides_the_same_request_anew() {
        let wanted = Wanted { stream: Stream::Named(OURS), offset: Some(151) };
        let request = Request::Failover(wanted);
        let facts = Facts { standing: Standing::Follows, ..FACTS };
        assert_eq!(decide(&request, &facts).answer, Answer::Promote);
        assert_eq!(decide(&request.promoted(), &FACTS).answer, Answer::Continue);
        assert_eq!(request.has(), Some(Scalar(150)));
    }

    #[test]
    fn errors_are_worded_as_in_valkey() {
        for args in [&[][..], &[&b"?"[..]]] {
            let error = Request::parse_psync(args).unwrap_err();
            assert_eq!(error, Error::WrongArity("psync".into()));
        }
        let text = |refusal: Refusal| {
            let mut out = Vec::new();
            refusal.error().write(&mut out);
            String::from_utf8(out).unwrap()
        };
        for (refusal, expected) in [
            (Refusal::Loading, "-LOADING Valkey is loading the dataset in memory\r\n"),
            (Refusal::Unlinked, "-NOMASTERLINK Can't SYNC while not connected with my master\r\n"),
            (Refusal::FailingOver, "-NOMASTERLINK Can't SYNC while failing over\r\n"),
            (Refusal::IsPrimary, "-ERR PSYNC FAILOVER can't be sent to a master.\r\n"),
            (Refusal::OtherReplId, "-ERR PSYNC FAILOVER replid must match my replid.\r\n"),
            (Refusal::NotInteger, "-ERR value is not an integer or out of range\r\n"),
        ] {
            assert_eq!(text(refusal), expected);
        }
    }
}
