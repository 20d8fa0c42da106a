//! Nodes fail, and others take their place; roles change by hand.

use crate::nodes::{Cluster, KEY, ask, id};
use crate::servers::until;
use crate::{MIXES, play};

#[test]
fn a_replica_takes_the_place_of_a_primary_that_is_killed() {
    play("primary killed", MIXES, |cluster| {
        let (replica, name) = (cluster.replica_of(0), id(&cluster.nodes[0]));
        assert_eq!(ask_on_one_connection(cluster), "1", "{}", cluster.mix);
        cluster.nodes[0].kill();
        let takes_over = || cluster.is_primary(replica);
        until(&format!("{}: taken over", cluster.mix), takes_over, || cluster.describe());
        let heir = id(&cluster.nodes[replica]);
        cluster.until_all_agree("primary killed", |lines| {
            let of = |name: &str| lines.iter().find(|line| line.id == name);
            let has_slots = of(&heir).is_some_and(|heir| heir.slots.contains(&"0-5460".to_owned()));
            has_slots && of(&name).is_some_and(|gone| gone.flags.contains("fail"))
        });
        assert_eq!(ask(&cluster.nodes[replica], &["GET", KEY]), "kept", "{}", cluster.mix);

        cluster.nodes[0].start_again();
        assert_eq!(id(&cluster.nodes[0]), name, "{}: it is the same node", cluster.mix);
        cluster.until_all_agree("started again", |lines| {
            let node = lines.iter().find(|line| line.id == name);
            node.is_some_and(|node| node.flags == "slave" && node.primary == heir)
        });
        cluster.until_replicas_are_online();
    });
}

/// How many replicas have what was written before.
fn ask_on_one_connection(cluster: &Cluster) -> String {
    let mut client = cluster.nodes[0].client();
    let written = client.call(&["SET", KEY, "kept"]).expect("it answers");
    let waited = client.call(&["WAIT", "1", "5000"]).expect("it answers");
    match waited {
        crate::client::Reply::Integer(replicas) => replicas.to_string(),
        other => panic!("{written:?}, {other:?}"),
    }
}

#[test]
fn roles_change_by_hand() {
    play("manual failover", MIXES, |cluster| {
        for how in [&["CLUSTER", "FAILOVER"][..], &["CLUSTER", "FAILOVER", "FORCE"]] {
            change_roles(cluster, how);
        }
        change_roles(cluster, &["CLUSTER", "FAILOVER", "TAKEOVER"]);
    });
}

fn change_roles(cluster: &Cluster, words: &[&str]) {
    let primary = (0..cluster.nodes.len()).find(|place| {
        cluster.is_primary(*place)
            && ask(&cluster.nodes[*place], &["CLUSTER", "NODES"])
                .lines()
                .any(|line| line.contains("myself") && line.contains(" 0-5460"))
    });
    let primary = primary.expect("a node has slot 0");
    let replica = cluster.replica_of(primary);
    assert_eq!(ask(&cluster.nodes[primary], &["SET", KEY, &words.join(" ")]), "OK");
    let reply = ask(&cluster.nodes[replica], words);
    assert_eq!(reply, "OK", "{}: {words:?}", cluster.mix);
    let changes = || cluster.is_primary(replica) && !cluster.is_primary(primary);
    until(&format!("{}: {words:?}", cluster.mix), changes, || cluster.describe());
    let (heir, former) = (id(&cluster.nodes[replica]), id(&cluster.nodes[primary]));
    cluster.until_all_agree(&words.join(" "), |lines| {
        let node = lines.iter().find(|line| line.id == former);
        node.is_some_and(|node| node.primary == heir && node.slots.is_empty())
    });
    cluster.until_replicas_are_online();
    // What was written before a plain failover is there, and as a rule after the others.
    if words.len() == 2 {
        assert_eq!(ask(&cluster.nodes[replica], &["GET", KEY]), words.join(" "));
    }
}

#[test]
fn nodes_that_start_again_are_the_same_nodes() {
    play("all started again", &["kkkkkk", "kvkvkv"], |cluster| {
        let before = cluster.views()[0].clone();
        for node in &mut cluster.nodes {
            node.kill();
        }
        // At once: a node that starts late is taken for dead.
        std::thread::scope(|scope| {
            for node in &mut cluster.nodes {
                scope.spawn(|| node.start_again());
            }
        });
        cluster.until_all_agree("started again", |lines| {
            let mut pairs = lines.iter().zip(&before);
            let is_same = pairs.all(|(now, then)| now.id == then.id && now.slots == then.slots);
            lines.len() == before.len() && is_same
        });
        cluster.until_replicas_are_online();
    });
}
