//! What of a text is taken, and what is answered else.

use shards::base::random::Random;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const C: &str = "cccccccccccccccccccccccccccccccccccccccc";
/// As Kvrocks' controller draws them.
const D: &str = "SrSmm9KG5hoAETaxdk7XeUbU1vccWFdl67dk2Z8b";
/// What is put in their place.
const SHORT: &[(&str, &str)] = &[("<a>", A), ("<b>", B), ("<c>", C), ("<D>", D)];

/// The lines of what a text says, or its error.
fn read(text: &str) -> String {
    let spelt = SHORT.iter().fold(text.to_owned(), |text, (short, id)| text.replace(short, id));
    match parse(spelt.as_bytes()) {
        Ok(members) => {
            let lines: Vec<String> = members.iter().map(line).collect();
            SHORT.iter().fold(lines.join("|"), |text, (short, id)| text.replace(id, short))
        }
        Err(error) => {
            let mut bytes = Vec::new();
            error.write(&mut bytes);
            String::from_utf8_lossy(&bytes).trim_end().to_owned()
        }
    }
}

#[test]
fn a_text_is_read_as_kvrocks_reads_it() {
    let nodes = "-ERR Invalid cluster nodes info";
    let id = "-ERR Invalid cluster node id";
    let port = "-ERR Invalid cluster node port";
    let slot = "-ERR Slot is out of range";
    let overlapped = "-ERR Slot distribution is overlapped";
    let newline = "-ERR Invalid nodes definition: Missing newline between node entries.";
    for (text, expected) in [
        ("<a> h 1 master - 0-5 7", "<a> h 1 master - 0-5 7"),
        ("<a> h 1 MASTER -", "<a> h 1 master -"),
        ("<b> h 2 slave <a>\n<a> h 1 master - 5\n", "<a> h 1 master - 5|<b> h 2 slave <a>"),
        ("<a> h 1 master -\r\n\n  <b> h 2  Replica <a>", "<a> h 1 master -|<b> h 2 slave <a>"),
        ("<b> h 2 slave,fail <a>", "<b> h 2 slave,fail <a>"),
        ("<b> h 2 slave <a>\n<c> h 3 slave <b>", "<b> h 2 slave <a>|<c> h 3 slave <b>"),
        ("<a> ::1 1 master - 4 3 1-2", "<a> ::1 1 master - 1-4"),
        ("<a> h 1 master -\n<D> h 2 slave <a>", "<D> h 2 slave <a>|<a> h 1 master -"),
        ("", nodes),
        ("\n \n", nodes),
        ("<a> h 1 master", nodes),
        ("<b> h 2 slave <a> 5", nodes),
        ("<a> h 1 master -\n<a> h 2 master -", nodes),
        ("<b> h 2 slave <c>\n<c> h 3 slave <b>", nodes),
        ("<a>a h 1 master -", id),
        ("A h 1 master -", id),
        ("<a> h 1 master <b>", id),
        ("<b> h 2 slave -", id),
        ("<b> h 2 slave <b>", id),
        ("<a> h 0 master -", port),
        ("<a> h 65536 master -", port),
        ("<a> h x master -", port),
        ("<a> h 1 boss -", "-ERR Invalid cluster node role"),
        ("<a> h 1 master - 16384", slot),
        ("<a> h 1 master - x", slot),
        ("<a> h 1 master - 5-5", slot),
        ("<a> h 1 master - 6-5", slot),
        ("<a> h 1 master - 1-2-3", slot),
        ("<a> h 1 master - -1", slot),
        ("<a> h 1 master - 0-5 5", overlapped),
        ("<a> h 1 master - 0-5\n<b> h 2 master - 5-6", overlapped),
        ("<a> h 1 master - 0-5 <b> h 2 master -", newline),
        ("<b> h 2 slave <a> <c> h 2 slave <a>", newline),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
    assert_eq!(parse(b"\xff"), Err(NODES));
}

#[test]
fn a_host_is_a_name_or_an_address() {
    let with = |host: &str| read(&format!("<a> {host} 1 master -"));
    let longest = "h".repeat(255);
    for host in ["10.0.0.1", "fe80::1%eth0", "a-b_c.example", "H", &longest] {
        assert_eq!(with(host), format!("<a> {host} 1 master -"));
    }
    let long = "h".repeat(70_000);
    for odd in [
        "h\0",
        "h\r",
        "h\x1b[2J",
        "h,i",
        "h@i",
        "h\ti",
        "h/",
        "[::1]",
        "\"h\"",
        "h\u{e9}",
        &long,
        &format!("{longest}h"),
    ] {
        assert_eq!(with(odd), "-ERR Invalid cluster node host", "{odd:?}");
    }
}

#[test]
fn slots_of_setslot_are_words_or_ranges() {
    let shown = |text: &str| slots(text.as_bytes()).map(|slots| slots.len());
    assert_eq!(shown("5"), Ok(1));
    assert_eq!(shown("5 7-9,11"), Ok(5));
    for odd in ["", " ", "x", "16384", "9-7", "1,x"] {
        assert_eq!(shown(odd), Err(SLOT), "{odd:?}");
    }
}

#[test]
fn no_text_is_taken_that_is_not_written_alike() {
    const WORDS: &[&str] =
        &["<a>", "<b>", "<c>", "h", "1", "70000", "master", "slave", "-", "0-5", "5", "\n", "x"];
    for seed in 0..5000 {
        let mut random = Random::new(seed);
        let count = random.below(16);
        let words = (0..count).map(|_| {
            let at = usize::try_from(random.below(WORDS.len() as u64)).expect("it is small");
            WORDS[at]
        });
        let text = words.collect::<Vec<_>>().join(" ");
        let once = read(&text);
        if !once.starts_with('-') {
            assert_eq!(read(&once.replace('|', "\n")), once, "seed {seed}: {text:?}");
        }
    }
}
