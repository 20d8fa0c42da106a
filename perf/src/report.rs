//! A result as a markdown page: where and how it was measured, then tables.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::options::Options;
use crate::servers::process;

/// A page in the making.
#[derive(Debug)]
pub struct Report {
    text: String,
    path: PathBuf,
    failures: usize,
}

impl Report {
    /// A page with its head: date, commit, machine and command line.
    pub fn new(args: &[String], options: &Options) -> Result<Self, String> {
        let date = one_line(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
        let commit = one_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]))?;
        let changed = one_line(Command::new("git").args(["status", "--porcelain"]))?;
        let state = if changed.is_empty() { "" } else { ", with uncommitted changes" };
        let kernel = one_line(Command::new("uname").args(["-sr"]))?;
        let cpu = cpu_model()?;
        let line = command_line(args);
        let mut text = format!("# {} on {date}\n\n", options.name);
        text.push_str(&format!("- commit {commit}{state}\n- kernel {kernel}\n"));
        text.push_str(&format!("- cpu {cpu}\n- `perf {line}`\n"));
        let path = options.results.join(format!("{date}-{commit}-{}.md", options.name));
        Ok(Self { text, path, failures: 0 })
    }

    /// Adds a paragraph.
    pub fn say(&mut self, sentence: &str) {
        self.text.push_str(&format!("\n{sentence}\n"));
    }

    /// Adds a paragraph on a part of the measurement that did not come to its end.
    pub fn fail(&mut self, sentence: &str) {
        self.say(sentence);
        self.failures += 1;
    }

    /// How many parts of the measurement did not come to their end.
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// Adds a table. The first row is its head; columns whose body is all numbers align right.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        self.text.push('\n');
        self.text.push_str(&table(rows));
    }

    /// The page so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes the page to its file.
    pub fn save(&self) -> Result<PathBuf, String> {
        let problem = |error: std::io::Error| format!("{}: {error}", self.path.display());
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(problem)?;
        }
        fs::write(&self.path, &self.text).map_err(problem)?;
        Ok(self.path.clone())
    }
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let width =
        |column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(|column| width(column).max(3)).collect();
    let numeric = |column| rows.iter().skip(1).all(|row| is_number(&cell(row, column)));
    let right: Vec<bool> = (0..columns).map(numeric).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, &width) in widths.iter().enumerate() {
            let cell = cell(row, column);
            let padded =
                if right[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            text.push_str(&format!("| {padded} "));
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let (dashes, end) = ("-".repeat(width), if right[column] { ':' } else { '-' });
                text.push_str(&format!("|-{dashes}{end}"));
            }
            text.push_str("|\n");
        }
    }
    text
}

fn is_number(cell: &str) -> bool {
    cell.starts_with(|first: char| first.is_ascii_digit() || first == '-')
}

fn one_line(command: &mut Command) -> Result<String, String> {
    process::output(command).map(|text| text.trim().to_owned())
}

fn cpu_model() -> Result<String, String> {
    let cpuinfo = process::read("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    Ok(format!("{}, {cores} cores", model.map_or("unknown", |(_, name)| name)))
}

/// The command line as it can be typed again elsewhere: folders of this machine are left out.
fn command_line(args: &[String]) -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let quote = |arg: &String| {
        let harmless = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:@".contains(letter);
        let plain = arg.chars().all(harmless);
        if plain && !arg.is_empty() { arg.clone() } else { format!("\"{arg}\"") }
    };
    let line = args.iter().map(quote).collect::<Vec<_>>().join(" ");
    if home.len() > 1 { line.replace(&home, "~") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_numbers_to_the_right() {
        let rows = [["server", "us"], ["valkey", "10.5"], ["us", "9"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        let expected = "\
| server |   us |
|--------|-----:|
| valkey | 10.5 |
| us     |    9 |
";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn quotes_what_a_shell_would_split() {
        let args = ["idle".to_owned(), "a=b c".to_owned(), String::new()];
        assert_eq!(command_line(&args), "idle \"a=b c\" \"\"");
    }
}
