"""What users of redis-py do first: smoke.py PORT runs it on that server, which is emptied."""

import sys
import threading

import redis


def strings(r):
    assert r.set("greeting", "hello", ex=100) is True
    assert r.get("greeting") == "hello"
    assert 0 < r.ttl("greeting") <= 100
    assert r.set("greeting", "again", nx=True) is None
    assert r.append("greeting", "!") == 6
    assert r.getdel("greeting") == "hello!"
    assert r.get("greeting") is None
    assert r.mset({"a": 1, "b": 2, "c": 3}) is True
    assert r.mget("a", "b", "none", "c") == ["1", "2", None, "3"]
    assert r.incrby("a", 41) == 42
    assert r.incrbyfloat("b", 0.5) == 2.5
    assert r.delete("a", "b", "none") == 2
    assert r.setbit("bits", 7, 1) == 0 and r.bitcount("bits") == 1
    try:
        r.incr("greeting", "no number")
        raise AssertionError("no error came")
    except redis.ResponseError as error:
        assert "not an integer" in str(error)


def pipelines(r):
    keys = [f"pipe:{number}" for number in range(1000)]
    with r.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.set(key, key.upper())
        for key in keys:
            pipe.get(key)
        replies = pipe.execute()
    assert replies == [True] * 1000 + [key.upper() for key in keys]


def transactions(r):
    with r.pipeline() as pipe:
        assert pipe.set("x", 1).incr("x").mget("x", "y").execute() == [True, 2, ["2", None]]
    with r.pipeline() as pipe:
        pipe.watch("x", "y")
        seen = int(pipe.get("x"))
        r.set("y", "changed by another")
        pipe.multi()
        pipe.set("x", seen + 1)
        try:
            pipe.execute()
            raise AssertionError("the change of a watched key went unnoticed")
        except redis.WatchError:
            pass
    assert r.get("x") == "2"

    def increment():
        def attempt(pipe):
            seen = int(pipe.get("x"))
            pipe.multi()
            pipe.set("x", seen + 1)

        for _ in range(25):
            r.transaction(attempt, "x")

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("x") == "102", r.get("x")


def scans(r):
    expected = {f"pipe:{number}" for number in range(1000)}
    assert set(r.scan_iter(match="pipe:*", count=50)) == expected
    assert set(r.keys("pipe:9?")) == {f"pipe:{number}" for number in range(90, 100)}
    assert len(expected) <= r.dbsize()


def the_server(r):
    assert r.ping() is True
    r.client_setname("smoke")
    assert r.client_getname() == "smoke"
    assert any(client["name"] == "smoke" for client in r.client_list())
    assert r.config_get("maxmemory") == {"maxmemory": "0"}
    assert r.info("server")["tcp_port"] == r.connection_pool.connection_kwargs["port"]
    assert r.object("encoding", "x") == "int"
    assert "get" in r.command()


def main():
    port = int(sys.argv[1])
    for protocol in (2, 3):
        r = redis.Redis(port=port, protocol=protocol, decode_responses=True)
        r.flushall()
        # One connection, because names and databases belong to connections.
        with r.client() as single:
            the_order = (strings, pipelines, scans)
            for step in the_order:
                step(single)
        transactions(r)
        with r.client() as single:
            the_server(single)
        other = redis.Redis(port=port, protocol=protocol, db=5, decode_responses=True)
        assert other.get("x") is None and other.set("x", "five") and r.get("x") == "102"
        assert r.swapdb(0, 5) is True and r.get("x") == "five"


main()
