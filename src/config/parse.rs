//! Reads configuration texts: files, standard input and the options of the command line.
//!
//! Nothing here opens a file. A [`Loader`] is given the texts to begin with; where a line says
//! `include` it asks for more. Its states:
//!
//! ```text
//! new(texts) --> read() --Done--> finish()
//!                ^  |
//!                |  Include(path)
//!                |  v
//!                include(texts)
//! ```

use super::kinds::{Mention, Reason};
use super::line::{split, trim};
use super::setting::Setting;
use super::table::{self, Config};
use super::valkey;

/// How deep files may include each other: a file that includes itself ends here.
const DEPTH_MAX: usize = 16;
/// What Valkey answers to a line that it cannot read.
const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

/// A text with settings, and what to call it in errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it is from: the file's path, `standard input`, `the command line`.
    pub origin: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The configuration file to read first.
    pub file: Option<Vec<u8>>,
    /// Whether to read standard input after the file: `-` as first or last argument.
    pub stdin: bool,
    /// The options as lines of a configuration file, to be read last.
    pub lines: Vec<u8>,
}

impl Options {
    /// Takes the arguments after the program's name, as Valkey does: a file, unless the first
    /// begins with `-`; then `--name value ...`, where the value may also stand in the same
    /// argument (`"--port 7000"`). The word right after a bare name is its value, even if it
    /// begins with `--`.
    pub fn parse(args: &[Vec<u8>]) -> Self {
        let mut options = Self::default();
        let mut rest = args;
        if let [file, after @ ..] = args
            && !file.starts_with(b"-")
        {
            options.file = Some(file.clone());
            rest = after;
        }
        let mut wants_value = false;
        for (at, arg) in rest.iter().enumerate() {
            let next = rest.get(at + 1);
            let first_of_all = at == 0 && rest.len() == args.len();
            if arg == b"-" && (first_of_all || next.is_none()) {
                options.stdin = true;
            } else if let Some(text) = arg.strip_prefix(b"--")
                && !wants_value
            {
                wants_value = options.name(text, next);
            } else {
                options.lines.extend(super::line::quote(arg));
                options.lines.push(b' ');
                wants_value = false;
            }
        }
        options
    }

    /// Begins a line with an option; whether the next argument is its value whatever it is.
    fn name(&mut self, text: &[u8], next: Option<&Vec<u8>>) -> bool {
        if !self.lines.is_empty() {
            self.lines.push(b'\n');
        }
        self.lines.extend(text);
        self.lines.push(b' ');
        let bare = split(text).is_some_and(|words| words.len() <= 1);
        // Command lines built from an empty list say `--save --port 7000`.
        let ends = next.is_none_or(|next| next.starts_with(b"--"));
        if bare && ends && text.eq_ignore_ascii_case(b"save") {
            self.lines.extend(b"\"\"");
            return false;
        }
        bare
    }
}

/// What a [`Loader`] needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The texts of the files that this path or pattern names: [`Loader::include`].
    Include(Vec<u8>),
    /// Nothing: [`Loader::finish`].
    Done,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What to tell the operator, a line each.
    pub warnings: Vec<String>,
}

/// Reads texts one after the other into a configuration.
#[derive(Debug)]
pub struct Loader {
    config: Config,
    /// Settings that a line spoke of.
    mentioned: Vec<&'static str>,
    warnings: Vec<String>,
    /// Texts to read, the last first.
    texts: Vec<OpenText>,
}

#[derive(Debug)]
struct OpenText {
    origin: String,
    lines: std::vec::IntoIter<Vec<u8>>,
    line_number: usize,
    /// How many texts include this one, one within the other.
    depth: usize,
}

impl Loader {
    /// Begins with the defaults, and these texts in their order: file, standard input, options.
    pub fn new(texts: Vec<Text>) -> Self {
        let (mentioned, warnings, texts_open) = (Vec::new(), Vec::new(), Vec::new());
        let mut loader = Self { config: Config::default(), mentioned, warnings, texts: texts_open };
        loader.include(texts);
        loader
    }

    /// Gives the texts asked for, in their order; they are read before what is left of the text
    /// that includes them. None at all is fine for a pattern without files.
    pub fn include(&mut self, texts: Vec<Text>) {
        let depth = self.texts.last().map_or(0, |including| including.depth + 1);
        let open = |text: Text| {
            let lines: Vec<_> =
                text.bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            OpenText { origin: text.origin, lines: lines.into_iter(), line_number: 0, depth }
        };
        self.texts.extend(texts.into_iter().rev().map(open));
    }

    /// Reads on, to the next `include` or to the end.
    pub fn read(&mut self) -> Result<Next, FileError> {
        while let Some(text) = self.texts.last_mut() {
            let Some(line) = text.lines.next() else {
                self.texts.pop();
                continue;
            };
            text.line_number += 1;
            let line = trim(&line);
            let read = self.line(line).map_err(|reason| self.error(line, reason))?;
            if let Some(pattern) = read {
                return Ok(Next::Include(pattern));
            }
        }
        Ok(Next::Done)
    }

    /// The configuration, after [`Next::Done`].
    pub fn finish(self) -> Loaded {
        assert!(self.texts.is_empty(), "all texts are read before the end");
        Loaded { config: self.config, warnings: self.warnings }
    }

    /// Reads one line; the pattern if it includes files.
    fn line(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, Reason> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(None);
        }
        let words = split(line).ok_or("Unbalanced quotes in configuration line")?;
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let [name, values @ ..] = words.as_slice() else { return Ok(None) };
        if let Some((setting, _)) = table::find(name) {
            return self.setting(setting, values).map(|()| None);
        }
        if name.eq_ignore_ascii_case(b"include") {
            let [pattern] = values else { return Err(BAD_DIRECTIVE.into()) };
            if self.texts.last().is_some_and(|text| DEPTH_MAX <= text.depth) {
                return Err("Too many files that include each other".into());
            }
            return Ok(Some(pattern.to_vec()));
        }
        let foreign = valkey::find(name).ok_or(BAD_DIRECTIVE)?;
        let warning = foreign.take(values)?;
        let place = self.place();
        self.warnings.extend(warning.map(|warning| format!("{place}: {warning}")));
        Ok(None)
    }

    fn setting(&mut self, setting: &'static Setting, values: &[&[u8]]) -> Result<(), Reason> {
        let mention = match self.mentioned.contains(&setting.name) {
            true => Mention::Again,
            false => Mention::First,
        };
        if mention == Mention::First {
            self.mentioned.push(setting.name);
        }
        match values {
            // One quoted value may hold all words: `--save "900 1"`.
            [value] if setting.many && !setting.file_only && !value.is_empty() => {
                let words = split(value).ok_or("Unbalanced quotes in configuration line")?;
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                (setting.read)(&mut self.config, &words, mention)
            }
            values if setting.many || values.len() == 1 => {
                (setting.read)(&mut self.config, values, mention)
            }
            _ => Err("wrong number of arguments".into()),
        }
    }

    /// Origin and number of the line being read.
    fn place(&self) -> String {
        let text = self.texts.last().expect("a line being read is in a text");
        format!("{}:{}", text.origin, text.line_number)
    }

    fn error(&self, line: &[u8], reason: Reason) -> FileError {
        let text = self.texts.last().expect("a line being read is in a text");
        let (origin, line_number) = (text.origin.clone(), text.line_number);
        FileError { origin, line_number, line: line.to_vec(), reason }
    }
}

/// A line that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The text it is in.
    pub origin: String,
    /// Its number there, from 1.
    pub line_number: usize,
    /// The line.
    pub line: Vec<u8>,
    /// What is wrong with it.
    pub reason: Reason,
}

impl FileError {
    /// The report in Valkey's form, which tools look for. `version` is that of Valkey.
    pub fn report(&self, version: &str) -> String {
        let Self { origin, line_number, line, reason } = self;
        let line = String::from_utf8_lossy(line);
        format!(
            "\n*** FATAL CONFIG FILE ERROR (Version {version}) ***\n\
             Reading the configuration file, at line {line_number} of {origin}\n\
             >>> '{line}'\n\
             {reason}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds::Kind;
    use super::super::lists::{Rename, SavePoints};
    use super::*;

    fn text(origin: &str, bytes: &str) -> Text {
        Text { origin: origin.into(), bytes: bytes.as_bytes().to_vec() }
    }

    /// Reads `file`; includes are answered with the text of `include`.
    fn load(file: &str, include: &str, options: &str) -> Result<Loaded, FileError> {
        let args: Vec<_> = options.split_whitespace().map(|arg| arg.as_bytes().to_vec()).collect();
        let lines = String::from_utf8(Options::parse(&args).lines).unwrap();
        let mut loader =
            Loader::new(vec![text("keylane.conf", file), text("the command line", &lines)]);
        while let Next::Include(pattern) = loader.read()? {
            let pattern = String::from_utf8(pattern).unwrap();
            loader.include(vec![text(&pattern, include), text(&pattern, "# second")]);
        }
        Ok(loader.finish())
    }

    fn config(file: &str) -> Config {
        load(file, "", "").unwrap().config
    }

    fn error(file: &str, line_number: usize, reason: &str) {
        let error = load(file, "hz x", "").unwrap_err();
        assert_eq!((error.line_number, error.reason.as_str()), (line_number, reason), "{file}");
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        for file in ["", "\n\n", "# port 1\n  \t\r\n#"] {
            let loaded = load(file, "", "").unwrap();
            assert_eq!(loaded, Loaded { config: Config::default(), warnings: vec![] });
        }
    }

    #[test]
    fn lines_are_words_with_blanks_and_quotes() {
        let read = config("  PORT  7000\r\nrequirepass \"a \\x41\"\nbind '127.0.0.1'  ::1\n");
        assert_eq!(read.port, 7000);
        assert_eq!(read.requirepass, b"a A");
        assert_eq!(read.bind, ["127.0.0.1", "::1"]);
    }

    #[test]
    fn the_last_line_wins_but_save_and_limits_add_up() {
        assert_eq!(config("port 1\nport 2").port, 2);
        assert_eq!(SavePoints.print(&config("save 900 1\nsave 60 5").save), b"900 1 60 5");
        assert_eq!(config("save 900 1\nsave \"\"").save, []);
        assert_eq!(SavePoints.print(&config("save \"\"\nsave \"1 2 3 4\"").save), b"1 2 3 4");
        let limits = "client-output-buffer-limit";
        let read = config(&format!("{limits} normal 1 0 0\n{limits} replica 2 0 0"));
        let read = read.client_output_buffer_limit;
        assert_eq!((read.normal.hard, read.replica.hard, read.pubsub.hard), (1, 2, 32 << 20));
    }

    #[test]
    fn commands_are_renamed_one_per_line() {
        let read = config("rename-command FLUSHALL \"\"\nrename-command config cfg");
        let rename = |command: &[u8], to: &[u8]| Rename { command: command.into(), to: to.into() };
        assert_eq!(read.rename_command, [rename(b"flushall", b""), rename(b"config", b"cfg")]);
        error("rename-command a", 1, BAD_DIRECTIVE);
        error("rename-command 'a b'", 1, BAD_DIRECTIVE);
    }

    #[test]
    fn included_lines_stand_where_the_include_stands() {
        let loaded = load("port 1\ninclude b.conf\nhz 20", "port 2\nhz 30", "").unwrap();
        assert_eq!((loaded.config.port, loaded.config.hz), (2, 20));
        assert!(load("include a", "include a", "").unwrap_err().reason.starts_with("Too many"));
        error("include a b", 1, BAD_DIRECTIVE);
        error("port 1\ninclude a", 1, "argument couldn't be parsed into an integer");
    }

    #[test]
    fn what_is_wrong_is_told_in_valkeys_words() {
        error(
            "# c\nport 0\nunixsocketperm 999",
            3,
            "argument couldn't be parsed as an octal number",
        );
        error("port \"0", 1, "Unbalanced quotes in configuration line");
        error("port 0 1", 1, "wrong number of arguments");
        error("port", 1, "wrong number of arguments");
        error("nosuch 1", 1, BAD_DIRECTIVE);
        error("maxmemory 1z", 1, "argument must be a memory value");
        error("save 1", 1, "Invalid save parameters");
        error("port 70000", 1, "argument must be between 0 and 65535 inclusive");
    }

    #[test]
    fn the_report_has_valkeys_form_and_names_the_file() {
        let report = load("\nport x", "", "").unwrap_err().report("9.1.2");
        let expected = "\n*** FATAL CONFIG FILE ERROR (Version 9.1.2) ***\n\
            Reading the configuration file, at line 2 of keylane.conf\n\
            >>> 'port x'\n\
            argument couldn't be parsed into an integer\n";
        assert_eq!(report, expected);
    }

    #[test]
    fn what_does_not_apply_is_warned_of_or_refused() {
        let loaded = load("io-threads 4\nappendonly no", "", "").unwrap();
        let warnings =
            ["keylane.conf:1: io-threads is ignored: each shard has one thread of its own; see \
             shards and shard-cpus"];
        assert_eq!(loaded.warnings, warnings);
        assert!(load("save \"\"\nappendonly NO", "", "").unwrap().warnings.is_empty());
        error("appendonly yes", 1, "appendonly is not supported: there is no append-only file yet");
    }

    #[test]
    fn options_come_after_the_file() {
        let loaded = load("port 1\nhz 20", "", "--port 2 --save 60 1 --save 5 5").unwrap().config;
        assert_eq!((loaded.port, loaded.hz), (2, 20));
        assert_eq!(SavePoints.print(&loaded.save), b"60 1 5 5");
        let error = load("", "", "--hz 5 --port=7000").unwrap_err();
        assert_eq!((error.line_number, error.line.as_slice()), (2, b"port=7000".as_slice()));
        assert_eq!(error.origin, "the command line");
    }

    fn check_options(args: &[&str], file: Option<&str>, stdin: bool, lines: &str) {
        let options: Vec<_> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        let options = Options::parse(&options);
        assert_eq!(options.file, file.map(|file| file.as_bytes().to_vec()), "{args:?}");
        assert_eq!(options.stdin, stdin, "{args:?}");
        assert_eq!(String::from_utf8(options.lines).unwrap(), lines, "{args:?}");
    }

    #[test]
    fn the_command_line_is_read_as_valkey_reads_it() {
        check_options(&[], None, false, "");
        check_options(&["a.conf"], Some("a.conf"), false, "");
        check_options(&["-"], None, true, "");
        check_options(&["a.conf", "-"], Some("a.conf"), true, "");
        check_options(&["-", "--port", "1"], None, true, "port \"1\" ");
        check_options(&["--port", "1", "-"], None, true, "port \"1\" ");
        check_options(&["--port", "1", "--hz", "2"], None, false, "port \"1\" \nhz \"2\" ");
        check_options(&["--port 1", "--hz 2"], None, false, "port 1 \nhz 2 ");
        check_options(&["--save", "", "--hz", "2"], None, false, "save \"\" \nhz \"2\" ");
        check_options(&["--save", "--hz", "2"], None, false, "save \"\"\nhz \"2\" ");
        check_options(&["--hz", "2", "--save"], None, false, "hz \"2\" \nsave \"\"");
        check_options(&["--bind", "::1", "-::1"], None, false, "bind \"::1\" \"-::1\" ");
        check_options(&["--requirepass", "--x"], None, false, "requirepass \"--x\" ");
        check_options(&["a", "b"], Some("a"), false, "\"b\" ");
        check_options(&["--port", "-x"], None, false, "port \"-x\" ");
    }
}
