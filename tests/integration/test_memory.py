# SPDX-License-Identifier: Apache-2.0
"""stratad's anonymous memory is flat in the size of a blob, and stays under 200 MiB.

1 GiB as a rule, 5 GiB with STRATA_LARGE=1.
"""
import concurrent.futures
import hashlib
import os

import pytest

from support.chain import make_bytes
from support.stratad import sanitized

LARGE = os.environ.get("STRATA_LARGE") == "1"
SIZE = (5 if LARGE else 1) << 30
LIMIT = 200 << 20
SLACK = 24 << 20  # between the first tenth of the work and its end
BLOCK = make_bytes(4 << 20, "memory")
THREADS = 4


@pytest.fixture(autouse=True)
def plain_build():
    if sanitized():
        pytest.skip("a sanitizer's own memory is larger than what is measured")


def part(number, size):
    """Part `number`: BLOCK again and again, told apart by its first bytes."""
    return number.to_bytes(8, "big") + BLOCK[8:] + BLOCK * (size // len(BLOCK) - 1)


def send(api, upload):
    """All parts, on a few connections at once."""
    size, count = upload["part_size"], -(-SIZE // upload["part_size"])
    assert SIZE % (4 * size) == 0

    def one(number):
        response = api.clone().put(f"/uploads/{upload['id']}/parts/{number}",
                                   data=part(number, size), timeout=300)
        assert response.status_code == 204, response.text

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(count)))


def read(api, digest, start, end):
    """Streams a range; the SHA-256 of what came."""
    hasher = hashlib.sha256()
    with api.clone().get(f"/blobs/{digest}", stream=True, check=False, timeout=300,
                         headers={"Range": f"bytes={start}-{end - 1}"}) as response:
        assert response.status_code == 206
        for piece in response.iter_content(1 << 20):
            hasher.update(piece)
    return hasher.hexdigest()


def check_flat(samples):
    early = max(samples[:max(len(samples) // 10, 1)])
    assert max(samples) < LIMIT, f"{max(samples) >> 20} MiB"
    assert max(samples) - early < SLACK, (
        f"from {early >> 20} to {max(samples) >> 20} MiB within one transfer")


def test_memory_is_flat_during_a_large_upload_and_pull(server, api):
    upload = api.post("/uploads", {"size": SIZE}, expect=201).json()
    with server.watch_memory() as samples:
        send(api, upload)
        blob = api.complete(upload, expect=201, timeout=600).json()
    check_flat(samples)
    assert blob["size"] == SIZE

    quarter = SIZE // 4
    with server.watch_memory() as samples:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            digests = list(pool.map(
                lambda n: read(api, blob["sha256"], n * quarter, (n + 1) * quarter),
                range(4)))
    check_flat(samples)
    size = upload["part_size"]
    for number, digest in enumerate(digests):
        expected = hashlib.sha256()
        for index in range(number * quarter // size, (number + 1) * quarter // size):
            expected.update(part(index, size))
        assert digest == expected.hexdigest()


def hold(api, digest):
    """A stream of the blob whose reader has stopped after its first bytes."""
    response = api.clone().get(f"/blobs/{digest}", stream=True, check=False)
    assert response.status_code == 200 and response.raw.read(1000)
    return response


def test_memory_at_64_streams_and_8_uploads(server, api):
    """DESIGN section 9: at most 200 MiB with that many at once."""
    size = 64 << 20
    digest = api.upload(make_bytes(size, "streams"))
    uploads = [api.post("/uploads", {"size": size}, expect=201).json() for _ in range(8)]

    def send_one(upload):
        for number in range(size // upload["part_size"]):
            response = api.clone().put(f"/uploads/{upload['id']}/parts/{number}",
                                       data=part(number, upload["part_size"]))
            assert response.status_code == 204, response.text
        return api.clone().post(f"/uploads/{upload['id']}/complete").status_code

    with server.watch_memory() as samples:
        streams = [hold(api, digest) for _ in range(64)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(send_one, uploads)) == [201] * 8
        for stream in streams:
            stream.close()
    assert max(samples) < LIMIT, f"{max(samples) >> 20} MiB"


def test_memory_does_not_grow_with_requests(server, api, problem):
    """What each kind of request takes is given back."""
    version = api.publish("a/b", {f"file-{n}": make_bytes(1000, n) for n in range(50)})
    digest = version["files"][0]["sha256"]

    def one_round():
        for _ in range(10):
            api.get("/models/a/b/versions/1", expect=200)
            api.get("/models/a/b/versions", expect=200)
            api.get(f"/blobs/{digest}", headers={"Range": "bytes=0-9,20-29"}, expect=206)
            api.put_blob(make_bytes(1000, 0))
            api.post("/models/a/b/versions", {"files": [{"path": "../x"}]}, expect=422)
            api.post("/uploads", {"size": 1, "x": 1}, expect=422)
            api.patch("/models/a/b", {"description": "d" * 5000}, expect=200)
            api.get("/none", expect=404)

    for _ in range(2):
        one_round()
    before = server.rss_anon()
    for _ in range(6):
        one_round()
    grown = server.rss_anon() - before
    assert grown < 2 << 20, f"{grown >> 10} KiB more after 480 requests"
