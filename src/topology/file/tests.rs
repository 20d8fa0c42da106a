//! Files that are whole, and files that are not.

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn read(text: &str) -> Result<Desired, Corrupt> {
    load(&text.replace("<a>", A).replace("<b>", B))
}

#[test]
fn files_of_kvrocks_and_of_new_nodes_are_read() {
    assert_eq!(read(""), Ok(Desired::default()));
    assert_eq!(read("version -1\n"), Ok(Desired::default()));
    let named = read("version -1\nid <a>\n").expect("an id alone is enough");
    assert_eq!((named.id.is_some(), named.is_set()), (true, false));
    let kvrocks = read("version 7\nid <a>\nnode <a> h 1 master - 0-9\nnode <b> h 2 slave <a>\n");
    let kvrocks = kvrocks.expect("a file of Kvrocks has no hash");
    assert_eq!((kvrocks.version(), kvrocks.members().len()), (7, 2));
}

#[test]
fn a_file_that_is_cut_or_changed_is_refused_with_its_line() {
    let whole = text(&read("version 7\nid <a>\nnode <a> h 1 master - 0-9\n").expect("whole"));
    for (label, file, line) in [
        ("a node of gossip", "<a> 1.2.3.4:1@2 myself,master - 0 0 1 connected", 1),
        ("a version", "version x", 1),
        ("an id", "version 1\nid x", 2),
        ("a hash", "version 1\nhash x", 2),
        ("a node", "version 1\nid <a>\nnode <a> h", 3),
        ("no nodes", "version 1\nid <a>\n", 0),
        ("no version", "id <a>\nnode <a> h 1 master -", 0),
        ("overlapped", "version 1\nnode <a> h 1 master - 5\nnode <b> h 1 master - 5", 0),
        ("another slot", &whole.replace("0-9", "0-8"), 0),
        ("a node more", &format!("{whole}node <b> h 2 slave <a>\n"), 0),
    ] {
        let corrupt = read(file).expect_err(label);
        assert_eq!(corrupt.line, line, "{label}: {}", corrupt.reason);
    }
    for cut in 1..whole.len() {
        // What is lost of the first line is not noticed: then there is no line behind it.
        let is_seen = whole[..cut].lines().count() < 2 || read(&whole[..cut]).is_err();
        let is_whole = cut == whole.len() - 1;
        assert!(is_seen || is_whole, "{:?}", &whole[..cut]);
    }
}
