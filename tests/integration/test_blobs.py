# SPDX-License-Identifier: Apache-2.0
"""Whole blobs in and out, their chains, and what a reader may rely on."""
import base64
import contextlib
import os
import shutil
import subprocess

import pytest

from support.chain import CHUNK, chain_of, make_bytes, sha256
from support.consistency import problems

UNKNOWN = "ab" * 32


@pytest.fixture
def server(shared_server):
    return shared_server


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 100_000])
def test_put_get_chain(api, size):
    data = make_bytes(size, "blob")
    digest = sha256(data)
    assert api.put(f"/blobs/{digest}", data=data, expect=201).json() == {
        "sha256": digest, "size": size}
    api.put(f"/blobs/{digest}", data=data, expect=200)
    response = api.get(f"/blobs/{digest}", expect=200)
    assert response.content == data
    headers = response.headers
    assert headers["ETag"] == f'"{digest}"'
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Strata-Tier"] == "hot"
    assert headers["Content-Length"] == str(size)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox"
    assert headers["Content-Disposition"].startswith("attachment")
    assert "immutable" in headers["Cache-Control"]
    value = base64.b64encode(bytes.fromhex(digest)).decode()
    assert headers["Repr-Digest"] == f"sha-256=:{value}:"
    chain = api.get(f"/blobs/{digest}/chain", expect=200).json()
    assert chain == {"chunk_size": CHUNK, "size": size, "states": chain_of(data)}


def test_known_blob_is_verified_too(api, problem):
    """A body that claims a name that is here must still be the blob."""
    data = make_bytes(1000, "claimed")
    digest = api.put_blob(data)
    other = bytes(1000)
    problem(api.put(f"/blobs/{digest}", data=other), 422, "digest-mismatch")
    problem(api.put(f"/blobs/{digest}", data=data + b"x"), 422, "digest-mismatch")
    assert api.get(f"/blobs/{digest}").content == data


def test_unknown_blob(api, problem):
    problem(api.get(f"/blobs/{UNKNOWN}"), 404, "blob-not-found")
    problem(api.get(f"/blobs/{UNKNOWN}/chain"), 404, "blob-not-found")
    assert api.head(f"/blobs/{UNKNOWN}").status_code == 404


@pytest.mark.parametrize("name", ["ab", "AB" * 32, "g" * 64])
def test_name_that_is_none(api, problem, name):
    problem(api.get(f"/blobs/{name}"), 422, "invalid-field", field="sha256")
    problem(api.get(f"/blobs/{name}/chain"), 422, "invalid-field", field="sha256")


def test_chain_is_conditional(api):
    digest = api.put_blob(make_bytes(10, "chain"))
    etag = api.get(f"/blobs/{digest}/chain").headers["ETag"]
    response = api.get(f"/blobs/{digest}/chain", headers={"If-None-Match": etag},
                       expect=304)
    assert response.content == b"" and response.headers["ETag"] == etag


def test_blob_over_the_limit(make_server, problem):
    server = make_server(max_blob_size="1M")
    api = server.api()
    data = bytes((1 << 20) + 1)
    problem(api.put(f"/blobs/{sha256(data)}", data=data), 413, "body-too-large")
    problem(api.post("/uploads", {"size": len(data)}), 422, "invalid-field", "size")
    assert server.tier_files() == {}
    api.put(f"/blobs/{sha256(data[1:])}", data=data[1:], expect=201)


def test_refused_body_leaves_nothing(server, api, problem):
    before = server.state()
    problem(api.put(f"/blobs/{UNKNOWN}", data=b"other"), 422, "digest-mismatch")
    assert server.state() == before


def test_invariant_8_reads_of_a_cached_placement_need_no_database(make_server, problem):
    server = make_server()
    api = server.api()
    data = make_bytes(CHUNK, "cached")
    digest = api.put_blob(data)
    other = api.put_blob(b"never read")
    api.get(f"/blobs/{digest}", expect=200)
    api.get(f"/blobs/{digest}/chain", expect=200)
    server.database.allow_connections(False)
    try:
        for _ in range(3):
            assert api.get(f"/blobs/{digest}", expect=200).content == data
            api.get(f"/blobs/{digest}/chain", expect=200)
        response = api.get(f"/blobs/{other}")
        problem(response, 503, "unavailable")
        assert int(response.headers["Retry-After"]) >= 0
        problem(api.post("/uploads", {"size": 1}), 503, "unavailable")
    finally:
        server.database.allow_connections(True)
    assert api.get(f"/blobs/{other}", expect=200).content == b"never read"


# ---- a full disk -------------------------------------------------------------------

def test_size_that_does_not_fit_is_507_at_once(server, api, problem):
    """Nothing is made for an upload that the disk cannot hold."""
    free = os.statvfs(server.data / "hot")
    size = free.f_bavail * free.f_frsize + (1 << 30)
    before = server.state()
    if size <= 1 << 40:  # max_blob_size
        problem(api.post("/uploads", {"size": size}), 507, "insufficient-storage")
    assert server.state() == before


@pytest.fixture
def small_server(make_server):
    """Its hot tier is a file system of 48 MiB, and nothing fits on the others. A container
    may forbid to mount one."""
    server = make_server(start=False, warm_capacity=1, cold_capacity=1)
    hot = server.data / "hot"
    shutil.rmtree(hot)
    hot.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "strata-test",
                              str(hot)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield server.start()
    finally:
        server.close()
        found = problems(server)
        server.is_damaged = True  # its files go with the mount
        subprocess.run(["umount", str(hot)], check=True)
        assert found == []


def test_full_disk_is_507_and_passes(small_server, problem):
    """Two uploads that fit alone fill the disk together; what was acknowledged stays,
    what is given up makes room."""
    api = small_server.api()
    first, second = make_bytes(28 << 20, "first"), make_bytes(28 << 20, "second")
    uploads = [api.begin_upload(data) for data in (first, second)]
    api.put_part(uploads[0], first, 0, expect=204)
    problem(api.put_part(uploads[1], second, 0), 507, "insufficient-storage")
    problem(api.post("/uploads", {"size": 40 << 20}), 507, "insufficient-storage")
    problem(api.put(f"/blobs/{sha256(second)}", data=second), 507,
            "insufficient-storage")
    assert api.get(f"/uploads/{uploads[1]['id']}").json()["received"] == []
    api.complete(uploads[0], expect=201)
    assert api.get(f"/blobs/{sha256(first)}").content == first
    api.delete(f"/uploads/{uploads[1]['id']}", expect=204)
    small = make_bytes(10 << 20, "small")
    assert api.get(f"/blobs/{api.put_blob(small)}").content == small


def test_a_full_disk_does_not_keep_the_server_from_starting(small_server, problem):
    """Otherwise nobody could remove what fills it."""
    api = small_server.api()
    kept, given_up = make_bytes(8 << 20, "kept"), make_bytes(30 << 20, "given up")
    digest = api.put_blob(kept)
    upload = api.begin_upload(given_up)
    api.put_part(upload, given_up, 0, expect=204)
    small_server.stop()
    filler = small_server.data / "hot" / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    api = small_server.start().api()
    assert api.get(f"/blobs/{digest}", expect=200).content == kept
    problem(api.put(f"/blobs/{sha256(b'xy')}", data=b"xy"), 507, "insufficient-storage")
    api.delete(f"/uploads/{upload['id']}", expect=204)
    assert api.get(f"/blobs/{api.put_blob(b'xy')}").content == b"xy"
    filler.unlink()
