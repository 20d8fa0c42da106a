//! What rows are made of: kinds of servers in their roles, and conditions.

use crate::servers::peer::Peer;

/// Servers by the letter that names them in a mix, and what they are called elsewhere.
const LETTERS: &[(char, &str)] =
    &[('k', "keylane-2"), ('1', "keylane"), ('v', "valkey"), ('r', "redis")];
/// A primary with one replica outside of a cluster; kinds follow behind a `:`.
const PAIR: &str = "pair";
/// The kinds of a pair that names none.
const PAIR_KINDS: &str = "kk";
/// Replicas of each primary where one of them is stopped.
const REPLICAS_IF_STOPPED: usize = 2;

/// How the servers belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nodes of a cluster.
    Cluster,
    /// A primary and its replica, of which both are known to the clients.
    Pair,
}

/// Servers in their first roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// As it was given.
    pub name: String,
    /// How they belong together.
    pub form: Form,
    /// How many of the servers are primaries at first; the others are their replicas in turn.
    pub primaries: usize,
    /// A letter and a server each.
    pub kinds: Vec<(char, Peer)>,
}

impl Mix {
    /// Reads a mix; `primaries` are half of it unless that is given. Servers whose names are one
    /// letter are used for that letter.
    pub fn parse(text: &str, primaries: Option<usize>, peers: &[Peer]) -> Result<Self, String> {
        let (form, letters) = match text.strip_prefix(PAIR) {
            Some("") => (Form::Pair, PAIR_KINDS),
            Some(rest) => (Form::Pair, rest.trim_start_matches(':')),
            None => (Form::Cluster, text),
        };
        let kinds = letters.chars().map(|letter| Ok((letter, kind(letter, peers)?)));
        let kinds: Vec<(char, Peer)> = kinds.collect::<Result<_, String>>()?;
        let primaries = match form {
            Form::Cluster => primaries.unwrap_or(kinds.len() / 2),
            Form::Pair => 1,
        };
        if form == Form::Pair && kinds.len() != 2 {
            return Err(format!("`{text}`: a pair has two servers"));
        }
        if primaries == 0 || kinds.len() < 2 * primaries {
            return Err(format!("`{text}`: each of {primaries} primaries needs a replica"));
        }
        Ok(Self { name: text.into(), form, primaries, kinds })
    }

    /// The same with as many replicas as the conditions ask for.
    pub fn for_conditions(mut self, conditions: &Conditions) -> Result<Self, String> {
        if !conditions.stopped {
            return Ok(self);
        }
        if self.form == Form::Pair {
            return Err("`stopped` needs two replicas, and a pair has one".into());
        }
        let replicas = self.kinds[self.primaries..2 * self.primaries].to_vec();
        let wanted = self.primaries * (1 + REPLICAS_IF_STOPPED);
        if self.kinds.len() < wanted {
            self.kinds.truncate(2 * self.primaries);
            self.kinds.extend(replicas);
        }
        Ok(self)
    }

    /// The place of the primary that the server at this place follows at first.
    pub fn primary_of(&self, place: usize) -> Option<usize> {
        (self.primaries <= place).then(|| place % self.primaries)
    }
}

fn kind(letter: char, peers: &[Peer]) -> Result<Peer, String> {
    if let Some(peer) = peers.iter().find(|peer| peer.name == letter.to_string()) {
        return Ok(peer.clone());
    }
    let usual = LETTERS.iter().find(|(usual, _)| *usual == letter);
    let (_, name) = usual.ok_or(format!("no kind of server is called `{letter}`; see --help"))?;
    Peer::parse(name)
}

/// What makes an end harder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// One of the primary's replicas is stopped.
    pub stopped: bool,
    /// Clients wait for keys and messages at each server.
    pub blocked: bool,
    /// There is much to save, and a snapshot is being written.
    pub save: bool,
}

impl Conditions {
    /// Reads conditions that hold together, joined by `+`; `plain` for none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut conditions = Self::default();
        for word in text.split('+') {
            match word {
                "plain" => {}
                "stopped" => conditions.stopped = true,
                "blocked" => conditions.blocked = true,
                "save" => conditions.save = true,
                _ => return Err(format!("--with knows no `{word}`; see --help")),
            }
        }
        Ok(conditions)
    }

    /// As it is given.
    pub fn text(&self) -> String {
        let all = [("stopped", self.stopped), ("blocked", self.blocked), ("save", self.save)];
        let words = all.iter().filter(|(_, holds)| *holds).map(|(word, _)| *word);
        let words: Vec<&str> = words.collect();
        if words.is_empty() { "plain".into() } else { words.join("+") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, primaries: Option<usize>) -> Result<Mix, String> {
        Mix::parse(text, primaries, &[Peer::parse("n=server --new").unwrap()])
    }

    #[test]
    fn reads_mixes() {
        for (text, primaries, expected) in [
            ("kkkkkk", None, (Form::Cluster, 3, 6)),
            ("v1r", Some(1), (Form::Cluster, 1, 3)),
            ("nnnn", None, (Form::Cluster, 2, 4)),
            ("pair", Some(3), (Form::Pair, 1, 2)),
            ("pair:1k", None, (Form::Pair, 1, 2)),
        ] {
            let mix = parse(text, primaries).unwrap();
            assert_eq!((mix.form, mix.primaries, mix.kinds.len()), expected, "{text}");
        }
        assert_eq!(parse("nk", None).unwrap().kinds[0].1.command, ["server", "--new"]);
    }

    #[test]
    fn refuses_what_is_no_mix() {
        for (text, complaint) in [
            ("kkx", "no kind of server is called `x`; see --help"),
            ("k", "`k`: each of 0 primaries needs a replica"),
            ("pair:k", "`pair:k`: a pair has two servers"),
        ] {
            assert_eq!(parse(text, None).err().as_deref(), Some(complaint));
        }
        assert!(parse("kkkkk", Some(3)).is_err());
    }

    #[test]
    fn replicas_follow_primaries_in_turn() {
        let mix = parse("kkkkkkkk", Some(3)).unwrap();
        let primaries: Vec<Option<usize>> = (0..8).map(|place| mix.primary_of(place)).collect();
        let expected = [None, None, None, Some(0), Some(1), Some(2), Some(0), Some(1)];
        assert_eq!(primaries, expected);
    }

    #[test]
    fn a_stopped_replica_is_one_of_two() {
        let stopped = Conditions::parse("stopped+save").unwrap();
        assert_eq!(stopped.text(), "stopped+save");
        for (text, primaries, expected) in
            [("kkkvvv", 3, "kkkvvvvvv"), ("kv1vvvv", 3, "kv1vvvvvv"), ("kvvv", 1, "kvvv")]
        {
            let mix = parse(text, Some(primaries)).unwrap().for_conditions(&stopped).unwrap();
            let letters: String = mix.kinds.iter().map(|(letter, _)| letter).collect();
            assert_eq!(letters, expected);
        }
        assert!(parse("pair", None).unwrap().for_conditions(&stopped).is_err());
        assert!(Conditions::parse("slow").is_err());
    }
}
