//! What people read about settings: the sample file and the tables of the README.

use super::setting::{Change, Setting};
use super::table::{Config, SETTINGS};
use super::valkey::{FOREIGN, Fate};
use std::fmt::Write;

/// Columns of a comment in the sample file.
const COLUMNS: usize = 88;

/// The sample file `keylane.conf`: every setting, explained, at its default.
pub fn sample() -> String {
    let mut text = String::from(
        "# Keylane's configuration: every setting at its default.\n\
         #\n\
         # Start with this file by `keylane keylane.conf`; options (`--port 7000`) come after it.\n\
         # Sizes take units: 1k is 1000 bytes, 1kb is 1024; so m, mb, g, gb.\n\
         # `include /path/other.conf` reads another file in its place.\n",
    );
    let config = Config::default();
    for setting in SETTINGS {
        text.push('\n');
        comment(&mut text, setting.doc);
        comment(&mut text, &format!("Values: {}. Changes {}.", values(setting), change(setting)));
        let lines = (setting.lines)(&config);
        if lines.is_empty() {
            let example = (setting.examples)().good.into_iter().next().unwrap_or_default();
            push_line(&mut text, &["# ", setting.name, " ", &example]);
        }
        for line in lines {
            push_line(&mut text, &[setting.name, " ", &String::from_utf8_lossy(&line.words)]);
        }
    }
    text
}

/// The README's table of settings, in markdown.
pub fn readme_table() -> String {
    let mut text =
        String::from("| Setting | Default | Values | Changes | Meaning |\n|---|---|---|---|---|\n");
    let config = Config::default();
    for setting in SETTINGS {
        let names: Vec<_> = setting.names().map(|name| format!("`{name}`")).collect();
        let default = (setting.lines)(&config).into_iter().map(|line| line.words);
        let default = default.map(|words| format!("`{}`", String::from_utf8_lossy(&words)));
        let default = default.collect::<Vec<_>>().join(", ");
        let cells = [
            names.join(", "),
            default,
            values(setting),
            change(setting).to_owned(),
            setting.doc.to_owned(),
        ];
        push_line(
            &mut text,
            &["| ", &cells.map(|cell| cell.replace('|', "\\|")).join(" | "), " |"],
        );
    }
    text
}

/// The README's table of Valkey's settings that have no effect here, grouped by reason.
pub fn readme_valkey_table() -> String {
    let mut text = String::from("| Other values are | Because | Settings |\n|---|---|---|\n");
    let mut groups: Vec<(Fate, Vec<String>)> = Vec::new();
    for foreign in FOREIGN {
        let name = format!("`{}`", foreign.name);
        match groups.iter_mut().find(|(fate, _)| *fate == foreign.fate) {
            Some((_, names)) => names.push(name),
            None => groups.push((foreign.fate, vec![name])),
        }
    }
    for (fate, names) in groups {
        let (verb, why) = match fate {
            Fate::Ignored(why) => ("ignored, with a warning", why),
            Fate::Refused(why) => ("refused", why),
        };
        push_line(&mut text, &["| ", verb, " | ", why, " | ", &names.join(", "), " |"]);
    }
    text
}

fn values(setting: &Setting) -> String {
    (setting.limits)()
}

fn change(setting: &Setting) -> &'static str {
    match setting.change {
        Change::AtStart => "at start",
        Change::AtRuntime => "at runtime",
        Change::Protected => "at runtime, if `enable-protected-configs` allows",
    }
}

fn push_line(text: &mut String, parts: &[&str]) {
    text.extend(parts.iter().copied());
    text.push('\n');
}

/// Appends a comment, broken into lines.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if COLUMNS <= line.len() + word.len() {
            push_line(text, &[&line]);
            line = String::from("#");
        }
        write!(line, " {word}").expect("a string takes everything");
    }
    push_line(text, &[&line]);
}

#[cfg(test)]
mod tests {
    use super::super::parse::{Loaded, Loader, Next, Text};
    use super::*;

    #[test]
    fn the_sample_is_the_default_and_warns_of_nothing() {
        let text = Text { origin: "keylane.conf".into(), bytes: sample().into_bytes() };
        let mut loader = Loader::new(vec![text]);
        assert_eq!(loader.read(), Ok(Next::Done));
        assert_eq!(loader.finish(), Loaded { config: Config::default(), warnings: Vec::new() });
    }

    #[test]
    fn every_setting_is_in_the_sample_and_in_the_readme() {
        let (sample, readme) = (sample(), readme_table());
        for setting in SETTINGS {
            assert!(sample.contains(&format!("\n{} ", setting.name)) || setting.file_only);
            assert!(readme.contains(&format!("| `{}`", setting.name)), "{}", setting.name);
        }
        assert!(sample.lines().all(|line| line.len() <= 100));
        let valkey = readme_valkey_table();
        assert!(FOREIGN.iter().all(|foreign| valkey.contains(&format!("`{}`", foreign.name))));
    }

    #[test]
    fn tables_have_the_same_number_of_cells_in_each_row() {
        for (table, cells) in [(readme_table(), 5), (readme_valkey_table(), 3)] {
            for row in table.lines() {
                let bars = row.replace("\\|", "").matches('|').count();
                assert_eq!(bars, cells + 1, "{row}");
            }
        }
    }
}
