//! Checks on the code itself: who may use whom, sizes, dead files, words that do not belong.
//!
//! Every complaint says what to do. Exceptions are a list with a reason each, and a test refuses
//! an exception that nothing needs any more, so the list can only shrink.

#[path = "tidy/layering.rs"]
mod layering;
#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use layering::{OTHER_PACKAGES, PACKAGE_USES, PACKAGES, Package, Uses};
use source::{Source, is_word, line_of, numbered, places, read, root, sources};

/// What may break a rule: (rule, file, reason).
const EXCEPTIONS: &[(Rule, &str, &str)] = &[
    (Rule::Sharing, "src/log.rs", "any thread logs; level and file change once in a while"),
    (Rule::Sharing, "src/persistence/receiving.rs", "a thread reads, and its receiver is woken"),
    (Rule::Sharing, "src/persistence/sending/peers.rs", "threads of the child tell what they sent"),
    (Rule::Sharing, "src/persistence/walking.rs", "threads of the child share out the shards"),
    (Rule::Sharing, "src/persistence/writing.rs", "threads of the child write one file"),
    (Rule::Script, "scripts/keylane.conf", "no script: every setting, generated from the code"),
];

const FILE_LINES_MAX: usize = 600;
const LINE_COLUMNS_MAX: usize = 100;
const SCRIPT_LINES_MAX: usize = 30;
/// Words that mark unfinished work, wherever they stand outside of strings.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!", "TODO", "FIXME", "XXX"];
/// Where `unsafe` may stand.
const UNSAFE_FOLDERS: &[&str] = &["shards/src/encodings", "src/reactor"];
/// Where threads may share memory.
const SHARING_FOLDERS: &[&str] = &["src/mail", "src/metrics", "src/reactor"];
/// Values that never change once made: a letter brings each shard the same copy in an `Arc`.
const SHARED_COPIES: &[&str] =
    &["Config", "ClientFilter", "Messages", "Packet", "Ownership", "SlotWords"];
/// Names that share memory between threads; every name that begins with `Atomic` does too.
const SHARING: &[&str] =
    &["Mutex", "RwLock", "Condvar", "Once", "OnceLock", "LazyLock", "thread_local"];
/// Lines above an `unsafe` block within which its reason begins.
const SAFETY_LINES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Layering,
    FileLines,
    LineColumns,
    ModuleDoc,
    DeadFile,
    Unfinished,
    Unwrap,
    Unsafe,
    Sharing,
    Dependency,
    Script,
}

struct Complaint {
    path: String,
    line: usize,
    text: String,
}

#[test]
fn modules_use_only_what_they_may() {
    expect_none(Rule::Layering);
}

#[test]
fn the_layering_table_is_in_building_order_and_complete() {
    for package in PACKAGES {
        let names: Vec<&str> = package.floors.iter().map(|floor| floor.module).collect();
        for (index, floor) in package.floors.iter().enumerate() {
            let Uses::Only(uses) = &floor.uses else { continue };
            for used in *uses {
                let stands = names[..index].contains(used);
                assert!(stands, "`{}` uses `{used}`, which is not above it", floor.module);
            }
        }
        let lib = read(&format!("{}/lib.rs", package.source));
        let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
        let mut modules: Vec<&str> = modules.map(|line| line.trim_end_matches(';')).collect();
        let outside = |name: &&str| *name != "main" && !OTHER_PACKAGES.contains(name);
        let mut listed: Vec<&str> = names.into_iter().filter(outside).collect();
        if package.name == "bench" {
            // Its list of modules is no building order.
            modules.sort_unstable();
            listed.sort_unstable();
        }
        let file = format!("{}/lib.rs", package.source);
        assert_eq!(listed, modules, "PACKAGES in tests/tidy.rs and {file} list the same modules");
    }
}

#[test]
fn the_layering_table_is_in_the_architecture_page() {
    let (begin, end) = ("<!-- layering: begin -->\n", "<!-- layering: end -->");
    let page = read("ARCHITECTURE.md");
    let (before, rest) = page.split_once(begin).expect("ARCHITECTURE.md has a layering section");
    let (table, after) = rest.split_once(end).expect("the layering section ends");
    let wanted = layering_table();
    if std::env::var_os("UPDATE").is_some() {
        let page = format!("{before}{begin}{wanted}{end}{after}");
        fs::write(root().join("ARCHITECTURE.md"), page).expect("ARCHITECTURE.md can be written");
        return;
    }
    assert!(table == wanted, "ARCHITECTURE.md is behind: run UPDATE=1 cargo test --test tidy");
}

#[test]
fn files_are_short() {
    expect_none(Rule::FileLines);
}

#[test]
fn lines_are_short() {
    expect_none(Rule::LineColumns);
}

#[test]
fn files_begin_with_what_lives_in_them() {
    expect_none(Rule::ModuleDoc);
}

#[test]
fn no_file_is_dead() {
    expect_none(Rule::DeadFile);
}

#[test]
fn no_work_is_left_unfinished() {
    expect_none(Rule::Unfinished);
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    expect_none(Rule::Unwrap);
}

#[test]
fn unsafe_stays_in_its_folders_and_gives_its_reason() {
    expect_none(Rule::Unsafe);
}

#[test]
fn memory_is_shared_in_few_places() {
    expect_none(Rule::Sharing);
}

#[test]
fn dependencies_give_their_reason() {
    expect_none(Rule::Dependency);
}

#[test]
fn scripts_are_short() {
    expect_none(Rule::Script);
}

#[test]
fn every_exception_is_needed() {
    for (rule, path, reason) in EXCEPTIONS {
        assert!(!reason.is_empty(), "the exception of {path} gives its reason");
        let needed = complaints(*rule).iter().any(|complaint| complaint.path == *path);
        assert!(needed, "{path} no longer breaks {rule:?}: remove its exception");
    }
}

fn expect_none(rule: Rule) {
    let mut list = String::new();
    for Complaint { path, line, text } in complaints(rule) {
        if !EXCEPTIONS.iter().any(|exception| (exception.0, exception.1) == (rule, &path)) {
            writeln!(list, "{path}:{line}: {text}").expect("a string takes all");
        }
    }
    assert!(list.is_empty(), "\n{list}");
}

/// Everything that breaks `rule`, exceptions included.
fn complaints(rule: Rule) -> Vec<Complaint> {
    let sources = sources();
    let each = |check: fn(&Source) -> Vec<(usize, String)>| {
        let complain = |source: &Source| {
            let path = source.path.clone();
            check(source).into_iter().map(move |(line, text)| Complaint {
                path: path.clone(),
                line,
                text,
            })
        };
        sources.iter().flat_map(complain).collect()
    };
    match rule {
        Rule::Layering => each(layering),
        Rule::FileLines => each(file_lines),
        Rule::LineColumns => each(line_columns),
        Rule::ModuleDoc => each(module_doc),
        Rule::DeadFile => dead_files(&sources),
        Rule::Unfinished => each(unfinished),
        Rule::Unwrap => each(unwraps),
        Rule::Unsafe => each(unsafes),
        Rule::Sharing => each(sharing),
        Rule::Dependency => dependencies(),
        Rule::Script => scripts(),
    }
}

fn layering(source: &Source) -> Vec<(usize, String)> {
    let inside = |package: &&Package| {
        source.path.strip_prefix(package.source).is_some_and(|rest| rest.starts_with('/'))
    };
    let Some(package) = PACKAGES.iter().find(inside) else {
        return Vec::new();
    };
    let within = &source.path[package.source.len() + 1..source.path.len() - ".rs".len()];
    let module = within.split('/').next().unwrap_or(within);
    if module == "lib" {
        return Vec::new();
    }
    let Some(index) = package.floors.iter().position(|floor| floor.module == module) else {
        return vec![(1, format!("`{module}` has no line in PACKAGES of tests/tidy.rs"))];
    };
    let may = |used: &str| {
        let listed = match &package.floors[index].uses {
            Uses::Only(uses) => uses.contains(&used),
            Uses::AllAbove => package.floors[..index].iter().any(|floor| floor.module == used),
        };
        used == module || listed || package.everywhere.contains(&used)
    };
    let depth = within.split('/').count();
    let mut complaints = Vec::new();
    for (line, used) in modules_used(&source.code, package.name, depth) {
        let known = package.floors.iter().any(|floor| floor.module == used);
        if known && !may(&used) {
            complaints.push((line, format!("`{module}` may not use `{used}`")));
        }
    }
    complaints
}

/// The top-level modules that paths in `code` begin with: behind `crate::`, behind the package's
/// own name, behind enough `super::`; and `shards`, which is a package but stands in tables.
fn modules_used(code: &str, package: &str, depth: usize) -> Vec<(usize, String)> {
    let own = format!("{package}::");
    let supers = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in ["crate::", &own, &supers] {
        for at in places(code, prefix) {
            let line = line_of(code, at);
            let heads = heads(&code[at + prefix.len()..]);
            found.extend(heads.into_iter().map(|head| (line, head)));
        }
    }
    if package != "shards" {
        let uses = places(code, "shards::").into_iter();
        found.extend(uses.map(|at| (line_of(code, at), "shards".to_owned())));
    }
    found
}

/// The first names of a path, or of every path in a group `{a, b::{c, d}}`.
fn heads(path: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim_start().split(|c| !is_word(c)).next().unwrap_or("").to_owned();
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut heads, mut depth) = (vec![name(group)], 1);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => heads.push(name(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn layering_table() -> String {
    let mut table = String::from("| package | module | may use |\n|---|---|---|\n");
    for package in PACKAGES {
        for floor in package.floors.iter().filter(|floor| !OTHER_PACKAGES.contains(&floor.module)) {
            let uses = match &floor.uses {
                Uses::AllAbove => "all above".to_owned(),
                Uses::Only(uses) => {
                    let mut uses = [package.everywhere, uses].concat();
                    uses.retain(|used| *used != floor.module);
                    // What stands below cannot be used, even if all others may use it.
                    let place = |name: &str| package.floors.iter().position(|f| f.module == name);
                    uses.retain(|used| place(used) < place(floor.module));
                    if uses.is_empty() { "nothing".to_owned() } else { uses.join(", ") }
                }
            };
            writeln!(table, "| {} | {} | {uses} |", package.name, floor.module)
                .expect("a string takes all");
        }
    }
    table
}

fn file_lines(source: &Source) -> Vec<(usize, String)> {
    let lines = source.text.lines().count();
    let text = format!("{lines} lines, {FILE_LINES_MAX} at most: look for a second noun in it");
    if FILE_LINES_MAX < lines { vec![(lines, text)] } else { Vec::new() }
}

fn line_columns(source: &Source) -> Vec<(usize, String)> {
    let long = |line: &(usize, &str)| LINE_COLUMNS_MAX < line.1.chars().count();
    let text = format!("more than {LINE_COLUMNS_MAX} columns: break the line");
    numbered(&source.text).filter(long).map(|(line, _)| (line, text.clone())).collect()
}

fn module_doc(source: &Source) -> Vec<(usize, String)> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![(1, "begin the file with a `//!` line that says what lives here".into())]
}

fn dead_files(sources: &[Source]) -> Vec<Complaint> {
    let by_path: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let mut complaints = Vec::new();
    for path in by_path.keys() {
        let (folder, file) = path.rsplit_once('/').expect("sources stand in folders");
        let module = file.trim_end_matches(".rs");
        // Cargo finds these by itself, or its manifest names them.
        let starts = module == "main" || module == "lib";
        if starts || folder == "tests" || folder == "tests/fuzz" || folder.ends_with("benches") {
            continue;
        }
        // Modules that several tests share are folders with a `mod.rs`.
        let (module, parents) = match (module, folder.rsplit_once('/')) {
            ("mod", Some((above, shared))) => (shared, siblings(&by_path, above)),
            _ => (module, ["", "/lib", "/main"].map(|end| format!("{folder}{end}.rs")).to_vec()),
        };
        let named =
            parents.iter().filter_map(|parent| by_path.get(parent.as_str())).any(|parent| {
                ["", "r#"].iter().any(|raw| parent.code.contains(&format!("mod {raw}{module};")))
            });
        if !named {
            let there = parents.iter().find(|parent| by_path.contains_key(parent.as_str()));
            let parent = there.unwrap_or(&parents[0]);
            let text = format!("no `mod {module};` names this file: add it to {parent}");
            complaints.push(Complaint { path: (*path).into(), line: 1, text });
        }
    }
    complaints
}

/// The files right in `folder`, and the first ones of programs in folders there.
fn siblings(by_path: &BTreeMap<&str, &Source>, folder: &str) -> Vec<String> {
    let inside = |path: &&&str| {
        let (parent, file) = path.rsplit_once('/').unwrap_or_default();
        let above = parent.rsplit_once('/').map_or("", |(above, _)| above);
        parent == folder || (above == folder && file == "main.rs")
    };
    by_path.keys().filter(inside).map(ToString::to_string).collect()
}

fn unfinished(source: &Source) -> Vec<(usize, String)> {
    let find = |word: &&str| {
        let mut at = places(&source.code, word);
        at.extend(places(&source.comments, word));
        let text = format!("`{word}` is unfinished work: finish it, or write an issue");
        at.into_iter().map(|at| (line_of(&source.code, at), text.clone())).collect::<Vec<_>>()
    };
    UNFINISHED.iter().flat_map(find).collect()
}

fn unwraps(source: &Source) -> Vec<(usize, String)> {
    let text = "no `unwrap` outside of tests: `expect` says why it holds";
    let outside = |line: &(usize, &str)| line.0 < source.tests_from && line.1.contains(".unwrap()");
    numbered(&source.code).filter(outside).map(|(line, _)| (line, text.into())).collect()
}

fn unsafes(source: &Source) -> Vec<(usize, String)> {
    let comments: Vec<&str> = source.comments.lines().collect();
    let mut complaints = Vec::new();
    for at in places(&source.code, "unsafe") {
        let line = line_of(&source.code, at);
        if !UNSAFE_FOLDERS.iter().any(|folder| source.path.starts_with(folder)) {
            complaints.push((line, format!("`unsafe` belongs in {}", UNSAFE_FOLDERS.join(", "))));
        }
        let after = source.code[at + "unsafe".len()..].trim_start();
        if ["fn", "trait", "extern"].iter().any(|word| after.starts_with(word)) {
            continue; // Its `# Safety` section is clippy's to ask for.
        }
        let above = &comments[line.saturating_sub(SAFETY_LINES + 1)..line];
        if !above.iter().any(|comment| comment.contains("SAFETY:")) {
            complaints.push((line, "say above it, in `// SAFETY:`, who guarantees what".into()));
        }
    }
    complaints
}

fn sharing(source: &Source) -> Vec<(usize, String)> {
    let ours = source.path.starts_with("src/") || source.path.starts_with("shards/src/");
    if !ours || SHARING_FOLDERS.iter().any(|folder| source.path.starts_with(folder)) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (line, code) in numbered(&source.code).take_while(|line| line.0 < source.tests_from) {
        let shares = |word: &&str| SHARING.contains(word) || word.starts_with("Atomic");
        let words = code.split(|letter| !is_word(letter)).filter(shares);
        let shared = places(code, "Arc").into_iter().filter_map(|at| {
            let inner = code[at + "Arc".len()..].strip_prefix('<')?;
            let inner = inner.split(|letter| !is_word(letter)).next()?;
            (!SHARED_COPIES.contains(&inner)).then_some("Arc")
        });
        for word in words.chain(shared) {
            let text = format!("`{word}` shares memory: send a letter, or give a reason here");
            complaints.push((line, text));
        }
    }
    complaints
}

fn dependencies() -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for folder in [".", "shards", "bench", "perf", "tests/fuzz"] {
        let path = format!("{folder}/Cargo.toml");
        let (mut wanted, mut above) = (false, "");
        let manifest = read(&path);
        for (line, text) in numbered(&manifest) {
            if text.starts_with('[') {
                wanted = text.ends_with("dependencies]");
            } else if wanted && text.contains(" = ") && !text.starts_with([' ', '#']) {
                let name = text.split(' ').next().unwrap_or(text);
                let ours = text.contains("path = ");
                let uses = PACKAGE_USES.iter().find(|(package, _)| *package == folder);
                let problem = if ours && !uses.is_some_and(|(_, uses)| uses.contains(&name)) {
                    Some(format!("`{folder}` may not use `{name}`"))
                } else if !ours && !above.starts_with("# ") {
                    Some(format!("say in a comment above it what `{name}` is for"))
                } else {
                    None
                };
                complaints.extend(problem.map(|text| Complaint { path: path.clone(), line, text }));
            }
            above = text;
        }
    }
    complaints
}

fn scripts() -> Vec<Complaint> {
    let folder = fs::read_dir(root().join("scripts")).expect("there are scripts");
    let entries = folder.map(|entry| entry.expect("a folder can be listed"));
    // What stands in folders of its own is no script but something for another program.
    let files = entries.filter(|entry| entry.path().is_file());
    let names = files.map(|entry| entry.file_name());
    let long = |name: std::ffi::OsString| {
        let path = format!("scripts/{}", name.display());
        let line = read(&path).lines().count();
        let text = format!("{SCRIPT_LINES_MAX} lines at most: more logic is Rust in tests or perf");
        (SCRIPT_LINES_MAX < line).then_some(Complaint { path, line, text })
    };
    names.filter_map(long).collect()
}

#[test]
fn finds_the_modules_that_paths_begin_with() {
    let code = "use crate::{a::x, b::{c, d}, e}; use super::super::f::g; keylane::h::i(); \
                my_crate::j; shards::k;";
    let found = modules_used(code, "keylane", 2);
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "e", "h", "f", "shards"]);
}
