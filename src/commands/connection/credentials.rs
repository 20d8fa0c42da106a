//! Who may do what: for now there is one user, `default`, whose password is `requirepass`.

use shards::resp::error::Error;

use crate::config::table::Config;

/// Accepts a user's password.
///
/// # Errors
/// `WRONGPASS`, whether there is no such user or the password is another.
pub(super) fn check(config: &Config, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let right = config.requirepass.is_empty() || same(password, &config.requirepass);
    if user == b"default" && right { Ok(()) } else { Err(Error::WrongPass) }
}

/// Whether both are the same. How long it takes says nothing about where they differ, so no client
/// can guess a password byte by byte; it does tell the length of what was given.
fn same(given: &[u8], password: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != password.len());
    for (at, byte) in given.iter().enumerate() {
        difference |= byte ^ password[at % password.len()];
    }
    // Otherwise the compiler may stop at the first difference.
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_the_whole_password() {
        let check = |given: &str| same(given.as_bytes(), b"aab");
        assert!(check("aab"));
        for wrong in ["", "a", "aa", "aaa", "baa", "aabaab", "aaba", "AAB"] {
            assert!(!check(wrong), "{wrong}");
        }
    }
}
