"""What users of redis-py's cluster client do first: cluster.py PORT:BUSPORT..., of new nodes."""

import sys
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

bus_ports = dict(tuple(map(int, word.split(":"))) for word in sys.argv[1:])
ports = list(bus_ports)
nodes = [redis.Redis(port=port, decode_responses=True) for port in ports]


def until(what, holds):
    """Waits for a condition."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


# The nodes become a cluster.
for number, node in enumerate(nodes):
    first, last = 16384 * number // len(nodes), 16384 * (number + 1) // len(nodes) - 1
    assert node.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
for port in ports[1:]:
    assert nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", port, bus_ports[port])
until("the cluster serves", lambda: all(
    node.cluster("INFO")["cluster_state"] == "ok"
    and node.cluster("INFO")["cluster_known_nodes"] == str(len(nodes))
    for node in nodes
))

# The client is told of one of them.
cluster = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", ports[2])], decode_responses=True)
assert len(cluster.get_primaries()) == len(nodes)

# Keys of all nodes, one by one and together.
keys = {f"key:{number}": str(number) for number in range(100)}
for key, value in keys.items():
    assert cluster.set(key, value)
assert all(cluster.get(key) == value for key, value in keys.items())
assert all(0 < node.dbsize() < len(keys) for node in nodes), "each node has some"
assert sum(node.dbsize() for node in nodes) == len(keys)
assert cluster.mset_nonatomic({"a": 1, "b": 2, "c": 3})
assert cluster.mget_nonatomic("a", "b", "c", "none") == ["1", "2", "3", None]
assert cluster.mset({"{tag}a": 1, "{tag}b": 2}) and cluster.mget("{tag}a", "{tag}b") == ["1", "2"]
assert cluster.delete("a", "b", "c") == 3

# A pipeline goes to all nodes, and its replies come in order.
with cluster.pipeline() as pipeline:
    for key in keys:
        pipeline.get(key)
    assert pipeline.execute() == list(keys.values())

# Errors are those that the client knows.
try:
    cluster.execute_command("MGET", "a", "b", target_nodes=cluster.get_node_from_key("a"))
    raise AssertionError("two slots")
except redis.exceptions.ClusterCrossSlotError:
    pass

# All kinds of values, and all keys.
assert cluster.rpush("list", "x", "y") == 2 and cluster.lrange("list", 0, -1) == ["x", "y"]
assert cluster.hset("hash", "field", "value") == 1 and cluster.hgetall("hash") == {"field": "value"}
assert cluster.zadd("zset", {"member": 1.5}) == 1 and cluster.zscore("zset", "member") == 1.5
assert set(cluster.scan_iter(match="key:*")) == set(keys)

# A slot moves: the client is sent on, and learns of it.
key = "key:0"
slot = cluster.keyslot(key)
source = cluster.get_node_from_key(key).port
target = next(port for port in ports if port != source)
by_port = dict(zip(ports, nodes))
ids = {port: node.execute_command("CLUSTER MYID") for port, node in by_port.items()}
by_port[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
by_port[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
assert by_port[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 10) == [key]
by_port[source].execute_command("MIGRATE", "127.0.0.1", target, key, 0, 5000)
assert cluster.get(key) == keys[key], "ASK"
for port in (target, source):
    by_port[port].execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])
assert cluster.get(key) == keys[key], "MOVED"
assert cluster.get_node_from_key(key).port == target

# Messages reach subscribers of every node.
subscriber = cluster.pubsub()
subscriber.subscribe("channel")
until("it subscribes", lambda: (subscriber.get_message() or {}).get("type") == "subscribe")
assert nodes[1].publish("channel", "hello") >= 0
until("a message comes", lambda: (subscriber.get_message() or {}).get("data") == "hello")

cluster.close()
