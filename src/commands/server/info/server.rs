//! INFO server, tls, cpu, scriptingengines: the process and what it does not have.

use std::ops::Add;

use crate::commands::server::gathered::Gathered;
use crate::commands::server::info::Fields;
use crate::config::table::Config;
use crate::process::Supervisor;
use crate::reactor::system::CpuTime;
use crate::reactor::{clock, system};
use crate::shutdown::stage::Stage;
use crate::version::{REDIS_VERSION, VALKEY_VERSION, VERSION};

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// Bits of the clock that keys' times of last use are kept by.
const LRU_CLOCK_MASK: u64 = (1 << 24) - 1;

pub(super) fn write(gathered: &Gathered<'_>, fields: &mut Fields) {
    let control = gathered.control;
    let (config, process) = (&control.node.config, control.process);
    let uptime = control.node.now.millis_since(control.node.started) / 1000;
    fields.put("redis_version", REDIS_VERSION);
    fields.put("server_name", "valkey");
    fields.put("valkey_version", VALKEY_VERSION);
    fields.put("keylane_version", VERSION);
    fields.put("valkey_release_stage", "ga");
    fields.put("redis_git_sha1", "00000000");
    fields.put("redis_git_dirty", 0);
    fields.put("redis_build_id", 0);
    let mode = if config.extended_redis_compatibility { "redis_mode" } else { "server_mode" };
    fields.put(mode, if config.cluster_enabled { "cluster" } else { "standalone" });
    fields.put("os", system::name());
    fields.put("arch_bits", usize::BITS);
    let cycles = control.node.cycle_rate.cycles(1000) as f64 / 1000.0;
    fields.put("monotonic_clock", format_args!("X86 TSC @ {cycles:.2} ticks/us"));
    fields.put("multiplexing_api", "io_uring");
    fields.put("process_id", std::process::id());
    let supervised = match process.supervisor {
        Supervisor::None => "no",
        Supervisor::Systemd(_) => "systemd",
        Supervisor::Upstart => "upstart",
    };
    fields.put("process_supervised", supervised);
    fields.put("run_id", &control.run_id);
    fields.put("tcp_port", config.port);
    fields.put("server_time_usec", clock::wall_micros());
    fields.put("uptime_in_seconds", uptime);
    fields.put("uptime_in_days", uptime / SECONDS_PER_DAY);
    fields.put_all(&["hz", "configured_hz", "clients_hz"], config.hz);
    fields.put("lru_clock", clock::wall().seconds() & LRU_CLOCK_MASK);
    fields.put("executable", process.executable.display());
    let file = process.config_file.as_deref().unwrap_or("".as_ref());
    fields.put("config_file", file.display());
    fields.put("io_threads_active", 0);
    fields.put("availability_zone", &config.availability_zone);
    let stage = control.end.shutdown.stage();
    fields.put("shutdown_stage", stage.map_or("none", Stage::name));
    if let Some(left) = control.end_remaining() {
        fields.put("shutdown_in_milliseconds", left);
    }
    write_listeners(config, fields);
}

fn write_listeners(config: &Config, fields: &mut Fields) {
    let mut listeners = Vec::new();
    if config.port != 0 {
        let binds: String = config.bind.iter().map(|bind| format!(",bind={bind}")).collect();
        listeners.push(format!("name=tcp{binds},port={}", config.port));
    }
    if !config.unixsocket.as_os_str().is_empty() {
        listeners.push(format!("name=unix,bind={}", config.unixsocket.display()));
    }
    for (number, listener) in listeners.iter().enumerate() {
        fields.put(format_args!("listener{number}"), listener);
    }
}

/// There is no TLS.
pub(super) fn write_tls(_: &Gathered<'_>, fields: &mut Fields) {
    for certificate in ["server_cert", "client_cert", "ca_cert"] {
        fields.put(format_args!("tls_{certificate}_serial"), "none");
        fields.put(format_args!("tls_{certificate}_expires_in_seconds"), 0);
    }
}

pub(super) fn write_cpu(gathered: &Gathered<'_>, fields: &mut Fields) {
    let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let (own, children) = (system::cpu_time(), system::cpu_time_of_children());
    fields.put("used_cpu_sys", seconds(own.system));
    fields.put("used_cpu_user", seconds(own.user));
    fields.put("used_cpu_sys_children", seconds(children.system));
    fields.put("used_cpu_user_children", seconds(children.user));
    // What Valkey's main thread does all shards do together.
    let shards = gathered.shards.iter().map(|shard| shard.cpu);
    let shards = shards.fold(CpuTime::default(), CpuTime::add);
    fields.put("used_cpu_sys_main_thread", seconds(shards.system));
    fields.put("used_cpu_user_main_thread", seconds(shards.user));
    let active = gathered.control.node.cycle_rate.micros(gathered.counters.busy_cycles);
    fields.put("used_active_time_main_thread", seconds(active));
}

/// There are no scripts.
pub(super) fn write_scripting(_: &Gathered<'_>, fields: &mut Fields) {
    let names = ["engines_count", "engines_total_used_memory", "engines_total_memory_overhead"];
    fields.put_all(&names, 0);
}
