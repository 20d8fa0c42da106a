//! The list of all commands as this process knows them: the engine's, the client's and the
//! server's, under the names in force.

use hashbrown::HashMap;
use shards::commands::spec::{Begin, Command, Flag, KeySpec, Spec};

use crate::pubsub::kind::Kind;
use crate::routing::admission::Guards;

/// A command that can be called.
#[derive(Debug)]
pub struct Call {
    /// A small dense number: where its counters are.
    pub id: usize,
    /// What the world may know.
    pub spec: &'static Spec,
    /// How it runs.
    pub run: Run,
    /// Its keys, seen from afar.
    pub keys: KeyShape,
    /// The reasons to look closer at it that concern it.
    pub guards: Guards,
    /// Subcommands, if it is a container: then `run` answers for a name that is none of them.
    pub subcommands: Vec<Call>,
}

/// Where and how a command runs.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// On the shards that own its keys.
    Engine(&'static Command),
    /// At home, on the client's own state.
    Client,
    /// On the control thread.
    Control,
    /// One of the commands that are made of coordination.
    Transaction(Step),
    /// One of the commands about channels, at home.
    PubSub(PubSubStep),
    /// A container without a valid subcommand.
    Container,
}

/// The commands that are made of coordination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// MULTI
    Multi,
    /// EXEC
    Exec,
    /// DISCARD
    Discard,
    /// WATCH
    Watch,
    /// UNWATCH
    Unwatch,
    /// RESET
    Reset,
    /// QUIT
    Quit,
}

/// The commands about channels, changed keys and commands of others: what other shards must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PubSubStep {
    /// SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE
    Subscribe(Kind),
    /// UNSUBSCRIBE, PUNSUBSCRIBE, SUNSUBSCRIBE
    Unsubscribe(Kind),
    /// PUBLISH, SPUBLISH
    Publish(Kind),
    /// CLIENT TRACKING
    Track,
    /// MONITOR
    Monitor,
}

/// What routing needs to know of a command's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyShape {
    /// None.
    None,
    /// One, the argument at this place.
    One(usize),
    /// As its key specifications say.
    Several,
}

/// All commands under the names in force.
#[derive(Debug)]
pub struct Table {
    /// Every command; containers hold their subcommands.
    pub calls: Vec<Call>,
    /// How many numbers are given out.
    pub ids: usize,
    by_name: HashMap<Vec<u8>, usize>,
}

/// A command before it has a number.
#[derive(Debug)]
pub struct Listed {
    /// What the world may know.
    pub spec: &'static Spec,
    /// How it runs.
    pub run: Run,
    /// Subcommands.
    pub subcommands: Vec<Listed>,
}

/// The longest command name that is looked up; longer ones are unknown.
const NAME_BYTES_MAX: usize = 48;

impl Table {
    /// A table of these commands, with `renames` (old name, new name; an empty new name takes the
    /// command away) applied.
    ///
    /// # Errors
    /// Says which rename names no command, or a name that is taken.
    pub fn new(listed: Vec<Listed>, renames: &[(String, String)]) -> Result<Self, String> {
        let mut ids = 0;
        let calls: Vec<Call> =
            listed.into_iter().map(|command| number(command, &mut ids)).collect();
        let name_of = |call: &Call| call.spec.name.as_bytes().to_vec();
        let mut by_name: HashMap<_, _> =
            calls.iter().enumerate().map(|(at, call)| (name_of(call), at)).collect();
        for (from, to) in renames {
            let at = by_name.remove(from.to_ascii_lowercase().as_bytes());
            let at = at.ok_or_else(|| "No such command in rename-command".to_owned())?;
            let to = to.to_ascii_lowercase().into_bytes();
            if !to.is_empty() && by_name.insert(to, at).is_some() {
                return Err("Target command name already exists".to_owned());
            }
        }
        Ok(Self { calls, ids, by_name })
    }

    /// The commands that have a name, in the order in which they were listed.
    pub fn callable(&self) -> impl Iterator<Item = &Call> {
        let mut places: Vec<usize> = self.by_name.values().copied().collect();
        places.sort_unstable();
        places.into_iter().map(|at| &self.calls[at])
    }

    /// How many commands have a name.
    #[expect(clippy::len_without_is_empty, reason = "there always are commands")]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The command, or subcommand, that a request calls.
    #[inline]
    pub fn find(&self, args: &[&[u8]]) -> Option<&Call> {
        let call = self.command(args.first()?)?;
        if call.subcommands.is_empty() || args.len() < 2 {
            return Some(call);
        }
        Some(call.subcommand(args[1]).unwrap_or(call))
    }

    /// The command of this name, in any case of letters.
    #[inline]
    pub fn command(&self, name: &[u8]) -> Option<&Call> {
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = lower.get_mut(..name.len())?;
        for (to, from) in lower.iter_mut().zip(name) {
            *to = from.to_ascii_lowercase();
        }
        self.by_name.get(&*lower).map(|&at| &self.calls[at])
    }
}

impl Call {
    /// The subcommand of this name, in any case of letters.
    pub fn subcommand(&self, name: &[u8]) -> Option<&Self> {
        let own = |call: &&Self| call.short_name().as_bytes().eq_ignore_ascii_case(name);
        self.subcommands.iter().find(own)
    }

    /// Whether a request with these arguments is well formed.
    #[inline]
    pub fn accepts(&self, args: &[&[u8]]) -> bool {
        self.spec.arity.accepts(args.len())
    }

    /// Whether it is refused when memory is short.
    #[inline]
    pub fn denies_oom(&self) -> bool {
        self.spec.flags.has(Flag::DenyOom)
    }

    /// Whether it is queued between MULTI and EXEC. The others act at once, or refuse.
    pub fn is_queued(&self) -> bool {
        match self.run {
            Run::Transaction(step) => step == Step::Unwatch,
            Run::Engine(_) | Run::Client | Run::Control | Run::PubSub(_) | Run::Container => true,
        }
    }

    /// Whether what it answers has a few bytes, whatever its keys hold.
    pub fn answers_shortly(&self, args: &[&[u8]]) -> bool {
        let tells = |key: &KeySpec| key.flags.contains(&"ACCESS");
        match self.spec.name {
            // It tells what was there if it is asked to.
            "set" => !args.iter().skip(3).any(|arg| arg.eq_ignore_ascii_case(b"get")),
            "incr" | "incrby" | "incrbyfloat" | "decr" | "decrby" => true,
            "hincrby" | "hincrbyfloat" | "zincrby" | "zadd" | "setbit" => true,
            _ => !self.spec.keys.iter().any(tells),
        }
    }

    /// Whether it removes all keys of all databases.
    pub fn empties_all(&self) -> bool {
        self.spec.name == "flushall"
    }

    /// Whether it answers how many replicas have what its client wrote: in an EXEC control counts
    /// them, for nothing may wait there.
    pub fn counts_replicas(&self) -> bool {
        matches!(self.spec.name, "wait" | "waitaof")
    }

    /// Its name without that of its container.
    pub fn short_name(&self) -> &'static str {
        self.spec.name.rsplit('|').next().expect("a split gives at least one part")
    }
}

fn number(listed: Listed, ids: &mut usize) -> Call {
    let id = *ids;
    *ids += 1;
    let Listed { spec, run, subcommands } = listed;
    let subcommands = subcommands.into_iter().map(|sub| number(sub, ids)).collect();
    Call { id, spec, run, keys: shape(spec), guards: Guards::of_command(spec), subcommands }
}

fn shape(spec: &'static Spec) -> KeyShape {
    match spec.keys {
        [] => KeyShape::None,
        [KeySpec { begin: Begin::Index(at), .. }] if !spec.may_have_several_keys() => {
            KeyShape::One(*at)
        }
        _ => KeyShape::Several,
    }
}
