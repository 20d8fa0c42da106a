//! Growth of resident memory per key, also on the way: tables that grow in jumps show themselves.

use crate::options::Options;
use crate::process;
use crate::report::Report;
use crate::server::Server;

/// Points of the fill at which memory is looked at.
const STEPS: u64 = 10;

/// Measures one server after the other, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut head = vec!["server".to_owned()];
    head.extend((1..=STEPS).map(|step| (options.keys * step / STEPS).to_string()));
    let mut rows = vec![head];
    for peer in &options.peers {
        eprintln!("filling {}", peer.name);
        let server = Server::start(peer, options)?;
        let mut connection = server.connect()?;
        let before = process::resident_bytes(server.pid())?;
        let mut row = vec![peer.name.clone()];
        for step in 1..=STEPS {
            let (from, to) = (options.keys * (step - 1) / STEPS, options.keys * step / STEPS);
            connection.fill(from..to, 1000)?;
            let grown = process::resident_bytes(server.pid())?.saturating_sub(before);
            row.push(format!("{:.1}", grown as f64 / to.max(1) as f64));
        }
        rows.push(row);
    }
    report.say(
        "Growth of resident memory in bytes per key, by number of keys: 16 bytes of key, \
         64 bytes of value.",
    );
    report.table(&rows);
    Ok(())
}
