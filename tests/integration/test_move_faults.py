# SPDX-License-Identifier: Apache-2.0
"""Moves between tiers through failing disks, lost answers and full tiers. Kills at every
step are in tests/fault/faults/moves.py, run small by test_faults.py."""
import errno

import pytest

from support import moves
from support.chain import make_bytes, sha256
from support.consistency import problems, settle
from support.faults import Faults
from support.pgproxy import KillingProxy
from support.stratad import sanitized, wait_until

SIZE = 300_000

needs_preload = pytest.mark.skipif(
    sanitized(), reason="a sanitizer's runtime must be the first that is loaded")


@pytest.fixture
def faults(work_folder):
    return Faults(work_folder)


@pytest.fixture
def failing(faults, make_server):
    """A server whose calls on the tiers fail as `faults` says."""
    server = make_server(start=False)
    server.environment = faults.environment
    return server.start()


def failed_once(server, move):
    """Waits until an attempt at it has failed; the error."""
    return wait_until(lambda: moves.show(server, move)["error"], 20, "an attempt failed")


# ---- full tiers ---------------------------------------------------------------------


def test_a_blob_that_just_fits_is_moved(make_server):
    server = make_server(warm_capacity=SIZE)
    digest = server.api().put_blob(make_bytes(SIZE, "fits"))
    moves.bring(server, digest, "warm")
    assert moves.tiers_of(server, digest) == ("warm",)
    other = server.api().put_blob(make_bytes(1, "fits no more"))
    move = moves.begin(server, other, "warm")
    assert "0 bytes left" in failed_once(server, move)
    assert moves.tiers_of(server, other) == ("hot",)


# ---- disks that fail ----------------------------------------------------------------


@needs_preload
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_tier_that_takes_and_removes_nothing(failing, faults, code):
    """What the failed attempt left is removed by the next one: a copy that was never
    finished is no copy, also for a promotion."""
    data = make_bytes(SIZE, f"stuck {code}")
    digest = failing.api().put_blob(data)
    moves.bring(failing, digest, "warm")
    with faults(f"fail pwrite 0 {code}\nfail pwrite64 0 {code}\nfail unlinkat 0 {code}"):
        move = moves.begin(failing, digest, "hot")
        failed_once(failing, move)
        wait_until(lambda: failing.database.value(
            "SELECT attempts FROM moves WHERE id = %s", move) > 1)
        assert moves.show(failing, move)["state"] != "done"
        assert moves.tiers_of(failing, digest) == ("warm",)
        assert failing.api().get(f"/blobs/{digest}").content == data
    assert moves.wait(failing, move) == {"state": "done", "error": ""}
    settle(failing)
    assert moves.tiers_of(failing, digest) == ("hot", "warm")
    assert problems(failing) == []


# ---- PostgreSQL -------------------------------------------------------------------


@pytest.mark.parametrize("statement, number", [
    ("WITH next AS", 1), ("INSERT INTO placements", 1), ("SET state = 'verifying'", 1),
    ("COMMIT", 2), ("COMMIT", 3), ("SET state = $2, error", 1)])
def test_a_lost_answer_stops_no_move(make_server, statement, number):
    """The statement has happened, its connection is cut, the server lives on: moves end
    without its restart."""
    server = make_server(start=False)
    with KillingProxy(server.database) as proxy:
        server.options["database_url"] = proxy.url
        server.start()
        data = make_bytes(SIZE, f"{statement} {number}")
        digest = server.api().put_blob(data)
        proxy.lose_answer(number, statement)
        move = moves.begin(server, digest, "warm")
        shown = moves.wait(server, move)
        assert proxy.struck is not None and shown["state"] == "done", shown
        settle(server)
        assert moves.tiers_of(server, digest) == ("warm",)
        assert server.api().get(f"/blobs/{sha256(data)}").content == data
        assert problems(server) == []
        server.stop()


# ---- cancelled -----------------------------------------------------------------------


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_cancelled_move_stays_cancelled(make_server, end):
    """What was answered holds after a restart, for one that runs and one that waits."""
    server = make_server(move_bandwidth="1M", policy_interval="1h")
    api = server.api()
    digest = api.put_blob(make_bytes(4 << 20, f"cancelled, then {end}"))
    asked = [moves.begin(server, digest, tier) for tier in ("warm", "cold")]
    wait_until(lambda: moves.show(server, asked[0])["state"] == "copying", what="it runs")
    for move in asked:
        assert api.delete(f"/moves/{move}").status_code in (200, 204)
    getattr(server, end)()
    server.start()
    for move in asked:
        assert moves.wait(server, move)["state"] == "cancelled"
    settle(server)
    assert moves.tiers_of(server, digest) == ("hot",)
    assert problems(server) == []
