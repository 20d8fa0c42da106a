//! What a transaction leaves behind goes where it belongs, whatever else runs meanwhile.

use super::{requests, start};
use crate::asking::text;
use crate::client::{Client, Reply};

#[test]
fn what_an_exec_has_done_is_its_own_while_control_works_for_it() {
    const ROUNDS: usize = 150;
    const CLIENTS: usize = 6;
    let (running, port, mut watcher) = start(3, &[]);
    let mut clients: Vec<Client> = (0..2 * CLIENTS).map(|_| running.client(port)).collect();
    let (asking, moving) = clients.split_at_mut(CLIENTS);
    let set = (0..9).map(|number| format!(" all{number} 1")).collect::<String>();
    let exec = ["MULTI", &format!("MSET{set}"), "INFO server", "INCR all0", "EXEC"];
    let exec = requests(exec.map(str::to_owned));
    let moves = requests((0..30).map(|number| format!("SUNIONSTORE to{number} from x{number}")));
    text(&mut watcher, "SADD from a b c");
    for _ in 0..ROUNDS {
        asking.iter_mut().for_each(|it| it.send_raw(&exec).expect("the server takes it"));
        moving.iter_mut().for_each(|it| it.send_raw(&moves).expect("the server takes it"));
        for client in asking.iter_mut() {
            let replies = (0..5).map(|_| client.receive().expect("the server lives"));
            let Some(Reply::Group(_, replies)) = replies.last() else { panic!("EXEC was refused") };
            assert_eq!(replies[2], Reply::Integer(2), "no other EXEC comes between");
        }
        for client in moving.iter_mut() {
            for _ in 0..30 {
                let reply = client.receive().expect("the server lives");
                assert_eq!(reply, Reply::Integer(3), "all members are in the union");
            }
        }
    }
}
