# SPDX-License-Identifier: Apache-2.0
"""kill -9 between each two steps of an upload's life, and syncs that fail.

Every call that makes, moves, syncs or removes something on the tier is a point; the
server is killed before it, or right after it, one point after the other until a whole
life passes. After each kill: what was acknowledged is there, no file is without a row,
and the upload goes on to its end.
"""
import pytest
import requests

from support.chain import make_bytes, sha256
from support.consistency import problems
from support.faults import Faults, is_dead
from support.lives import ChainedParts, GivenUp, Parts, SecondCopy, Whole
from support.stratad import sanitized

POINTS_MAXIMUM = 60

pytestmark = pytest.mark.skipif(
    sanitized(), reason="a sanitizer's runtime must be the first that is loaded")


@pytest.fixture
def faults(work_folder):
    return Faults(work_folder)


@pytest.fixture
def server(faults, make_server):
    server = make_server(start=False)
    server.environment = faults.environment
    return server.start()


@pytest.mark.parametrize("life, when", [
    (Parts, "before"), (Parts, "after"), (ChainedParts, "before"),
    (SecondCopy, "before"), (Whole, "before"), (GivenUp, "before"),
], ids=["parts-before", "parts-after", "chained-parts", "second-copy", "whole-body",
        "given-up"])
def test_invariant_1_killed_at_every_step(server, faults, life, when):
    for point in range(1, POINTS_MAXIMUM):
        one = life(f"{life.__name__} {when} {point}")
        api = server.api()
        with faults(f"{when} {point}"):
            try:
                one.run(api)
            except (requests.ConnectionError, AssertionError):
                assert is_dead(server), "a call failed and the server lives"
            if server.process is not None and not is_dead(server):
                break
        server.start()
        one.check(server)
        assert problems(server) == []
    assert 3 < point < POINTS_MAXIMUM - 1


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_invariant_1_a_failed_sync_is_final(server, faults, problem, call):
    """The file is discarded and never synced again: a later success would be a lie."""
    api = server.api()
    data = make_bytes(5000, call)
    upload = api.begin_upload(data)
    if call == "fsync":
        api.put_part(upload, data, 0, expect=204)
    with faults(f"fail {call}"):
        # The contract's check takes every 500 for a mistake.
        response = (api.put_part(upload, data, 0, check=False) if call == "fdatasync"
                    else api.complete(upload, check=False))
        problem(response, 500, "internal")
    for response in (api.get(f"/uploads/{upload['id']}"), api.complete(upload),
                     api.put_part(upload, data, 0)):
        problem(response, 404, "upload-not-found")
    problem(api.get(f"/blobs/{sha256(data)}"), 404, "blob-not-found")
    assert api.upload(data) == sha256(data)
    assert problems(server) == []
