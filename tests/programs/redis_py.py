"""redis-py: plain commands, pipelines, WATCH, a lock's commands, scans, publish and subscribe."""

import sys
import time

import redis

ports = [int(word) for word in sys.argv[1:]]
one, two, three = [redis.Redis(port=port, decode_responses=True) for port in ports[:3]]


def until(what, condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited 20 s until {what}"
        time.sleep(0.02)


assert one.set("py", "1", ex=100) is True
assert two.get("py") == "1"
assert 90 < three.ttl("py") <= 100
assert one.set("py", "2", nx=True) is None
assert two.incr("py", 5) == 6
assert three.mget("py", "none") == ["6", None]
assert redis.Redis(port=ports[3]).get("py") == b"6"

with one.pipeline() as pipe:
    assert pipe.set("p1", "x").incr("p2").get("p1").execute() == [True, 1, "x"]
with one.pipeline(transaction=False) as pipe:
    assert pipe.get("p1").get("p2").execute() == ["x", "1"]


def add(pipe):
    value = int(pipe.get("py"))
    pipe.multi()
    pipe.set("py", value + 1)


two.transaction(add, "py")
assert three.get("py") == "7"
with one.pipeline() as pipe:
    pipe.watch("py")
    two.set("py", "other")
    pipe.multi()
    pipe.set("py", "lost")
    try:
        pipe.execute()
        raise AssertionError("another client has changed the key")
    except redis.WatchError:
        pass
try:
    one.incr("py")
    raise AssertionError("it is no number")
except redis.ResponseError as error:
    assert str(error) == "value is not an integer or out of range", error

one.mset({f"scan:{i}": i for i in range(1000)})
assert len(set(two.scan_iter("scan:*", count=100))) == 1000
assert two.unlink(*two.keys("scan:*")) == 1000
assert three.dbsize() == two.dbsize()

listener = two.pubsub()
listener.subscribe("news")
listener.psubscribe("n*")
heard = []


def hears(count):
    def look():
        message = listener.get_message(timeout=0.1)
        if message is not None:
            heard.append((message["type"], message["data"]))
        return len(heard) == count

    return look


until("it is subscribed", hears(2))
assert three.publish("news", "hello") == 2
until("the messages have come", hears(4))
assert sorted(heard[2:]) == [("message", "hello"), ("pmessage", "hello")]

assert one.bitcount("p1") == 4
assert one.info("server")["redis_version"]
assert one.client_list()
one.pexpire("py", 30)
until("it has expired", lambda: two.get("py") is None)
