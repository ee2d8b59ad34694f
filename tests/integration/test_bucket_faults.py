# SPDX-License-Identifier: Apache-2.0
"""A bucket that fails under stratad: reads are served where a copy lies, moves go on by
themselves afterwards, and no source is dropped before its copy was read back."""
import contextlib
import threading

import pytest
import requests

from support import moves
from support.chain import make_bytes, sha256
from support.consistency import problems, settle
from support.stratad import wait_until

SIZE = 300_000
LARGE = 21 << 20  # goes in parts
OPTIONS = {"s3_timeout": "2s", "upload_expiry": "10s", "policy_interval": "1h",
           "cold_delete_after": "0"}

# What is done to requests for copies: (kind, method, more).
COPYING = [
    ("status", "PUT", {"status": 500}), ("status", "PUT", {"status": 503}),
    ("reset", "PUT", {}), ("hang", "PUT", {}), ("lose_answer", "PUT", {}),
    ("lose_object", "PUT", {}), ("flip_request", "PUT", {"at": 1000}),
    ("status", "GET", {"status": 503}), ("hang", "GET", {}), ("cut", "GET", {}),
    ("flip", "GET", {"at": 1000}), ("status", "HEAD", {"status": 500}),
]
READING = [("status", {"status": 500}), ("status", {"status": 503}), ("reset", {}),
           ("hang", {}), ("cut", {}), ("flip", {"at": 1000})]


def ids(case):
    return "-".join(str(part) for part in case[:-1]) + str(case[-1].get("status", ""))


@pytest.fixture
def server(make_server, bucket, s3_proxy):
    server = make_server(start=False, **OPTIONS, **bucket.options(s3_proxy.endpoint))
    server.bucket = bucket
    return server.start()


def failed_once(server, move):
    return wait_until(lambda: moves.show(server, move)["error"], 40, "an attempt failed")


def check(server, digest, data, *tiers):
    settle(server)
    assert moves.tiers_of(server, digest) == tiers
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    assert problems(server) == []


# ---- moves ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", COPYING, ids=ids)
def test_a_copy_to_a_bucket_that_fails(server, s3_proxy, case):
    """As long as it fails the source stays; then the move ends by itself."""
    kind, method, more = case
    data = moves.weights(SIZE, ids(case))
    digest = server.api().put_blob(data)
    fault = s3_proxy.fault(kind, count=None, method=method, match="sha256/", **more)
    move = moves.begin(server, digest, "cold")
    if kind == "lose_answer":  # it arrived, and is found to be right
        wait_until(lambda: fault.struck, what="it struck")
    else:
        failed_once(server, move)
        assert moves.tiers_of(server, digest) == ("hot",)
    assert fault.struck
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    s3_proxy.heal()
    shown = moves.wait(server, move, 60)
    assert shown["state"] == "done", shown
    check(server, digest, data, "cold")


@pytest.mark.parametrize("case", READING, ids=ids)
def test_a_promotion_from_a_bucket_that_fails(server, s3_proxy, case):
    kind, more = case
    data = moves.weights(SIZE, ids(case))
    digest = server.api().put_blob(data)
    moves.bring(server, digest, "cold")
    s3_proxy.fault(kind, count=None, method="GET", match="sha256/", **more)
    move = moves.begin(server, digest, "hot")
    failed_once(server, move)
    assert moves.tiers_of(server, digest) == ("cold",)
    s3_proxy.heal()
    assert moves.wait(server, move, 60)["state"] == "done"
    check(server, digest, data, "hot", "cold")


def test_a_burst_of_failures_under_many_moves(server, s3_proxy):
    api = server.api()
    made = {api.put_blob(data): data
            for data in (moves.weights(SIZE, f"burst {n}") for n in range(8))}
    large = moves.weights(LARGE, "burst")
    made[api.put_blob(large)] = large
    asked = [moves.begin(server, digest, "cold") for digest in made]
    for kind, more in (("status", {"status": 500}), ("cut", {"after": 5000}),
                       ("status", {"status": 503}), ("lose_answer", {})):
        s3_proxy.fault(kind, count=None, **more)
        threading.Event().wait(0.7)
        s3_proxy.heal()
    for move in asked:
        assert moves.wait(server, move, 90)["state"] == "done"
    for digest, data in made.items():
        check(server, digest, data, "cold")


def test_a_deletion_that_comes_late_meets_no_copy(server, s3_proxy):
    """The first copy is read back wrong and removed; its DELETE arrives when the second
    one is there, under a name of its own."""
    data = moves.weights(SIZE, "late")
    digest = server.api().put_blob(data)
    late = s3_proxy.fault("late", count=1, method="DELETE", delay=4)
    s3_proxy.fault("flip", count=None, method="GET", match="sha256/", at=1000)
    move = moves.begin(server, digest, "cold")
    assert "other bytes" in failed_once(server, move)
    s3_proxy.heal()
    assert moves.wait(server, move, 60)["state"] == "done" and late.struck
    s3_proxy.finish_late()
    check(server, digest, data, "cold")


# ---- reads ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", READING[:-1], ids=ids)
def test_cold_reads_get_over_what_passes(server, s3_proxy, case):
    kind, more = case
    data = moves.weights(SIZE, f"read {ids(case)}")
    digest = server.api().put_blob(data)
    moves.bring(server, digest, "cold")
    fault = s3_proxy.fault(kind, count=1, method="GET", match="sha256/", **more)
    answer = server.api().get(f"/blobs/{digest}")
    assert fault.struck
    assert answer.status_code == 200 and answer.content == data
    check(server, digest, data, "cold")


def test_cold_reads_are_never_wrong(server, s3_proxy):
    """While every answer has a flipped bit: cut or refused; healed, all is there."""
    data = moves.weights(SIZE, "never wrong")
    digest = server.api().put_blob(data)
    moves.bring(server, digest, "cold")
    s3_proxy.fault("flip", count=None, method="GET", match="sha256/", at=1000)
    try:
        answer = server.api().get(f"/blobs/{digest}", check=False)
        assert answer.status_code != 200, "these bytes cannot be right"
    except requests.RequestException:
        pass
    s3_proxy.heal()
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data


def is_damaged(server):
    return server.database.value("SELECT bool_or(damaged) FROM placements")


DATA = {"encoded": moves.weights(SIZE, "flips"), "raw": make_bytes(SIZE, "flips"),
        "raw_without_checksums": make_bytes(SIZE, "older")}


def bring_cold(server, digest, kind):
    moves.bring(server, digest, "cold")
    if kind == "raw_without_checksums":  # as an older stratad made them
        assert server.database.rows("UPDATE placements SET seek_table = NULL WHERE tier = 'cold'"
                                    " AND octet_length(seek_table) = 8 RETURNING id")


@pytest.mark.parametrize("kind", DATA)
def test_a_bit_that_flips_on_the_way_is_no_damage(server, s3_proxy, kind):
    """The object is good: it is asked for once more, by reads and by moves."""
    api = server.api()
    digest = api.put_blob(DATA[kind])

    def flip():
        return s3_proxy.fault("flip", method="GET", match="sha256/", at=1000)

    verifying = flip()
    bring_cold(server, digest, kind)
    reading = flip()
    assert api.get(f"/blobs/{digest}", expect=200).content == DATA[kind]
    assert verifying.struck == reading.struck == 1
    promoting = flip()
    moves.bring(server, digest, "hot")
    assert promoting.struck == 1
    assert server.database.value("SELECT max(attempts) FROM moves") == 1
    assert not is_damaged(server)
    assert server.database.value("SELECT count(*) FROM events WHERE kind = 'blob.damaged'") == 0
    check(server, digest, DATA[kind], "hot", "cold")


def test_whatever_is_read_of_an_encoded_copy_may_flip_once(server, s3_proxy):
    """Its verification reads head and rest of the description, end and rest of the seek
    table, and the one frame."""
    for number in range(1, 6):
        digest = server.api().put_blob(moves.weights(SIZE, f"request {number}"))
        fault = s3_proxy.fault("flip", every=number, method="GET", match="sha256/")
        moves.bring(server, digest, "cold")
        assert fault.struck == 1
        s3_proxy.heal()
    assert server.database.value("SELECT max(attempts) FROM moves") == 1


@pytest.mark.parametrize("kind", DATA)
def test_bits_that_flip_each_time_are_damage(server, s3_proxy, kind):
    digest = server.api().put_blob(DATA[kind])
    bring_cold(server, digest, kind)
    s3_proxy.fault("flip", count=None, method="GET", match="sha256/", at=1000)
    with pytest.raises((AssertionError, requests.RequestException)):
        server.api().get(f"/blobs/{digest}", check=False, expect=200)
    assert is_damaged(server)
    s3_proxy.heal()
    assert server.api().get(f"/blobs/{digest}", expect=200).content == DATA[kind]


# ---- the end --------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["read", "promotion", "demotion"])
def test_a_bucket_that_hangs_does_not_hold_up_the_end(make_server, bucket, s3_proxy, what):
    """What waits for it is cut once the time to drain is over; moves go on later."""
    options = {**OPTIONS, "s3_timeout": "200s", "drain_timeout": "300ms"}
    server = make_server(**options, **bucket.options(s3_proxy.endpoint))
    server.bucket = bucket
    data = moves.weights(SIZE, what)
    digest = server.api().put_blob(data)
    if what != "demotion":
        moves.bring(server, digest, "cold")
    hanging = s3_proxy.fault("hang", count=None, match="sha256/",
                             method="PUT" if what == "demotion" else "GET")
    if what == "read":
        api = server.api()
        reader = threading.Thread(target=read_quietly, args=(api, digest))
        reader.start()
    else:
        move = moves.begin(server, digest, "cold" if what == "demotion" else "hot")
    wait_until(lambda: hanging.struck, what="it hangs")
    server.stop(seconds=10)
    assert "stays for now" not in server.log(), "there was time to tidy up"
    s3_proxy.heal()
    if what == "read":
        reader.join()
    server.start()
    if what != "read":
        assert moves.wait(server, move)["state"] == "done"
    check(server, digest, data, *{"promotion": ("hot", "cold")}.get(what, ("cold",)))


def read_quietly(api, digest):
    with contextlib.suppress(requests.RequestException):
        api.get(f"/blobs/{digest}", check=False)


# ---- away -----------------------------------------------------------------------------


def test_a_bucket_that_goes_away(server, s3_proxy):
    """What lies elsewhere is read, uploads are taken, moves and copies for safety wait
    and go on by themselves."""
    api = server.api()
    both, cold, hot = (moves.weights(SIZE, f"away {n}") for n in range(3))
    digests = [api.put_blob(data) for data in (both, cold, hot)]
    for digest in digests[:2]:
        moves.bring(server, digest, "cold")
    moves.bring(server, digests[0], "hot")
    s3_proxy.fault("reset", count=None)
    move = moves.begin(server, digests[2], "cold")
    fresh = make_bytes(SIZE, "uploaded while it is away")
    api.publish("acme/away", {"fresh": fresh})
    assert api.get(f"/blobs/{digests[0]}", expect=200).content == both
    assert api.get(f"/blobs/{digests[2]}", expect=200).content == hot
    assert api.get(f"/blobs/{digests[1]}").status_code == 503
    failed_once(server, move)
    s3_proxy.heal()
    assert moves.wait(server, move, 60)["state"] == "done"
    for digest, data, tiers in ((digests[0], both, ("hot", "cold")),
                                (digests[1], cold, ("cold",)), (digests[2], hot, ("cold",))):
        assert api.get(f"/blobs/{digest}", expect=200).content == data
        assert moves.tiers_of(server, digest) == tiers
    wait_until(lambda: moves.tiers_of(server, sha256(fresh)) == ("hot", "cold"), 60,
               "a copy for safety is made")
    check(server, sha256(fresh), fresh, "hot", "cold")


def test_a_bucket_that_is_away_at_the_start(server, s3_proxy):
    data = moves.weights(SIZE, "start")
    digest = server.api().put_blob(data)
    moves.bring(server, digest, "cold")
    server.stop()
    s3_proxy.fault("reset", count=None)
    server.start()
    api = server.api()
    assert tier(api, "cold")["state"] == "offline"
    assert api.get(f"/blobs/{digest}").status_code == 503
    other = api.put_blob(b"stored meanwhile")
    move = moves.begin(server, other, "cold")
    assert api.get(f"/blobs/{other}", expect=200).content == b"stored meanwhile"
    s3_proxy.heal()
    wait_until(lambda: tier(api, "cold")["state"] == "online", 30, "it is back")
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    assert moves.wait(server, move, 60)["state"] == "done"
    check(server, other, b"stored meanwhile", "cold")


def tier(api, name):
    shown = api.get("/tiers", expect=200).json()["tiers"]
    return next(entry for entry in shown if entry["tier"] == name)


# ---- archived -------------------------------------------------------------------------


def test_a_copy_in_an_archive_class_is_brought_back(server, s3_proxy):
    """Whoever reads it is told to come again, the bucket is asked to restore it, and the
    copy is neither damaged nor gone; restored, it is read and the move ends."""
    data = moves.weights(SIZE, "archived")
    api = server.api()
    digest = api.put_blob(data)
    api.publish("acme/archived", {"w.safetensors": digest})
    moves.bring(server, digest, "cold")
    server.restart()  # what is decoded is not in memory any more
    api = server.api()
    s3_proxy.fault("archived", count=None, method="GET", match="sha256/")
    restore = s3_proxy.fault("status", count=None, method="POST", match="?restore=",
                             status=202, code="")
    of_file = "/models/acme/archived/versions/1/files/w.safetensors"
    for path, headers in ((f"/blobs/{digest}", {}), (of_file, {}),
                          (f"/blobs/{digest}", {"Range": "bytes=5-9"})):
        asked = restore.struck
        answer = api.get(path, headers=headers, expect=202)
        assert int(answer.headers["Retry-After"]) > 0
        assert restore.struck > asked
        shown = answer.json()
        assert (shown["sha256"], shown["to"]) == (digest, "hot"), shown
    api.head(f"/blobs/{digest}", expect=200)
    move = int(shown["id"])
    assert "asked to bring it back" in failed_once(server, move)
    assert moves.tiers_of(server, digest) == ("cold",)
    assert not server.database.value("SELECT bool_or(damaged) FROM placements")
    assert tier(api, "cold")["state"] == "online"
    s3_proxy.heal()
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    assert moves.wait(server, move, 60)["state"] == "done"
    check(server, digest, data, "hot", "cold")
