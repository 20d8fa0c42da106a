//! The server's process.

use std::net::SocketAddr;
use std::sync::Arc;

use keylane::commands::table;
use keylane::config::table::Config;
use keylane::coordination::mailbox;
use keylane::coordination::node::Node;
use keylane::coordination::router::SlotMap;
use keylane::reactor::allocator::Counting;
use keylane::reactor::clock::{Monotonic, TickRate};
use keylane::reactor::{cpus, sockets};
use keylane::serve::{Start, start_control, start_shard};
use keylane::coordination::control::Control;
use shards::base::hash::HashSeed;
use shards::base::random::Random;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let get = |name: &str, default: u16| -> u16 {
        args.iter().position(|a| a == name).map_or(default, |i| args[i + 1].parse().expect("number"))
    };
    let (port, shards) = (get("--port", 6379), get("--shards", 2));
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let mut listeners = vec![sockets::listen_tcp(address, 511)?];
    let table: &'static _ = Box::leak(Box::new(table::build(&[])?));
    let node = Node {
        config: Arc::new(Config::default()),
        table,
        slots: SlotMap::even(shards),
        seed: HashSeed(clock_seed()),
        tick_rate: TickRate::measure(),
        started: Monotonic::now(),
        now: Monotonic::now(),
    };
    let cpus = cpus::allowed()?;
    let mut random = Random::new(clock_seed());
    let mut handles = Vec::new();
    let mut boxes = mailbox::connect(usize::from(shards) + 1)?;
    let control = boxes.pop().expect("the last mailbox is control's");
    let _control = start_control(Control::new(control, node.clone()))?;
    for mailbox in boxes {
        let cpu = cpus.get(mailbox.me() % cpus.len()).copied();
        let random = Random::new(random.bits());
        let start = Start { mailbox, node: node.clone(), listeners: std::mem::take(&mut listeners), random };
        handles.push(start_shard(start, cpu)?);
    }
    for handle in handles {
        let _ = handle.join();
    }
    Ok(())
}

fn clock_seed() -> u64 {
    keylane::reactor::clock::wall_micros()
}
