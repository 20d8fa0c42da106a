//! MEMORY STATS

use shards::commands::spec::Spec;
use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::commands::own::{Own, OwnRun};
use crate::commands::server::gathered::{Gathered, difference, ratio};
use crate::commands::server::memory::EACH;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::mail::query::{Answer, DbFigures, Query};

pub(super) const STATS: Own = Own {
    spec: Spec { name: "memory|stats", summary: "Tells where the memory is.", ..EACH },
    run: OwnRun::Control(|_| Ok(Outcome::Ask(Query::Totals, stats))),
};

/// One line of the reply.
enum Value {
    Bytes(i64),
    Share(f64),
    Db(DbFigures),
}

fn stats(ctx: &mut ControlCtx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let lines = lines(&Gathered::new(ctx.control, answers));
    ctx.replies.map(lines.len());
    for (name, value) in lines {
        ctx.replies.bulk(name.as_bytes());
        match value {
            Value::Bytes(bytes) => ctx.replies.integer(bytes),
            Value::Share(share) => ctx.replies.double(share),
            Value::Db(db) => write_db(&mut ctx.replies, &db),
        }
    }
    Ok(())
}

fn write_db(replies: &mut Replies<'_>, db: &DbFigures) {
    replies.map(2);
    replies.bulk(b"overhead.hashtable.main");
    replies.integer(difference(db.table_bytes, 0));
    replies.bulk(b"overhead.hashtable.expires");
    replies.integer(difference(db.due_bytes, 0));
}

fn lines(gathered: &Gathered<'_>) -> Vec<(String, Value)> {
    let memory = gathered.memory();
    let heap = memory.heap;
    let bytes = |bytes: u64| Value::Bytes(difference(bytes, 0));
    let keys = gathered.dbs.iter().map(|db| db.keys).sum::<u64>();
    let mut lines: Vec<(String, Value)> = Vec::new();
    let mut put = |name: &str, value| lines.push((name.to_owned(), value));
    put("peak.allocated", bytes(memory.peak));
    put("total.allocated", bytes(memory.used));
    put("startup.allocated", bytes(memory.startup));
    put("replication.backlog", bytes(memory.backlog));
    for absent in ["replicas.repl.buffer", "clients.slaves"] {
        put(absent, bytes(0));
    }
    put("clients.normal", bytes(memory.clients));
    let absent = [
        "cluster.links",
        "cluster.slot_import",
        "cluster.slot_export",
        "aof.buffer",
        "lua.caches",
        "functions.caches",
    ];
    absent.iter().for_each(|absent| put(absent, bytes(0)));
    for (number, db) in gathered.dbs.iter().enumerate() {
        if db.keys != 0 {
            put(&format!("db.{number}"), Value::Db(*db));
        }
    }
    put("overhead.db.hashtable.lut", bytes(memory.tables));
    put("overhead.db.hashtable.rehashing", bytes(0));
    put("overhead.total", bytes(memory.overhead));
    put("db.dict.rehashing.count", bytes(0));
    put("keys.count", bytes(keys));
    let since_start = memory.used - memory.startup;
    put("keys.bytes-per-key", bytes(since_start.checked_div(keys).unwrap_or(0)));
    put("dataset.bytes", bytes(memory.dataset()));
    put("dataset.percentage", Value::Share(memory.dataset_percent()));
    put("peak.percentage", Value::Share(memory.peak_percent()));
    put("allocator.allocated", bytes(heap.allocated));
    put("allocator.active", bytes(heap.active));
    put("allocator.resident", bytes(heap.resident));
    put("allocator.muzzy", bytes(heap.muzzy));
    put("allocator-fragmentation.ratio", Value::Share(memory.fragmentation()));
    put("allocator-fragmentation.bytes", bytes(memory.fragmented()));
    put("allocator-rss.ratio", Value::Share(ratio(heap.resident, heap.active)));
    put("allocator-rss.bytes", Value::Bytes(difference(heap.resident, heap.active)));
    put("rss-overhead.ratio", Value::Share(ratio(memory.resident, heap.resident)));
    put("rss-overhead.bytes", Value::Bytes(difference(memory.resident, heap.resident)));
    put("fragmentation", Value::Share(ratio(memory.resident, memory.used)));
    put("fragmentation.bytes", Value::Bytes(difference(memory.resident, memory.used)));
    lines
}
