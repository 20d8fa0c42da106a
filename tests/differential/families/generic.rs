//! Keys of any type.

use super::{
    Family, Line, MILLISECONDS, Role, SECONDS, alike, exact, near, steady, unordered, wild,
};

pub const GENERIC: Family = Family { role: Role::Always(25), lines: LINES };

const OWN_CURSORS: &str = "a cursor is a place in an order of the server's own";

const LINES: &[Line] = &[
    exact("COPY key key {[DB db] [REPLACE]}"),
    exact("DEL key..."),
    exact("EXISTS key..."),
    exact("EXPIRE key seconds {[NX|XX] [GT|LT]}"),
    exact("EXPIREAT key at {[NX|XX] [GT|LT]}"),
    near("EXPIRETIME key", SECONDS),
    unordered("KEYS pattern"),
    exact("MOVE key db"),
    wild(exact("OBJECT ENCODING key")),
    exact("OBJECT FREQ key"),
    wild(near("OBJECT IDLETIME key", SECONDS)),
    alike("OBJECT REFCOUNT key", "Valkey shares small numbers, Keylane nothing"),
    exact("PERSIST key"),
    exact("PEXPIRE key ms {[NX|XX] [GT|LT]}"),
    exact("PEXPIREAT key at-ms {[NX|XX] [GT|LT]}"),
    near("PEXPIRETIME key", MILLISECONDS),
    near("PTTL key", MILLISECONDS),
    alike("RANDOMKEY", "chance decides"),
    exact("RENAME key key"),
    exact("RENAMENX key key"),
    // What DUMP gives goes to and fro in tests/dumps.rs.
    exact("RESTORE key int value {[REPLACE] [ABSTTL] [IDLETIME int] [FREQ int]}"),
    // What one call gives is each server's own; `round.rs` compares what all together give.
    alike("SCAN 0 COUNT 1000", OWN_CURSORS),
    wild(alike("SCAN int {[MATCH pattern] [COUNT count] [TYPE type-name]}", OWN_CURSORS)),
    // Equal weights are told apart by their elements, but not with both BY and ALPHA; and without
    // any sorting a set comes as it lies.
    steady(exact("SORT key {[LIMIT count index] [ASC|DESC] ALPHA [GET get-pattern] [STORE key]}")),
    steady(exact("SORT@8.0 key {[LIMIT count index] [DESC] [STORE key]}")),
    steady(exact(
        "SORT@8.0 key {BY by-pattern [LIMIT count index] [DESC] [GET get-pattern]... [STORE key]}",
    )),
    steady(exact(
        "SORT_RO@8.0 key {[BY by-pattern] [LIMIT count index] [GET get-pattern]... [DESC]}",
    )),
    steady(exact("SORT_RO key {[LIMIT count index] [GET get-pattern]... [DESC] ALPHA}")),
    steady(unordered("SORT key {BY NOSORT [ALPHA] [DESC] [GET get-pattern]}")),
    steady(exact("SORT key (LIMIT int|BY|GET|STORE|NOSUCHWORD|LIMIT int int int)")),
    steady(exact("SORT_RO key (STORE key|LIMIT|NOSUCHWORD)")),
    exact("TOUCH key..."),
    near("TTL key", SECONDS),
    exact("TYPE key"),
    exact("UNLINK key..."),
    wild(exact("NOSUCHCOMMAND key value...")),
    exact("OBJECT NOSUCHCOMMAND key"),
];
