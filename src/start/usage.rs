//! What `--help` and `--version` answer.

use crate::process::{VALKEY_VERSION, VERSION};

/// The answer, if the arguments after the program's name ask for one instead of a server.
pub fn answer(program: &str, args: &[Vec<u8>]) -> Option<String> {
    match args.first()?.as_slice() {
        b"-v" | b"--version" => Some(version()),
        b"-h" | b"--help" => Some(help(program)),
        _ => None,
    }
}

/// Tools read Valkey's version behind `v=` to know what the server can do.
fn version() -> String {
    let bits = usize::BITS;
    format!("Keylane server v={VALKEY_VERSION} keylane={VERSION} malloc=jemalloc bits={bits}")
}

fn help(program: &str) -> String {
    format!(
        "Usage: {program} [/path/to/keylane.conf] [options] [-]\n\
         \x20      {program} - (read the configuration from standard input)\n\
         \x20      {program} -v or --version\n\
         \x20      {program} -h or --help\n\
         \x20      {program} --check-system\n\
         \x20      {program} check FILE (look through a snapshot)\n\
         \n\
         Options are settings of the configuration file and come after it.\n\
         \n\
         Examples:\n\
         \x20      {program} (every setting at its default)\n\
         \x20      echo 'maxmemory 128mb' | {program} -\n\
         \x20      {program} /etc/keylane/6379.conf\n\
         \x20      {program} --port 7777 --shards 2\n\
         \x20      {program} /etc/keylane/6379.conf --loglevel verbose"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], begin: Option<&str>) {
        let args: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let answer = answer("keylane", &args);
        assert_eq!(answer.is_some(), begin.is_some(), "{args:?}");
        if let (Some(answer), Some(begin)) = (answer, begin) {
            assert!(answer.starts_with(begin), "{answer}");
        }
    }

    #[test]
    fn only_the_first_argument_asks() {
        check(&["-v"], Some("Keylane server v="));
        check(&["--version"], Some("Keylane server v="));
        check(&["--help"], Some("Usage: keylane ["));
        check(&["-h", "--port", "1"], Some("Usage: "));
        check(&[], None);
        check(&["--port", "1", "--version"], None);
    }
}
