# SPDX-License-Identifier: Apache-2.0
"""Tiers that are full, damaged, missing or another's, PostgreSQL that goes away in the
middle of moves or was restored from before them: what can be read is read, nothing is
lost, and all goes on by itself."""
import os
import shutil

import pytest
import requests

from support import moves
from support.chain import CHUNK, make_bytes, sha256
from support.consistency import problems, settle
from support.stratad import wait_until

SIZE = 300_000
QUIET = {"policy_interval": "1h", "upload_expiry": "10s"}


def tier(api, name):
    shown = api.get("/tiers", expect=200).json()["tiers"]
    return next(entry for entry in shown if entry["tier"] == name)


def copy_of(server, digest, name):
    """The file of a ready copy."""
    [(number,)] = server.database.rows(
        "SELECT id FROM placements WHERE sha256 = decode(%s, 'hex') AND tier = %s"
        " AND state = 'ready'", digest, name)
    return server.tier_folder(name) / "sha256" / digest[:2] / f"{digest}.{number}"


# ---- full -----------------------------------------------------------------------------


def test_uploads_go_where_there_is_room(make_server, problem):
    """507 only when every tier is full; what is deleted makes room."""
    server = make_server(hot_capacity=SIZE, warm_capacity=SIZE, cold_capacity=SIZE, **QUIET)
    api = server.api()
    data = [make_bytes(SIZE, f"room {n}") for n in range(4)]
    for blob, name in zip(data, ("hot", "warm", "cold")):
        assert moves.tiers_of(server, api.put_blob(blob)) == (name,)
    problem(api.put(f"/blobs/{sha256(data[3])}", data=data[3]), 507, "insufficient-storage")
    problem(api.post("/uploads", {"size": SIZE}), 507, "insufficient-storage")
    for blob in data[:3]:
        assert api.get(f"/blobs/{sha256(blob)}", expect=200).content == blob
    assert api.get(f"/blobs/{sha256(data[3])}").status_code == 404
    assert problems(server) == []


def test_a_move_to_a_full_tier_waits_for_room(make_server):
    server = make_server(warm_capacity=SIZE, **QUIET)
    api = server.api()
    first, second = (make_bytes(SIZE, f"full {n}") for n in range(2))
    moves.bring(server, api.put_blob(first), "warm")
    move = moves.begin(server, api.put_blob(second), "warm")
    wait_until(lambda: "0 bytes left" in moves.show(server, move)["error"], what="refused")
    assert moves.tiers_of(server, sha256(second)) == ("hot",)
    moves.bring(server, sha256(first), "cold")
    assert moves.wait(server, move)["state"] == "done"
    settle(server)
    assert moves.tiers_of(server, sha256(second)) == ("warm",)
    assert problems(server) == []


# ---- missing --------------------------------------------------------------------------


@pytest.fixture
def away(make_server, tmp_path):
    """A server with one blob on hot and one on a warm tier that can be taken away."""
    class Away:
        mount = tmp_path / "warm"
        server = make_server(warm_dir=tmp_path / "warm", **QUIET)
        hot, warm = make_bytes(SIZE, "on hot"), make_bytes(SIZE, "on warm")

        def take(self):
            self.server.stop()
            self.mount.rename(tmp_path / "taken")
            self.before = {path: path.read_bytes() for path in files(tmp_path / "taken")}

        def give_back(self):
            shutil.rmtree(self.mount)
            (tmp_path / "taken").rename(self.mount)

    made = Away()
    api = made.server.api()
    api.put_blob(made.hot)
    moves.bring(made.server, api.put_blob(made.warm), "warm")
    made.take()
    return made


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def left_alone(away, api, problem):
    """It is offline, nothing is lost, the rest works."""
    assert tier(api, "warm")["state"] == "offline"
    assert api.get(f"/blobs/{sha256(away.hot)}", expect=200).content == away.hot
    problem(api.get(f"/blobs/{sha256(away.warm)}"), 503, "unavailable")
    move = moves.begin(away.server, sha256(away.hot), "warm")
    wait_until(lambda: "offline" in moves.show(away.server, move)["error"], what="refused")
    upload = api.begin_upload(make_bytes(1000, "meanwhile"), tier="warm")
    api.put_part(upload, make_bytes(1000, "meanwhile"), 0, expect=204)
    api.complete(upload, expect=201)
    assert moves.tiers_of(away.server, sha256(make_bytes(1000, "meanwhile"))) == ("hot",)
    return move


def comes_back(away, api, move):
    wait_until(lambda: tier(api, "warm")["state"] == "online", 30, "it is back")
    assert api.get(f"/blobs/{sha256(away.warm)}", expect=200).content == away.warm
    assert moves.wait(away.server, move)["state"] == "done"
    settle(away.server)
    assert moves.tiers_of(away.server, sha256(away.hot)) == ("warm",)
    assert problems(away.server) == []


def test_a_mount_that_is_missing_at_the_start(away, problem):
    away.mount.mkdir()  # where it would be mounted
    api = away.server.start().api()
    move = left_alone(away, api, problem)
    assert list(away.mount.iterdir()) == []
    away.give_back()
    comes_back(away, api, move)


def test_the_tier_of_another_installation(away, make_server, problem):
    other = make_server(start=False)
    shutil.copytree(other.data / "hot", away.mount)
    (away.mount / "sha256/00/theirs").write_text("theirs")
    before = {path: path.read_bytes() for path in files(away.mount)}
    api = away.server.start().api()
    move = left_alone(away, api, problem)
    assert {path: path.read_bytes() for path in files(away.mount)} == before
    away.give_back()
    comes_back(away, api, move)


def test_a_damaged_identity_is_nobody_elses_tier(away, problem):
    """Its files stay as they are until somebody has looked."""
    shutil.copytree(away.mount.with_name("taken"), away.mount)
    (away.mount / "strata-tier.json").write_text("{")
    before = {path: path.read_bytes() for path in files(away.mount)}
    api = away.server.start().api()
    move = left_alone(away, api, problem)
    assert {path: path.read_bytes() for path in files(away.mount)} == before
    away.give_back()
    comes_back(away, api, move)


# ---- PostgreSQL -----------------------------------------------------------------------


def test_postgres_is_away_in_the_middle_of_moves(make_server):
    server = make_server(move_bandwidth="2M", database_timeout="1s", acquire_timeout="1s",
                         **QUIET)
    api = server.api()
    made = {api.put_blob(data): data for data in (moves.weights(CHUNK, n) for n in range(3))}
    asked = [moves.begin(server, digest, tier)
             for digest, tier in zip(made, ("warm", "cold", "cold"))]
    for away in (True, False, True):
        wait_until(lambda: server.database.value(
            "SELECT count(*) FROM moves WHERE state IN ('copying', 'verifying')"), 20,
            "one runs")
        server.database.allow_connections(False)
        for digest, data in made.items():
            answer = api.get(f"/blobs/{digest}")
            assert answer.status_code == 503 or answer.content == data
        server.database.allow_connections(True)
    for move in asked:
        assert moves.wait(server, move, 60)["state"] == "done"
    settle(server)
    for digest, data in made.items():
        assert api.get(f"/blobs/{digest}", expect=200).content == data
    assert problems(server) == []


def test_a_restored_database_moves_nothing_unknown(make_server, postgres):
    """A dump from before: what has come and gone to other tiers since is not known to it.
    Nothing of that is removed, moved aside or named again."""
    server = make_server(**QUIET, gc_interval="1s", orphan_age="1s", orphan_interval="1s")
    api = server.api()
    stays, moved = make_bytes(SIZE, "stays"), make_bytes(SIZE, "moved since")
    for data in (stays, moved):
        api.publish("acme/dump", {"w": data})
    server.stop()
    newer, server.database = server.database, postgres.create(template=server.database)
    dump, server.database = server.database, newer
    api = server.start().api()
    later = make_bytes(SIZE, "uploaded since")
    api.publish("acme/dump", {"w": later})
    moves.bring(server, sha256(moved), "warm")
    moves.bring(server, sha256(later), "cold")
    settle(server)
    server.stop()
    before = server.tier_files()
    server.database = dump
    try:
        api = server.start().api()
        assert api.get(f"/blobs/{sha256(stays)}", expect=200).content == stays
        assert api.get(f"/blobs/{sha256(moved)}").status_code == 503
        assert api.get(f"/blobs/{sha256(later)}").status_code == 404
        api.post("/gc", expect=202)
        wait_until(lambda: api.get("/gc").json()["last"], 20, "a run of GC")
        # What is sent again is taken, under a name of its own.
        assert api.put_blob(later) == sha256(later)
        moves.bring(server, sha256(stays), "warm")
        settle(server)
        assert api.get(f"/blobs/{sha256(later)}", expect=200).content == later
        server.restart()
        after = server.tier_files()
        gone = {path for path in before if path not in after and sha256(stays) not in path}
        assert not gone, gone
        assert not [path for path in after if "quarantine" in path]
        for path, data in ((p, d) for p in before for d in (moved, later)
                           if sha256(d) in p and not p.startswith("cold")):
            assert server.tier_path(path).read_bytes() == data
    finally:
        server.is_damaged = True
        newer.drop()


# ---- damage ---------------------------------------------------------------------------


def flip(path, share):
    """One bit, `share` of the way into the copy."""
    mode = path.stat().st_mode
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        at = int(path.stat().st_size * share)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.chmod(path, mode)


@pytest.mark.parametrize("damaged", ["hot", "warm", "cold"])
def test_a_flipped_bit_of_the_only_copy_is_never_copied(make_server, damaged):
    """The move fails and says why, the copy stays, what does not touch it is read. The
    same bytes once more, and all is well."""
    server = make_server(**QUIET, scrub_interval="3s")
    api = server.api()
    data = moves.weights(3 * CHUNK, f"only {damaged}")
    digest = api.put_blob(data)
    moves.bring(server, digest, damaged)
    spoil(server, digest, damaged)
    api = server.start().api()
    to = "cold" if damaged == "warm" else "warm"
    move = moves.begin(server, digest, to)
    wait_until(lambda: moves.show(server, move)["error"], 30, "it failed")
    assert moves.tiers_of(server, digest) == (damaged,)
    assert server.database.value("SELECT damaged FROM placements WHERE state = 'ready'")
    part = api.get(f"/blobs/{digest}", headers={"Range": f"bytes=0-{CHUNK - 1}"}, expect=206)
    assert part.content == data[:CHUNK]
    with pytest.raises(requests.RequestException):
        api.get(f"/blobs/{digest}")
    api.put_blob(data)
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    assert moves.wait(server, move, 60)["state"] == "done"
    settle(server)
    assert to in moves.tiers_of(server, digest)
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    wait_until(lambda: not problems(server, quarantine=True), 30, "the scrub mends it")
    server.is_damaged = True  # what was set aside is nobody's


@pytest.mark.parametrize("damaged, to", [("hot", "warm"), ("warm", "hot")])
def test_a_flipped_bit_of_one_copy_of_two_is_mended_by_a_move(make_server, damaged, to):
    """It is set aside, and the move takes the other copy."""
    server = make_server(**QUIET)
    api = server.api()
    data = moves.weights(3 * CHUNK, f"two {damaged}")
    digest = api.put_blob(data)
    moves.bring(server, digest, "cold")
    moves.bring(server, digest, damaged)
    assert moves.tiers_of(server, digest) == (damaged, "cold")
    spoil(server, digest, damaged)
    api = server.start().api()
    assert moves.wait(server, moves.begin(server, digest, to), 60)["state"] == "done"
    settle(server)
    assert to in moves.tiers_of(server, digest)
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    assert problems(server, quarantine=True) == []
    server.is_damaged = True


def spoil(server, digest, name):
    """Stops the server, then one bit of its copy there is another."""
    settle(server)
    server.stop()
    flip(copy_of(server, digest, name), 0.9)
