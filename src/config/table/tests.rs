//! Tests over all settings.

use super::super::kinds::{Mention, Reason};
use super::super::line::split;
use super::*;

/// The words of an example, as they would stand in a file's line.
fn words(setting: &Setting, text: &str) -> Vec<Vec<u8>> {
    if setting.many && !text.is_empty() {
        split(text.as_bytes()).expect("examples are balanced")
    } else {
        vec![text.as_bytes().to_vec()]
    }
}

fn read(setting: &Setting, words: &[Vec<u8>]) -> Result<Config, Reason> {
    let mut config = Config::default();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    (setting.read)(&mut config, &words, Mention::First).map(|()| config)
}

#[test]
fn names_are_sorted_unique_and_lower_case() {
    assert!(SETTINGS.is_sorted_by(|one, next| one.name < next.name));
    let mut names: Vec<_> = SETTINGS.iter().flat_map(Setting::names).collect();
    assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn each_setting_says_what_it_means() {
    for setting in SETTINGS {
        assert!(setting.doc.ends_with('.'), "{}: {}", setting.name, setting.doc);
        assert!(!setting.doc.contains("  "), "{}", setting.name);
        assert!(!(setting.limits)().is_empty(), "{}", setting.name);
    }
}

#[test]
fn each_value_reads_back_from_what_is_printed() {
    for setting in SETTINGS {
        for text in (setting.examples)().good {
            let config = read(setting, &words(setting, &text))
                .unwrap_or_else(|reason| panic!("{} {text}: {reason}", setting.name));
            let mut again = Config::default();
            let mut mention = Mention::First;
            for line in (setting.lines)(&config) {
                let words = split(&line.words).expect("printed lines are balanced");
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                (setting.read)(&mut again, &words, mention).unwrap();
                mention = Mention::Again;
            }
            assert_eq!(again, config, "{} {text}", setting.name);
            // What CONFIG GET prints may be given to CONFIG SET, but for hidden letters.
            if !setting.file_only && setting.name != "notify-keyspace-events" {
                let printed = String::from_utf8((setting.print)(&config)).unwrap();
                assert_eq!(read(setting, &words(setting, &printed)), Ok(config));
            }
        }
    }
}

#[test]
fn what_is_out_of_bounds_is_refused_with_a_reason() {
    for setting in SETTINGS {
        let examples = (setting.examples)();
        assert!(!examples.good.is_empty(), "{}", setting.name);
        for text in examples.bad {
            let reason = read(setting, &words(setting, &text))
                .map(|_| format!("{} takes {text:?}", setting.name))
                .expect_err("an example of what is refused");
            assert!(!reason.is_empty(), "{} {text}", setting.name);
        }
    }
}

#[test]
fn a_name_is_found_in_any_case_and_by_its_alias() {
    let (setting, name) = find(b"SlowLog-Max-Len").unwrap();
    assert_eq!(setting.name, "commandlog-slow-execution-max-len");
    assert_eq!(name, "slowlog-max-len");
    assert!(find(b"nosuch").is_none());
}
