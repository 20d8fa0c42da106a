//! Who may use whom: the one place that says so.

/// A package and its modules in building order.
pub struct Package {
    pub name: &'static str,
    pub source: &'static str,
    /// What every module of the package may use.
    pub everywhere: &'static [&'static str],
    pub floors: &'static [Floor],
}

/// A top-level module.
pub struct Floor {
    pub module: &'static str,
    pub uses: Uses,
}

pub enum Uses {
    Only(&'static [&'static str]),
    AllAbove,
}

const fn floor(module: &'static str, uses: &'static [&'static str]) -> Floor {
    Floor { module, uses: Uses::Only(uses) }
}

const fn top(module: &'static str) -> Floor {
    Floor { module, uses: Uses::AllAbove }
}

/// Who may use whom: the one place that says so. ARCHITECTURE.md shows it.
pub const PACKAGES: &[Package] = &[
    Package {
        name: "shards",
        source: "shards/src",
        everywhere: &["base"],
        floors: &[
            floor("base", &[]),
            floor("resp", &[]),
            floor("encodings", &[]),
            floor("types", &["encodings"]),
            floor("journal", &["resp"]),
            floor("effects", &["resp", "journal"]),
            floor("rdb", &["encodings", "types"]),
            floor("keyspace", &["encodings", "types", "effects"]),
            top("commands"),
            top("shard"),
        ],
    },
    Package {
        name: "keylane",
        source: "src",
        everywhere: &["config", "shards"],
        floors: &[
            floor("shards", &[]),
            floor("version", &[]),
            floor("config", &[]),
            floor("shutdown", &[]),
            floor("replication", &[]),
            floor("cluster", &[]),
            floor("topology", &["cluster"]),
            floor("pubsub", &[]),
            floor("reactor", &[]),
            floor("log", &["reactor"]),
            floor("process", &["reactor", "log"]),
            floor("migration", &["reactor"]),
            floor("persistence", &["reactor", "log", "process"]),
            floor("journal", &["reactor"]),
            floor("routing", &["cluster", "pubsub", "reactor"]),
            floor("transactions", &["cluster", "pubsub", "reactor", "routing"]),
            floor("batches", &["cluster", "reactor", "routing", "transactions"]),
            floor("blocking", &["replication", "cluster", "reactor", "routing", "batches"]),
            floor(
                "clients",
                &[
                    "replication",
                    "cluster",
                    "pubsub",
                    "reactor",
                    "routing",
                    "transactions",
                    "batches",
                ],
            ),
            floor("stats", &["reactor", "routing", "batches", "clients"]),
            floor(
                "flows",
                &["replication", "reactor", "journal", "routing", "transactions", "batches"],
            ),
            floor(
                "mail",
                &[
                    "shutdown",
                    "replication",
                    "cluster",
                    "pubsub",
                    "reactor",
                    "persistence",
                    "routing",
                    "transactions",
                    "batches",
                    "blocking",
                    "clients",
                    "stats",
                    "flows",
                ],
            ),
            floor(
                "shard",
                &[
                    "shutdown",
                    "replication",
                    "cluster",
                    "pubsub",
                    "reactor",
                    "log",
                    "process",
                    "migration",
                    "persistence",
                    "journal",
                    "routing",
                    "transactions",
                    "batches",
                    "blocking",
                    "clients",
                    "stats",
                    "mail",
                    "flows",
                ],
            ),
            floor(
                "relay",
                &[
                    "version",
                    "replication",
                    "reactor",
                    "log",
                    "process",
                    "persistence",
                    "journal",
                    "routing",
                    "transactions",
                    "batches",
                    "clients",
                    "mail",
                    "flows",
                ],
            ),
            floor("bus", &["cluster", "reactor", "log", "process"]),
            floor(
                "control",
                &[
                    "cluster",
                    "topology",
                    "bus",
                    "shutdown",
                    "replication",
                    "pubsub",
                    "reactor",
                    "log",
                    "process",
                    "migration",
                    "persistence",
                    "routing",
                    "transactions",
                    "batches",
                    "blocking",
                    "clients",
                    "stats",
                    "mail",
                    "relay",
                    "flows",
                ],
            ),
            floor(
                "commands",
                &[
                    "cluster",
                    "topology",
                    "bus",
                    "version",
                    "shutdown",
                    "replication",
                    "pubsub",
                    "reactor",
                    "log",
                    "process",
                    "persistence",
                    "routing",
                    "transactions",
                    "batches",
                    "blocking",
                    "clients",
                    "stats",
                    "mail",
                    "control",
                ],
            ),
            floor(
                "metrics",
                &[
                    "version",
                    "replication",
                    "cluster",
                    "topology",
                    "pubsub",
                    "commands",
                    "shutdown",
                    "reactor",
                    "log",
                    "process",
                    "persistence",
                    "routing",
                    "stats",
                    "mail",
                    "control",
                ],
            ),
            top("start"),
            top("main"),
        ],
    },
    Package {
        name: "bench",
        source: "bench/src",
        everywhere: &["shards", "runner"],
        floors: &[
            floor("shards", &[]),
            floor("keylane", &[]),
            floor("runner", &[]),
            floor("parser", &[]),
            floor("table", &[]),
            floor("engine", &["parser"]),
            floor("expiry", &[]),
            floor("rdb", &[]),
            floor("staging", &[]),
            floor("hop", &["keylane"]),
            floor("journal", &["keylane"]),
        ],
    },
];

/// Floors of the tables above that are whole packages.
pub const OTHER_PACKAGES: &[&str] = &["shards", "keylane"];

/// Packages that may depend on packages of ours: a package that is not here may not.
pub const PACKAGE_USES: &[(&str, &[&str])] = &[
    (".", &["shards"]),
    ("bench", &["keylane", "shards"]),
    ("tests/fuzz", &["keylane", "shards"]),
];
