//! CLIENT TRACKING's options: what a client asks for, and whether that goes with what it has.

use std::collections::BTreeSet;
use std::rc::Rc;

use shards::base::number::parse_i64;
use shards::resp::error::Error;

/// What a client asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// To be told of stale copies at all.
    pub on: bool,
    /// The client that is told in its place.
    pub redirect: Option<i64>,
    /// Of all keys, or those with these prefixes, read or not.
    pub broadcast: bool,
    /// See `broadcast`.
    pub prefixes: Vec<Vec<u8>>,
    /// Only of keys read after CLIENT CACHING YES.
    pub opt_in: bool,
    /// But not of keys read after CLIENT CACHING NO.
    pub opt_out: bool,
    /// But not of what it changes itself.
    pub no_loop: bool,
}

/// Of which keys a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Those it read.
    Read,
    /// Those it read after CLIENT CACHING YES.
    OptIn,
    /// Those it read, but not after CLIENT CACHING NO.
    OptOut,
    /// All with one of these prefixes.
    Broadcast(BTreeSet<Rc<[u8]>>),
}

const PREFIX_ALONE: Error = Error::Text("ERR PREFIX option requires BCAST mode to be enabled");
const TWO_REDIRECTS: Error = Error::Text("ERR A client can only redirect to a single other client");
const SWITCHES_BROADCAST: Error = Error::Text(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
     re-enabling it with a different mode.",
);
const OPT_WITH_BROADCAST: Error = Error::Text("ERR OPTIN and OPTOUT are not compatible with BCAST");
const OPT_IN_AND_OUT: Error = Error::Text("ERR You can't specify both OPTIN mode and OPTOUT mode");
const SWITCHES_OPT: Error = Error::Text(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
     re-enabling it with a different mode.",
);

/// Reads `ON | OFF` and options.
///
/// # Errors
/// What is no option.
pub fn parse(words: &[&[u8]]) -> Result<Wish, Error> {
    let mut wish = Wish::default();
    let [status, options @ ..] = words else { return Err(Error::Syntax) };
    let mut options = options;
    loop {
        options = match options {
            [] => break,
            [option, id, rest @ ..] if option.eq_ignore_ascii_case(b"REDIRECT") => {
                if wish.redirect.is_some() {
                    return Err(TWO_REDIRECTS);
                }
                wish.redirect = Some(parse_i64(id).ok_or(Error::NotInteger)?);
                rest
            }
            [option, prefix, rest @ ..] if option.eq_ignore_ascii_case(b"PREFIX") => {
                wish.prefixes.push(prefix.to_vec());
                rest
            }
            [option, rest @ ..] => {
                let wanted = match option.to_ascii_lowercase().as_slice() {
                    b"bcast" => &mut wish.broadcast,
                    b"optin" => &mut wish.opt_in,
                    b"optout" => &mut wish.opt_out,
                    b"noloop" => &mut wish.no_loop,
                    _ => return Err(Error::Syntax),
                };
                *wanted = true;
                rest
            }
        };
    }
    wish.on = match status.to_ascii_lowercase().as_slice() {
        b"on" => true,
        b"off" => false,
        _ => return Err(Error::Syntax),
    };
    Ok(wish)
}

impl Mode {
    /// Bytes of its prefixes: the text, its two counters, and the place in the tree.
    pub fn prefix_bytes(&self) -> usize {
        const EACH: usize = 2 * size_of::<usize>() + 2 * size_of::<Rc<[u8]>>();
        match self {
            Self::Broadcast(prefixes) => prefixes.iter().map(|prefix| prefix.len() + EACH).sum(),
            Self::Read | Self::OptIn | Self::OptOut => 0,
        }
    }
}

impl Wish {
    /// The mode that is wished for by a client that has `current`, if it is told of anything.
    ///
    /// # Errors
    /// What does not go together.
    pub fn mode(&self, current: Option<&Mode>) -> Result<Mode, Error> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return Err(PREFIX_ALONE);
        }
        let was_broadcast = current.map(|mode| matches!(mode, Mode::Broadcast(_)));
        if was_broadcast.is_some_and(|was| was != self.broadcast) {
            return Err(SWITCHES_BROADCAST);
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return Err(OPT_WITH_BROADCAST);
        }
        if self.opt_in && self.opt_out {
            return Err(OPT_IN_AND_OUT);
        }
        match (self.opt_in, self.opt_out, current) {
            (true, _, Some(Mode::OptOut)) | (_, true, Some(Mode::OptIn)) => Err(SWITCHES_OPT),
            (true, ..) => Ok(Mode::OptIn),
            (_, true, _) => Ok(Mode::OptOut),
            (false, false, _) if !self.broadcast => Ok(Mode::Read),
            (false, false, Some(Mode::Broadcast(prefixes))) => {
                self.with_prefixes(prefixes.clone()).map(Mode::Broadcast)
            }
            (false, false, _) => self.with_prefixes(BTreeSet::new()).map(Mode::Broadcast),
        }
    }

    fn with_prefixes(&self, mut current: BTreeSet<Rc<[u8]>>) -> Result<BTreeSet<Rc<[u8]>>, Error> {
        let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
        for (at, prefix) in self.prefixes.iter().enumerate() {
            if let Some(other) = current.iter().find(|other| overlap(prefix, other)) {
                return Err(overlaps(prefix, "an existing", other));
            }
            if let Some(other) = self.prefixes[at + 1..].iter().find(|o| overlap(prefix, o)) {
                return Err(overlaps(prefix, "another provided", other));
            }
        }
        if self.prefixes.is_empty() {
            current.insert(Rc::default());
        }
        current.extend(self.prefixes.iter().map(|prefix| Rc::from(prefix.as_slice())));
        Ok(current)
    }
}

fn overlaps(prefix: &[u8], which: &str, other: &[u8]) -> Error {
    let (prefix, other) = (String::from_utf8_lossy(prefix), String::from_utf8_lossy(other));
    Error::Owned(format!(
        "ERR Prefix '{prefix}' overlaps with {which} prefix '{other}'. Prefixes for a single \
         client must not overlap."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(line: &str, current: Option<&Mode>) -> Result<Mode, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let text = |error: Error| {
            let mut out = Vec::new();
            error.write(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        parse(&words).and_then(|wish| wish.mode(current)).map_err(text)
    }

    fn broadcast(prefixes: &[&str]) -> Mode {
        Mode::Broadcast(prefixes.iter().map(|prefix| Rc::from(prefix.as_bytes())).collect())
    }

    #[test]
    fn a_mode_follows_from_the_options_and_the_mode_before() {
        assert_eq!(mode("on", None), Ok(Mode::Read));
        assert_eq!(mode("ON noloop OPTIN", Some(&Mode::Read)), Ok(Mode::OptIn));
        assert_eq!(mode("ON OPTOUT", None), Ok(Mode::OptOut));
        assert_eq!(mode("ON", Some(&Mode::OptOut)), Ok(Mode::Read));
        assert_eq!(mode("ON BCAST", None), Ok(broadcast(&[""])));
        let two = broadcast(&["a", "b"]);
        assert_eq!(mode("ON PREFIX a BCAST PREFIX b", None).as_ref(), Ok(&two));
        let three = broadcast(&["a", "b", "c"]);
        assert_eq!(mode("ON BCAST PREFIX c", Some(&two)), Ok(three));
        assert_eq!(mode("ON BCAST", Some(&two)), Ok(broadcast(&["", "a", "b"])));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let refused = |line: &str, current: Option<&Mode>, start: &str| {
            let error = mode(line, current).expect_err("it does not go together");
            assert!(error.starts_with(start), "{line}: {error}");
        };
        refused("ON PREFIX a", None, "-ERR PREFIX option requires");
        refused("ON BCAST", Some(&Mode::Read), "-ERR You can't switch BCAST");
        refused("ON", Some(&broadcast(&[])), "-ERR You can't switch BCAST");
        refused("ON BCAST OPTIN OPTOUT", None, "-ERR OPTIN and OPTOUT are not");
        refused("ON OPTIN OPTOUT", None, "-ERR You can't specify both");
        refused("ON OPTIN", Some(&Mode::OptOut), "-ERR You can't switch OPTIN");
        refused(
            "ON BCAST PREFIX ab",
            Some(&broadcast(&["a"])),
            "-ERR Prefix 'ab' overlaps with an",
        );
        refused("ON BCAST PREFIX b PREFIX b", None, "-ERR Prefix 'b' overlaps with another");
        refused("ON REDIRECT 1 REDIRECT 2", None, "-ERR A client can only");
        refused("ON REDIRECT x", None, "-ERR value is not an integer");
        refused("MAYBE", None, "-ERR syntax error");
        refused("ON PREFIX", None, "-ERR syntax error");
    }
}
