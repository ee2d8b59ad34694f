# SPDX-License-Identifier: Apache-2.0
"""Reading what lies on the cold tier: encoded, shared between readers, checked."""
import concurrent.futures
import re
import struct
import time

import pytest
import requests

from support.chain import CHUNK, make_bytes, sha256
from support.stratad import wait_until

READERS = 16


def weights(size, seed):
    """Half of it noise, so that a cold copy is encoded and still has a size."""
    noise = make_bytes(size // 2, seed)
    return b"".join(noise[i:i + 512] + bytes(512)
                    for i in range(0, len(noise), 512))[:size]


@pytest.fixture
def cold(server):
    """A server, and what puts a blob on its cold tier alone."""
    def put(data):
        digest = server.api().upload(data, tier="cold")
        wait_until(lambda: placements(server, digest) == [("cold", "ready")],
                   what="the blob is cold")
        return digest
    server.put_cold = put
    return server


def placements(server, digest):
    return server.database.rows(
        f"SELECT tier, state FROM placements WHERE sha256 = '\\x{digest}'")


def copy_of(server, digest):
    """The encoding, the stored size and the file of the cold copy."""
    [(id, encoding, size)] = server.database.rows(
        f"SELECT id, encoding, stored_size FROM placements WHERE sha256 = '\\x{digest}'")
    return encoding, size, server.data / "cold/sha256" / digest[:2] / f"{digest}.{id}"


def metric(server, name):
    answer = requests.get(server.base + "/metrics", timeout=20, headers={
        "Authorization": f"Bearer {server.admin_token()}"})
    return int(re.search(rf"^{name} (\d+)$", answer.text, re.M)[1])


def fetched(server):
    return metric(server, "strata_cold_fetched_bytes_total")


def damage(server, path, share):
    """Changes a byte at that share of the copy."""
    server.is_damaged = True
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.seek(int(path.stat().st_size * share))
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x55]))


def test_bytes_and_ranges(cold):
    api = cold.api()
    data = weights(3 * CHUNK + 5000, "whole")
    digest = cold.put_cold(data)
    encoding, size, _ = copy_of(cold, digest)
    assert encoding == "zstd-planes-1" and size < len(data) * 0.6
    answer = api.get(f"/blobs/{digest}", expect=200)
    assert answer.content == data
    assert answer.headers["Strata-Tier"] == "cold"
    assert answer.headers["Content-Length"] == str(len(data))
    for first, last in ((0, 0), (CHUNK - 3, CHUNK + 3), (len(data) - 9, len(data) - 1)):
        answer = api.get(f"/blobs/{digest}", expect=206,
                         headers={"Range": f"bytes={first}-{last}"})
        assert answer.content == data[first:last + 1]
    answer = api.get(f"/blobs/{digest}", expect=206,
                     headers={"Range": f"bytes=10-19,{2 * CHUNK - 5}-{2 * CHUNK + 4}"})
    assert data[10:20] in answer.content
    assert data[2 * CHUNK - 5:2 * CHUNK + 5] in answer.content
    assert api.head(f"/blobs/{digest}", expect=200).headers["Strata-Tier"] == "cold"
    api.get(f"/blobs/{digest}", expect=304, headers={"If-None-Match": f'"{digest}"'})


def test_raw_copy(cold):
    data = make_bytes(CHUNK + 77, "noise")
    digest = cold.put_cold(data)
    assert copy_of(cold, digest)[0] == "raw"
    assert cold.api().get(f"/blobs/{digest}", expect=200).content == data


def test_tensors(cold, model):
    header = b'{"t":{"dtype":"F32","shape":[2048,1024],"data_offsets":[0,8388608]}}'
    body = weights(8 << 20, "tensor")
    data = struct.pack("<Q", len(header)) + header + body
    digest = cold.put_cold(data)
    api = cold.api()
    api.publish(model, {"m.safetensors": digest})
    base = f"/models/{model}/versions/latest"
    [tensor] = api.get(f"{base}/tensors", expect=200).json()["tensors"]
    assert tensor["name"] == "t"
    assert api.get(f"{base}/tensors/t", expect=200).content == body
    answer = api.get(f"{base}/tensors/t", expect=206, headers={"Range": "bytes=-100"})
    assert answer.content == body[-100:]


def test_only_the_frames_of_a_range(cold):
    data = weights(8 * CHUNK, "range")
    digest = cold.put_cold(data)
    cold.api().get(f"/blobs/{digest}", headers={"Range": f"bytes={3 * CHUNK}-{3 * CHUNK}"},
                   expect=206)
    time.sleep(0.3)  # for what might be read ahead
    assert metric(cold, "strata_cold_chunks_fetched_total") == 1


def test_many_readers_fetch_once(cold):
    data = weights(12 * CHUNK, "herd")
    digest = cold.put_cold(data)
    stored = copy_of(cold, digest)[1]

    def read(_):
        return cold.api().clone().get(f"/blobs/{digest}").content == data
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        assert all(pool.map(read, range(READERS)))
    assert stored * 0.98 <= fetched(cold) <= stored
    assert metric(cold, "strata_cold_chunks_fetched_total") == 12
    assert metric(cold, "strata_cold_chunks_shared_total") >= 12 * (READERS - 1)


def test_damage_fails_only_what_touches_it(cold, problem):
    data = weights(4 * CHUNK, "damage")
    digest = cold.put_cold(data)
    damage(cold, copy_of(cold, digest)[2], 0.6)  # in the third chunk
    api = cold.api()
    problem(api.get(f"/blobs/{digest}", headers={"Range": f"bytes={2 * CHUNK}-"}),
            503, "unavailable")
    answer = api.get(f"/blobs/{digest}", headers={"Range": f"bytes=0-{2 * CHUNK - 1}"},
                     expect=206)
    assert answer.content == data[:2 * CHUNK]
    answer = api.get(f"/blobs/{digest}", headers={"Range": f"bytes={3 * CHUNK}-"},
                     expect=206)
    assert answer.content == data[3 * CHUNK:]


def test_damage_on_the_way_cuts_and_never_pads(cold, raw, bearer):
    data = weights(4 * CHUNK, "cut")
    digest = cold.put_cold(data)
    damage(cold, copy_of(cold, digest)[2], 0.6)
    raw.request("GET", f"/api/v1/blobs/{digest}", [bearer])
    body = raw.rest().partition(b"\r\n\r\n")[2]
    assert body == data[:2 * CHUNK]


def test_goes_on_from_another_copy(cold):
    """A copy that is found damaged on the way gives way to another."""
    data = weights(24 * CHUNK, "other")
    digest = cold.put_cold(data)
    api = cold.api()
    with api.get(f"/blobs/{digest}", stream=True) as answer:
        assert answer.headers["Strata-Tier"] == "cold"
        begun = answer.raw.read(CHUNK // 2)
        path = copy_of(cold, digest)[2]
        api.get(f"/blobs/{digest}", headers={"Prefer": "respond-async"}, expect=202)
        wait_until(lambda: ("hot", "ready") in placements(cold, digest), what="it is hot")
        damage(cold, path, 0.9)  # further than is read ahead
        rest = answer.raw.read()
    assert begun + rest == data
    assert metric(cold, "strata_cold_failures_total") > 0


def test_client_that_goes_away(cold):
    data = weights(40 * CHUNK, "gone")
    digest = cold.put_cold(data)
    stored = copy_of(cold, digest)[1]
    with cold.api().get(f"/blobs/{digest}", stream=True) as answer:
        answer.raw.read(1000)
        answer.raw._connection.sock.close()
    time.sleep(1)
    assert fetched(cold) < stored * 0.8


def test_respond_async(cold):
    data = weights(2 * CHUNK, "async")
    digest = cold.put_cold(data)
    api = cold.api()
    answer = api.get(f"/blobs/{digest}", headers={"Prefer": "wait=1, respond-async"},
                     expect=202)
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert int(answer.headers["Retry-After"]) > 0
    move = answer.json()
    assert (move["sha256"], move["from"], move["to"]) == (digest, "cold", "hot")
    wait_until(lambda: ("hot", "ready") in placements(cold, digest), what="it is hot")
    answer = api.get(f"/blobs/{digest}", headers={"Prefer": "respond-async"}, expect=200)
    assert answer.content == data and answer.headers["Strata-Tier"] == "hot"
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize("prefer", ["respond-asynchronously", 'x="a,respond-async"', "wait=5"])
def test_other_preferences(cold, prefer):
    data = weights(CHUNK, "prefer")
    digest = cold.put_cold(data)
    cold.api().get(f"/blobs/{digest}", headers={"Prefer": prefer}, expect=200)
