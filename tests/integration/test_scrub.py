# SPDX-License-Identifier: Apache-2.0
"""The scrub finds what the devices did to the copies, and mends it from a good one."""
import time

import pytest

from support.chain import CHUNK, make_bytes, sha256
from support.consistency import settle
from support.stratad import wait_until

DATA = b"weights " * (CHUNK // 8) + make_bytes(CHUNK, "scrub") + b"end"
DIGEST = sha256(DATA)


@pytest.fixture
def server(make_server):
    """Every copy is due again after a second."""
    return make_server(scrub_interval="1s", scrub_bandwidth=0, cold_delete_after="0")


def move(api, tier):
    made = api.post(f"/blobs/{DIGEST}/move", {"tier": tier}, expect=202).json()
    wait_until(lambda: api.get(f"/moves/{made['id']}").json()["state"] == "done", 30, tier)


def copies(server, tier):
    return [path for path in (server.data / tier / "sha256").rglob("*") if path.is_file()]


def spoil(path, at=100):
    path.chmod(0o640)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(0o440)


def metric(api, name):
    for line in api.get("//metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def healed(server, bad, tier):
    """Another file is in its place, and it holds the blob."""
    wait_until(lambda: bad not in copies(server, tier) and copies(server, tier), 30, "healed")
    settle(server)
    aside = [path.name for path in (server.data / tier / "quarantine").iterdir()]
    return aside


def clear_quarantine(server):
    for path in server.data.glob("*/quarantine/*"):
        path.unlink()


def placements(server):
    """All that the rows say but when they were checked."""
    rows = server.database.rows("SELECT to_jsonb(p) - 'checked_at' FROM placements p ORDER BY id")
    return [row[0] for row in rows]


def rounds(server, count):
    """Until so many more copies were found good."""
    api = server.api()
    until = metric(api, "strata_scrub_copies_total") + count
    wait_until(lambda: metric(api, "strata_scrub_copies_total") >= until, 30, "they are read")


def test_good_copies_are_read_again_and_again(server):
    api = server.api()
    api.put_blob(DATA)
    rounds(server, 2)
    assert metric(api, "strata_scrub_bytes_total") >= 2 * len(DATA)
    assert metric(api, "strata_scrub_bad_total") == 0


@pytest.mark.parametrize("tier", ["hot", "cold"])
def test_a_flipped_bit_is_mended_from_another_copy(server, tier):
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    move(api, "hot")
    (bad,) = copies(server, tier)
    spoil(bad)
    aside = healed(server, bad, tier)
    assert len(aside) == 1 and bad.name in aside[0]
    assert api.get(f"/blobs/{DIGEST}").content == DATA
    assert metric(api, "strata_scrub_bad_total") == 1
    assert metric(api, "strata_copies_healed_total") == 1
    assert metric(api, "strata_copies_damaged") == 0
    assert server.database.value("SELECT count(*) FROM events WHERE kind = 'blob.healing'") == 1
    clear_quarantine(server)


def test_a_missing_copy_is_made_again(server):
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    move(api, "hot")
    (gone,) = copies(server, "cold")
    gone.unlink()
    wait_until(lambda: copies(server, "cold"), 30, "made again")
    settle(server)
    assert metric(api, "strata_scrub_bad_total") == 1


def test_the_only_copy_is_reported_and_kept(server):
    """Ranges that do not touch the bad chunk are served."""
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    (bad,) = copies(server, "cold")
    spoil(bad, at=bad.stat().st_size // 2)  # in the second chunk, which does not shrink
    wait_until(lambda: server.database.value("SELECT bool_or(damaged) FROM placements"), 30,
               "it is marked")
    server.is_damaged = True
    assert server.database.value("SELECT count(*) FROM events WHERE kind = 'blob.damaged'") == 1
    assert "the only copy of a blob is damaged" in server.log()
    first = api.get(f"/blobs/{DIGEST}", headers={"Range": f"bytes=0-{CHUNK - 1}"}, expect=206)
    assert first.content == DATA[:CHUNK]
    last = api.get(f"/blobs/{DIGEST}", headers={"Range": "bytes=-3"}, expect=206)
    assert last.content == b"end"
    assert api.get(f"/blobs/{DIGEST}", headers={"Range": f"bytes={CHUNK}-{CHUNK + 9}"}
                   ).status_code == 503
    assert bad.exists()


def test_a_good_round_changes_nothing_else(server):
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    move(api, "hot")
    settle(server)
    before = (placements(server), server.tier_files(),
              server.database.value("SELECT count(*) FROM events"))
    oldest = server.database.value("SELECT min(checked_at) FROM placements")
    rounds(server, 4)
    assert (placements(server), server.tier_files(),
            server.database.value("SELECT count(*) FROM events")) == before
    assert server.database.value("SELECT min(checked_at) FROM placements") > oldest


def test_a_copy_that_was_cut_is_made_again(server):
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    move(api, "hot")
    (bad,) = copies(server, "hot")
    bad.chmod(0o640)
    with open(bad, "r+b") as file:
        file.truncate(CHUNK + 10)
    healed(server, bad, "hot")
    assert copies(server, "hot")[0].read_bytes() == DATA
    assert metric(api, "strata_scrub_bad_total") == 1
    clear_quarantine(server)


def spoil_only(server, tier, at):
    """The one copy there is, until the scrub has marked it."""
    (bad,) = copies(server, tier)
    server.is_damaged = True
    spoil(bad, at)
    wait_until(lambda: metric(server.api(), "strata_copies_damaged") == 1, 30, "it is marked")
    return bad


def test_of_a_damaged_hot_copy_only_good_chunks_are_served(server):
    api = server.api()
    api.put_blob(DATA)
    spoil_only(server, "hot", at=CHUNK + 5)
    first = api.get(f"/blobs/{DIGEST}", headers={"Range": f"bytes=0-{CHUNK - 1}"}, expect=206)
    assert first.content == DATA[:CHUNK]
    bad = {"Range": f"bytes={CHUNK + 100}-{CHUNK + 109}"}
    assert api.get(f"/blobs/{DIGEST}", headers=bad).status_code == 503
    assert metric(api, "strata_copies_healed_total") == 0


def send(api):
    """In parts, as a client does that asks first whether the bytes are wanted."""
    made = api.post("/uploads", {"size": len(DATA), "sha256": DIGEST}, expect=201).json()
    size = made["part_size"]
    for number, at in enumerate(range(0, len(DATA), size)):
        api.put(f"/uploads/{made['id']}/parts/{number}", data=DATA[at:at + size], expect=204)
    api.post(f"/uploads/{made['id']}/complete", expect=201)


@pytest.mark.parametrize("tier", ["hot", "cold"])
@pytest.mark.parametrize("sent", [send, lambda api: api.put_blob(DATA)], ids=["parts", "whole"])
def test_sending_the_blob_again_mends_the_only_copy(server, tier, sent):
    api = server.api()
    api.put_blob(DATA)
    if tier == "cold":
        move(api, "cold")
    bad = spoil_only(server, tier, at=100)
    sent(api)
    wait_until(lambda: bad not in copies(server, tier) and copies(server, tier), 30, "it is new")
    settle(server)
    wait_until(lambda: metric(api, "strata_copies_damaged") == 0, 10, "nothing is damaged")
    assert copies(server, "hot")[0].read_bytes() == DATA
    assert api.get(f"/blobs/{DIGEST}").content == DATA
    assert metric(api, "strata_copies_healed_total") == (tier == "cold")
    server.is_damaged = False  # all is well again
    clear_quarantine(server)


def test_a_marked_copy_that_is_good_after_all(server):
    """A device that has come to its senses."""
    api = server.api()
    api.put_blob(DATA)
    bad = spoil_only(server, "hot", at=100)
    spoil(bad, at=100)
    wait_until(lambda: metric(api, "strata_copies_damaged") == 0, 30, "it is good")
    assert copies(server, "hot") == [bad]
    server.is_damaged = False


# ---- pace, and tiers that are away --------------------------------------------------


def test_it_keeps_its_pace(make_server):
    server = make_server(scrub_bandwidth=CHUNK)
    api = server.api()
    data = make_bytes(3 * CHUNK, "pace")
    api.put_blob(data)
    began = time.monotonic()
    assert api.post("/scrub", {"sha256": sha256(data)}, expect=202).json() == {"due": 1}
    wait_until(lambda: api.get("/scrub").json()["checked"] == 1, 30, "it was read")
    assert time.monotonic() - began >= 2.7  # 3 s, but for what it may run ahead


def test_nothing_is_found_on_a_tier_that_is_away(server):
    api = server.api()
    api.put_blob(DATA)
    move(api, "warm")
    settle(server)
    server.stop()
    aside = server.data / "warm.away"
    (server.data / "warm").rename(aside)
    (server.data / "warm").write_bytes(b"no folder")
    before = server.database.rows("SELECT checked_at FROM placements")
    server.start()
    api = server.api()
    other = make_bytes(100, "other")
    api.put_blob(other)
    rounds(server, 3)
    assert metric(api, "strata_scrub_bad_total") == 0
    assert server.database.rows(
        "SELECT checked_at FROM placements WHERE tier = 'warm' AND NOT damaged") == before
    assert api.post("/scrub", {"tier": "warm"}, expect=202).json() == {"due": 0}
    server.stop()
    (server.data / "warm").unlink()
    aside.rename(server.data / "warm")


# ---- a bucket -----------------------------------------------------------------------


@pytest.fixture
def cloudy(make_server, bucket, s3_proxy):
    """A copy in a bucket, which is reached through a proxy, and one on hot."""
    server = make_server(start=False, scrub_interval="1s", scrub_bandwidth=0,
                         **bucket.options(s3_proxy.endpoint, s3_timeout="2s"))
    server.bucket = bucket
    server.environment |= bucket.environment()
    server.start()
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    move(api, "hot")
    settle(server)
    return server


def objects(server):
    return [name for name in server.tier_copies() if name.startswith("cold/sha256/")]


def test_an_object_that_was_deleted_is_made_again(cloudy):
    (lost,) = objects(cloudy)
    cloudy.bucket.delete(lost.removeprefix("cold/"))
    wait_until(lambda: objects(cloudy) and objects(cloudy) != [lost], 30, "it is made again")
    settle(cloudy)
    assert metric(cloudy.api(), "strata_scrub_bad_total") == 1
    assert metric(cloudy.api(), "strata_copies_healed_total") == 1


def test_a_bucket_that_is_away_is_left_alone(cloudy, s3_proxy):
    (there,) = objects(cloudy)
    s3_proxy.fault("status", count=None, status=503, code="SlowDown", match="sha256/")
    wait_until(lambda: "the scrub cannot read a copy now" in cloudy.log(), 60, "it was tried")
    asked = len(s3_proxy.requests)
    rounds(cloudy, 3)  # of the copy on hot
    assert len([path for _, path in s3_proxy.requests[asked:] if "sha256/" in path]) == 0
    assert metric(cloudy.api(), "strata_scrub_bad_total") == 0
    assert not cloudy.database.value("SELECT bool_or(damaged) FROM placements")
    s3_proxy.heal()
    # Whoever asks need not wait until it is looked at again by itself.
    until = metric(cloudy.api(), "strata_scrub_copies_total")
    cloudy.api().post("/scrub", {"tier": "cold"}, expect=202)
    wait_until(lambda: cloudy.api().get("/scrub").json()["asked"] == 0, 30, "it was read")
    assert metric(cloudy.api(), "strata_scrub_copies_total") > until
    assert objects(cloudy) == [there]
