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
from support.stratad import sanitized

POINTS_MAXIMUM = 60

pytestmark = pytest.mark.skipif(
    sanitized(), reason="a sanitizer's runtime must be the first that is loaded")


@pytest.fixture
def faults(work_folder, monkeypatch):
    return Faults(work_folder, monkeypatch)


@pytest.fixture
def server(faults, make_server):
    return make_server()


class Life:
    """An upload from its beginning to its end; `said` is what was acknowledged."""

    def __init__(self, data):
        self.data = data
        self.upload = None
        self.said = set()

    def run(self, api):
        self.upload = api.begin_upload(self.data)
        self.said.add("begun")
        api.put_part(self.upload, self.data, 0, expect=204)
        self.said.add("part")
        api.complete(self.upload, expect=201)
        self.said.add("complete")

    def check(self, server):
        """After the restart: nothing that was said is untrue; then to the end."""
        api = server.api()
        if "begun" in self.said:
            shown = api.get(f"/uploads/{self.upload['id']}", expect=200).json()
            if "part" in self.said:
                assert shown["received"] == [0]
            if "complete" in self.said:
                assert shown["state"] == "done"
            if shown["state"] == "open" and not shown["received"]:
                api.put_part(self.upload, self.data, 0, expect=204)
            api.complete(self.upload, expect=201)
        else:
            api.put_blob(self.data)
        assert api.get(f"/blobs/{sha256(self.data)}").content == self.data


class SecondCopy(Life):
    """Its blob is stored by somebody else before it is completed."""

    def run(self, api):
        self.upload = api.begin_upload(self.data)
        api.put_part(self.upload, self.data, 0, expect=204)
        self.said |= {"begun", "part"}
        api.clone().put_blob(self.data)
        api.complete(self.upload, expect=201)
        self.said.add("complete")


class Whole(Life):
    def run(self, api):
        api.put_blob(self.data)
        self.said.add("stored")

    def check(self, server):
        api = server.api()
        response = api.get(f"/blobs/{sha256(self.data)}")
        assert response.status_code == 200 or "stored" not in self.said
        super().check(server)


class GivenUp(Life):
    def run(self, api):
        self.upload = api.begin_upload(self.data)
        self.said.add("begun")
        api.put_part(self.upload, self.data, 0, expect=204)
        self.said.add("part")
        api.delete(f"/uploads/{self.upload['id']}", expect=204)
        self.said = {"deleted"}

    def check(self, server):
        if "deleted" in self.said:
            response = server.api().get(f"/uploads/{self.upload['id']}")
            assert response.status_code == 404
        elif "part" in self.said:  # the DELETE was cut: it is there whole, or gone
            response = server.api().get(f"/uploads/{self.upload['id']}")
            if response.status_code == 200:
                super().check(server)
        else:
            super().check(server)


@pytest.mark.parametrize("life, when", [
    (Life, "before"), (Life, "after"), (SecondCopy, "before"), (Whole, "before"),
    (GivenUp, "before"),
], ids=["parts-before", "parts-after", "second-copy", "whole-body", "given-up"])
def test_invariant_1_killed_at_every_step(server, faults, life, when):
    for point in range(1, POINTS_MAXIMUM):
        one = life(make_bytes(5000, f"{life.__name__} {when} {point}"))
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
