//! Client libraries in other languages against a running server, as their users would call them.

#[path = "../client/mod.rs"]
mod client;
#[path = "../servers/mod.rs"]
mod servers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use servers::{free_port, start_keylane, start_keylane_with};

/// The version of redis-py that is tested with.
const REDIS_PY: &str = "redis==5.2.1";

#[test]
fn redis_py_gets_along_with_it() {
    let packages = install_redis_py();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/smoke.py");
    for shards in [1, 3] {
        let server = start_keylane(shards);
        let (_, port) = server.addr.rsplit_once(':').expect("host:port");
        let mut smoke = Command::new("python3");
        smoke.env("PYTHONPATH", &packages).arg("-B").arg(&script).arg(port);
        run(&mut smoke, "the smoke test");
    }
}

#[test]
fn redis_pys_cluster_client_gets_along_with_a_cluster() {
    let packages = install_redis_py();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/cluster.py");
    let nodes = [(); 3].map(|()| {
        let bus_port = free_port().to_string();
        let options = ["--cluster-enabled", "yes", "--cluster-port", &bus_port];
        (start_keylane_with(2, &options), bus_port)
    });
    let addresses = nodes.iter().map(|(server, bus_port)| {
        let (_, port) = server.addr.rsplit_once(':').expect("host:port");
        format!("{port}:{bus_port}")
    });
    let mut basics = Command::new("python3");
    basics.env("PYTHONPATH", &packages).arg("-B").arg(&script).args(addresses);
    run(&mut basics, "the test of the cluster client");
}

/// Installs redis-py into the folder for temporary files, once; that folder.
fn install_redis_py() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(REDIS_PY.replace("==", "-"));
    if !folder.join("redis/__init__.py").exists() {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
        ]);
        pip.arg("--upgrade").arg("--target").arg(&folder).arg(REDIS_PY);
        run(&mut pip, "pip, which this test needs to fetch redis-py,");
    }
    folder
}

#[track_caller]
fn run(command: &mut Command, what: &str) {
    let output: Output = command.output().unwrap_or_else(|error| {
        panic!("{what} does not start: {error}; install python3 and python3-pip")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what} failed ({}):\n{out}{errors}", output.status);
}
