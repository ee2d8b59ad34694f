# SPDX-License-Identifier: Apache-2.0
"""/scrub and `strata scrub`: what is shown, and copies that are checked when asked for.
The server checks by itself once in 30 days, so that nothing else does it here."""
import pytest

from support.chain import CHUNK, make_bytes, sha256
from support.cli import CORRUPT, NOT_FOUND, USAGE
from support.consistency import settle
from support.moves import bring
from support.stratad import wait_until

DATA = make_bytes(2 * CHUNK + 7, "asked")
DIGEST = sha256(DATA)


@pytest.fixture
def server(make_server):
    server = make_server(scrub_bandwidth=0, cold_delete_after="0")
    server.api().put_blob(DATA)
    return server


def hot_file(server, digest=DIGEST):
    (path,) = (server.data / "hot" / "sha256").rglob(digest + ".*")
    return path


def spoil(path):
    path.chmod(0o640)
    with open(path, "r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o440)


def done(api):
    shown = api.get("/scrub", expect=200).json()
    return shown if shown["asked"] == 0 and shown["state"] == "idle" else None


def test_nothing_is_due(server):
    shown = server.api().get("/scrub", expect=200).json()
    assert shown == {
        "state": "idle", "interval_seconds": 30 * 86400, "bandwidth": 0, "checked": 0,
        "bytes": 0, "bad": 0, "healed": 0, "damaged": 0, "due": 0, "asked": 0,
        "current": None, "last_finding": None, "oldest_check": shown["oldest_check"]}
    assert shown["oldest_check"].endswith("Z")


def test_what_is_asked_for_is_checked(server):
    api = server.api()
    other = sha256(make_bytes(50, "other"))
    api.put_blob(make_bytes(50, "other"))
    bring(server, other, "cold")
    bring(server, other, "hot")
    for body, due in (({"sha256": DIGEST}, 1), ({"sha256": DIGEST, "tier": "cold"}, 0),
                      ({"tier": "cold"}, 1), ({"sha256": other}, 2), ({}, 3), (None, 3)):
        before = api.get("/scrub").json()["checked"]
        answer = api.post("/scrub", body, expect=202)
        assert answer.json() == {"due": due}, body
        shown = wait_until(lambda: done(api), 30, "they were checked")
        assert shown["checked"] == before + due, body
    assert (shown["bad"], shown["due"], shown["last_finding"]) == (0, 0, None)


@pytest.mark.parametrize("body,status,type_", [
    ({"sha256": "0" * 64}, 404, "blob-not-found"),
    ({"sha256": "0" * 63}, 422, "invalid-field"),
    ({"sha256": DIGEST.upper()}, 422, "invalid-field"),
    ({"tier": "tepid"}, 422, "invalid-field"),
    ({"all": True}, 422, "unknown-field"),
])
def test_bodies_that_are_refused(server, problem, body, status, type_):
    problem(server.api().post("/scrub", body), status, type_)
    assert server.api().get("/scrub").json()["asked"] == 0


def test_the_finding_is_shown(server):
    api = server.api()
    bring(server, DIGEST, "cold")
    bring(server, DIGEST, "hot")
    bad = hot_file(server)
    spoil(bad)
    api.post("/scrub", {"tier": "hot"}, expect=202)
    wait_until(lambda: api.get("/scrub").json()["last_finding"], 30, "it was found")
    settle(server)
    assert hot_file(server) != bad
    shown = api.get("/scrub").json()
    found = shown["last_finding"]
    assert (found["sha256"], found["tier"], found["outcome"]) == (DIGEST, "hot", "healing")
    assert "chunk 0" in found["why"] and found["found_at"].endswith("Z")
    assert (shown["bad"], shown["healed"], shown["damaged"]) == (1, 1, 0)
    for path in server.data.glob("*/quarantine/*"):
        path.unlink()


def test_a_marked_copy_is_made_again_once_there_is_a_good_one(server):
    """Without waiting for its next check, which is days away."""
    api = server.api()
    bring(server, DIGEST, "cold")
    (bad,) = (server.data / "cold" / "sha256").rglob(DIGEST + ".*")
    spoil(bad)
    server.is_damaged = True
    api.post("/scrub", {"sha256": DIGEST}, expect=202)
    wait_until(lambda: api.get("/scrub").json()["damaged"] == 1, 30, "it is marked")
    assert api.get("/scrub").json()["due"] == 0
    api.put_blob(DATA)
    wait_until(lambda: api.get("/scrub").json()["healed"] == 1, 30, "it is made again")
    wait_until(lambda: not bad.exists(), 30, "the bad one is set aside")
    settle(server)
    (made,) = (server.data / "cold" / "sha256").rglob(DIGEST + ".*")
    assert made != bad and made.read_bytes() == DATA  # noise is stored as it is
    assert api.get("/scrub").json()["damaged"] == 0


def test_more_copies_than_are_asked_for_at_once(server):
    """Rows alone: copies that were dropped a moment ago, as far as the scrub can tell."""
    server.database.rows(
        "INSERT INTO blobs (sha256, size, chain_root) SELECT sha256(int4send(n)), 0, sha256('')"
        " FROM generate_series(1, 2500) n")
    server.database.rows(
        "INSERT INTO placements (id, sha256, tier, node_id, state, stored_size)"
        " SELECT 1000000 + n, sha256(int4send(n)), 'warm', 1, 'ready', 0"
        " FROM generate_series(1, 2500) n")
    server.is_damaged = True
    assert server.api().post("/scrub", {"tier": "warm"}, expect=202).json() == {"due": 2500}


# ---- strata scrub -------------------------------------------------------------------


def test_the_command_shows_and_starts(server, cli):
    assert "idle" in cli.text("scrub") and cli.json("scrub")["checked"] == 0
    assert cli.text("scrub", "start", "--wait") == "1 copies were checked, 0 were found bad\n"
    assert cli.json("scrub", "start", DIGEST, "--tier", "hot", "--wait")["checked"] == 2
    assert cli.json("scrub", "start", DIGEST, "--tier", "cold") == {"due": 0}
    assert "1 copies are checked now" in cli.text("scrub", "start", DIGEST)


def test_the_command_says_what_is_wrong(server, cli):
    cli.error("scrub", "start", "0" * 64, status=NOT_FOUND)
    cli.error("scrub", "start", "zz", status=USAGE)
    cli.error("scrub", "start", "--tier", "tepid", status=USAGE)
    spoil(hot_file(server))
    server.is_damaged = True
    result = cli.run("scrub", "start", "--wait", status=CORRUPT)
    assert b"1 were found bad" in result.stdout and b"damaged: chunk 0" in result.stdout
    assert "last found" in cli.text("scrub")
