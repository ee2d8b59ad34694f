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
