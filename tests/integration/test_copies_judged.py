# SPDX-License-Identifier: Apache-2.0
"""What counts as a good copy: only what can be seen now on a tier that is ours. No copy
gives way to one that is merely in a row, and no file or object is thrown away that may
hold what no other copy has."""
import json
import threading

import pytest

from support import moves
from support.chain import CHUNK, make_bytes, sha256
from support.consistency import problems, settle
from support.faults import Faults
from support.stratad import sanitized, wait_until

SIZE = 300_000
QUIET = {"policy_interval": "1h", "upload_expiry": "10s"}


@pytest.fixture
def server(make_server):
    return make_server(**QUIET)


def tier(api, name):
    shown = api.get("/tiers", expect=200).json()["tiers"]
    return next(entry for entry in shown if entry["tier"] == name)


def row(server, digest, name):
    """(id, damaged) of the copy there that is not being dropped."""
    [found] = server.database.rows(
        "SELECT id, damaged FROM placements WHERE sha256 = decode(%s, 'hex') AND tier = %s"
        " AND state <> 'dropping'", digest, name)
    return found


def file_of(server, digest, name):
    number = row(server, digest, name)[0]
    return server.tier_folder(name) / "sha256" / digest[:2] / f"{digest}.{number}"


def spoil(path, at):
    mode = path.stat().st_mode
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    path.chmod(mode)


def on_two(server, below, above, data):
    digest = server.api().put_blob(data)
    moves.bring(server, digest, below)
    moves.bring(server, digest, above)
    settle(server)
    assert moves.tiers_of(server, digest) == (above, below)
    return digest


def scrub(server, digest, name):
    """Checks the copy there now, and waits until that is done."""
    api = server.api()
    assert api.post("/scrub", {"sha256": digest, "tier": name}, expect=202).json()["due"] == 1
    wait_until(lambda: not server.database.value(
        "SELECT count(*) FROM placements WHERE checked_at = 'epoch' AND state = 'ready'"), 30,
        "it was checked")


# ---- what stands for a copy -----------------------------------------------------------


def test_a_demotion_to_a_copy_that_is_missing(server):
    """The one above stays until there is another."""
    data = make_bytes(SIZE, "demotion")
    digest = on_two(server, "warm", "hot", data)
    lost = file_of(server, digest, "warm")
    lost.unlink()
    assert moves.wait(server, moves.begin(server, digest, "warm"), 60)["state"] == "done"
    settle(server)
    assert moves.tiers_of(server, digest) == ("warm",)
    assert file_of(server, digest, "warm") != lost
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    assert problems(server) == []


def test_a_bad_copy_is_not_dropped_for_one_that_is_missing(server):
    """Its good chunks are all there is of them."""
    data = make_bytes(2 * CHUNK, "two bad ones")
    digest = on_two(server, "warm", "hot", data)
    file_of(server, digest, "warm").unlink()
    bad = file_of(server, digest, "hot")
    spoil(bad, CHUNK + 7)
    server.is_damaged = True
    scrub(server, digest, "hot")
    assert row(server, digest, "hot")[1] and bad.exists()
    part = server.api().get(f"/blobs/{digest}", headers={"Range": f"bytes=0-{CHUNK - 1}"},
                            expect=206)
    assert part.content == data[:CHUNK]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_bad_copy_stays_until_it_can_be_set_aside(server, restarts):
    data = make_bytes(SIZE, "aside")
    digest = on_two(server, "warm", "hot", data)
    bad = file_of(server, digest, "hot")
    folder = server.data / "hot" / "quarantine"
    folder.rename(server.data / "hot.aside")
    spoil(bad, 7)
    scrub(server, digest, "hot")
    wait_until(lambda: server.database.value(
        "SELECT count(*) FROM placements WHERE tier = 'hot' AND state = 'ready'"), 60,
        "another is made")
    assert bad.exists()
    if restarts:
        server.stop()
    (server.data / "hot.aside").rename(folder)
    if restarts:
        server.start()
    wait_until(lambda: not bad.exists(), 30, "it is set aside")
    assert [path.name.split(".", 1)[1] for path in folder.iterdir()] == [bad.name]
    settle(server)
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    server.is_damaged = True


def test_a_copy_of_a_bad_file_blames_the_file(server):
    """It is copied unchecked; its copy's verification fails, and another copy is taken."""
    data = make_bytes(CHUNK + 5, "bad file")
    digest = on_two(server, "cold", "hot", data)
    spoil(file_of(server, digest, "hot"), CHUNK + 2)
    bad = file_of(server, digest, "hot")
    move = moves.begin(server, digest, "warm")
    assert moves.wait(server, move, 30)["state"] == "done"
    assert server.database.value("SELECT attempts FROM moves WHERE id = %s", move) == 2
    settle(server)
    assert file_of(server, digest, "warm").read_bytes() == data
    aside = (server.tier_folder("hot") / "quarantine").iterdir()
    assert [path.name.split(".", 1)[1] for path in aside] == [bad.name]
    server.is_damaged = True


def test_a_copy_of_the_only_file_which_is_bad(server):
    digest = server.api().put_blob(make_bytes(CHUNK + 5, "only file"))
    spoil(file_of(server, digest, "hot"), 2)
    server.is_damaged = True
    move = moves.begin(server, digest, "warm")
    error = wait_until(lambda: moves.show(server, move)["error"], 30, "an attempt failed")
    assert "chunk 0 of placement" in error and "not to be trusted" not in error
    assert row(server, digest, "hot")[1]
    assert moves.tiers_of(server, digest) == ("hot",)
    server.api().delete(f"/moves/{move}")


def test_an_upload_beside_a_move_that_may_fail(server, problem):
    """A copy under way is none: the upload's bytes are kept until it is seen."""
    api = server.api()
    data = make_bytes(SIZE, "beside")
    digest = api.put_blob(data)
    moves.bring(server, digest, "warm")
    settle(server)
    only = file_of(server, digest, "warm")
    spoil(only, 7)
    scrub(server, digest, "warm")
    assert row(server, digest, "warm")[1]
    # The rows of a promotion, as its mover would leave them while it copies.
    held = server.database.value(
        "INSERT INTO placements (sha256, tier, node_id, state, stored_size)"
        " SELECT sha256, 'hot', node_id, 'copying', stored_size FROM placements RETURNING id")
    made = api.post("/uploads", {"size": SIZE, "sha256": digest}, expect=201).json()
    api.put(f"/uploads/{made['id']}/parts/0", data=data, expect=204)
    problem(api.post(f"/uploads/{made['id']}/complete"), 503, "unavailable")
    server.database.value("DELETE FROM placements WHERE id = %s RETURNING id", held)
    api.post(f"/uploads/{made['id']}/complete", expect=201)
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    wait_until(lambda: not problems(server, quarantine=True), 30, "the scrub mends the other")
    server.is_damaged = True


def test_what_an_ended_move_left_is_removed(server):
    """Nothing waits for it for ever."""
    api = server.api()
    data = make_bytes(SIZE, "left")
    digest = api.put_blob(data)
    move = moves.begin(server, digest, "warm")
    assert moves.wait(server, move)["state"] == "done"
    settle(server)
    left = server.database.value(
        "INSERT INTO placements (sha256, tier, node_id, state, stored_size)"
        " SELECT sha256, 'hot', node_id, 'copying', stored_size FROM placements RETURNING id")
    server.database.value("UPDATE moves SET placement_id = %s, to_tier = 'hot',"
                          " state = 'cancelled', finished_at = now() - interval '90 days'"
                          " WHERE id = %s RETURNING id", left, move)
    file = server.tier_folder("hot") / "sha256" / digest[:2] / f"{digest}.{left}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"half")
    wait_until(lambda: not server.database.value(
        "SELECT count(*) FROM placements WHERE id = %s", left), 30, "its row is gone")
    assert not file.exists()
    settle(server)
    assert problems(server) == []


# ---- whose bucket ---------------------------------------------------------------------


@pytest.fixture
def remote(make_server, bucket):
    server = make_server(start=False, **QUIET, s3_timeout="2s", **bucket.options())
    server.bucket = bucket
    return server.start()


def object_of(server, digest):
    [key] = [key for key in server.bucket.keys() if digest in key and "quarantine" not in key]
    return key


def test_a_bucket_that_becomes_anothers_is_not_judged(remote, bucket):
    """Nothing in it is missing: it is not ours any more. Given back, all is as before."""
    api = remote.api()
    data = moves.weights(SIZE, "swapped")
    digest = api.put_blob(data)
    moves.bring(remote, digest, "cold")
    settle(remote)
    remote.stop()
    remote.start()
    api = remote.api()
    key = object_of(remote, digest)
    identity = next(k for k in bucket.keys() if k.endswith("strata-tier.json"))
    kept = {k: bucket.get(k) for k in (key, identity)}
    foreign = dict(json.loads(kept[identity]), cluster="00000000-0000-0000-0000-000000000000")
    bucket.put(identity, json.dumps(foreign).encode())
    bucket.delete(key)
    assert api.get(f"/blobs/{digest}").status_code == 503
    wait_until(lambda: tier(api, "cold")["state"] == "offline", 30, "it is offline")
    assert not row(remote, digest, "cold")[1]
    assert json.loads(bucket.get(identity)) == foreign
    for name, content in kept.items():
        bucket.put(name, content)
    wait_until(lambda: tier(api, "cold")["state"] == "online", 30, "it is back")
    assert api.get(f"/blobs/{digest}", expect=200).content == data


@pytest.mark.parametrize("wrong", [b"\0" * 8, b"\0"], ids=["values", "length"])
def test_checksums_that_the_chain_refutes(remote, wrong):
    """The object is good, its row's checksums are not: it is read all the same."""
    api = remote.api()
    data = make_bytes(SIZE, "refuted")
    digest = api.put_blob(data)
    moves.bring(remote, digest, "cold")
    settle(remote)
    remote.stop()
    [_] = remote.database.rows(
        "UPDATE placements SET seek_table = %s WHERE octet_length(seek_table) = 8"
        " RETURNING id", wrong)
    remote.start()
    api = remote.api()
    if len(wrong) == 8:
        assert api.get(f"/blobs/{digest}").status_code == 503
        assert row(remote, digest, "cold")[1]
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    api.post("/scrub", {"tier": "cold"}, expect=202)
    wait_until(lambda: not row(remote, digest, "cold")[1], 30, "it is cleared")
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    assert not row(remote, digest, "cold")[1]
    assert moves.tiers_of(remote, digest) == ("cold",)
    kept = remote.database.value("SELECT seek_table FROM placements")
    assert kept == (None if len(wrong) == 8 else wrong)


def test_a_move_from_a_bucket_that_lost_the_object(remote, bucket):
    """It waits for the bytes; sent again they are where they were asked for."""
    api = remote.api()
    data = moves.weights(SIZE, "lost object")
    digest = api.put_blob(data)
    moves.bring(remote, digest, "cold")
    settle(remote)
    bucket.delete(object_of(remote, digest))
    remote.is_damaged = True
    move = moves.begin(remote, digest, "warm")
    wait_until(lambda: row(remote, digest, "cold")[1], 30, "it is marked")
    assert moves.show(remote, move)["state"] in ("queued", "copying")
    api.put_blob(data)
    assert moves.wait(remote, move, 60)["state"] == "done"
    settle(remote)
    assert "warm" in moves.tiers_of(remote, digest)
    assert api.get(f"/blobs/{digest}", expect=200).content == data


@pytest.fixture
def behind(make_server, bucket, s3_proxy):
    """A server whose bucket is reached through a proxy."""
    server = make_server(start=False, **QUIET, s3_timeout="2s", protect_after="1s",
                         cold_delete_after="0", **bucket.options(s3_proxy.endpoint))
    server.bucket = bucket
    server.environment |= bucket.environment()
    return server.start()


class Hold:
    """Holds the next request that fits until it is released."""

    def __init__(self, proxy, method, match):
        self.reached, self.until = threading.Event(), threading.Event()
        proxy.fault("hold", method=method, match=match, reached=self.reached,
                    until=self.until)

    def wait(self):
        assert self.reached.wait(30)

    def release(self):
        self.until.set()


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_bucket_that_goes_away_under_a_copy(behind, bucket, s3_proxy, comes_back):
    """The move does not end there: what was above stays until there is a copy in the
    bucket that is ours."""
    api = behind.api()
    data = make_bytes(SIZE, "under a copy")
    held = Hold(s3_proxy, "PUT", "sha256/")
    digest = api.put_blob(data)
    move = moves.begin(behind, digest, "cold")
    held.wait()
    identity = bucket.get("strata-tier.json")
    bucket.delete("strata-tier.json")
    wait_until(lambda: tier(api, "cold")["state"] == "offline", 30, "it is offline")
    if comes_back:
        bucket.put("strata-tier.json", identity)
        wait_until(lambda: tier(api, "cold")["state"] == "online", 30, "it is back")
    held.release()
    wait_until(lambda: moves.show(behind, move)["error"], 30, "the attempt fails")
    assert moves.tiers_of(behind, digest) == ("hot",)
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    if not comes_back:
        bucket.put("strata-tier.json", identity)
    assert moves.wait(behind, move, 60)["state"] == "done"
    settle(behind)
    assert moves.tiers_of(behind, digest) == ("cold",)
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    assert problems(behind) == []


@pytest.mark.parametrize("size", [SIZE, 20 << 20], ids=["whole", "in parts"])
def test_a_404_from_the_target_is_not_the_sources(behind, s3_proxy, size):
    data = make_bytes(size, "404")
    digest = behind.api().put_blob(data)
    s3_proxy.fault("status", count=None, status=404, code="PageNotFound", match="sha256/")
    move = moves.begin(behind, digest, "cold")
    wait_until(lambda: moves.show(behind, move)["error"], 30, "the attempt fails")
    assert moves.show(behind, move)["state"] in ("queued", "copying")
    assert not row(behind, digest, "hot")[1]
    s3_proxy.heal()
    assert moves.wait(behind, move, 60)["state"] == "done"
    settle(behind)
    assert behind.api().get(f"/blobs/{digest}", expect=200).content == data


def test_a_cancelled_heal_leaves_no_blob_unprotected(behind, bucket, s3_proxy):
    api = behind.api()
    data = make_bytes(SIZE, "cancelled heal")
    digest = api.put_blob(data)
    api.publish("acme/heal", {"w": data})
    moves.bring(behind, digest, "cold")
    moves.bring(behind, digest, "hot")
    settle(behind)
    bucket.delete(object_of(behind, digest))
    held = Hold(s3_proxy, "PUT", "sha256/")
    scrub(behind, digest, "cold")
    held.wait()
    heal = behind.database.value("SELECT max(id) FROM moves WHERE cause = 'heal'")
    api.delete(f"/moves/{heal}", expect=204)
    held.release()
    assert moves.wait(behind, heal)["state"] == "cancelled"
    wait_until(lambda: moves.tiers_of(behind, digest) == ("hot", "cold"), 30, "it is safe")
    settle(behind)
    assert problems(behind) == []


# ---- devices --------------------------------------------------------------------------


@pytest.mark.skipif(sanitized(), reason="a sanitizer's runtime must be loaded first")
def test_a_copy_that_the_device_cannot_read_is_bad(make_server, work_folder):
    server = make_server(start=False, **QUIET)
    faults = Faults(work_folder)
    server.environment = faults.environment
    server.start()
    data = make_bytes(SIZE, "EIO")
    digest = on_two(server, "warm", "hot", data)
    bad = file_of(server, digest, "warm")
    with faults("fail pread 0 5"):
        scrub(server, digest, "warm")
        wait_until(lambda: not bad.exists(), 30, "it is set aside")
    wait_until(lambda: moves.tiers_of(server, digest) == ("hot", "warm"), 30, "it is healed")
    settle(server)
    assert file_of(server, digest, "warm") != bad
    server.is_damaged = True
