# SPDX-License-Identifier: Apache-2.0
"""The scrub finds what the devices did to the copies, and mends it from a good one."""
import pytest

from support.chain import CHUNK, make_bytes, sha256
from support.consistency import settle
from support.stratad import wait_until

DATA = b"weights " * (CHUNK // 8) + make_bytes(CHUNK, "scrub") + b"end"
DIGEST = sha256(DATA)


@pytest.fixture
def server(make_server):
    """Every copy is due again after a second."""
    return make_server(scrub_interval="1s", scrub_bandwidth=0)


def move(api, tier):
    made = api.post(f"/blobs/{DIGEST}/move", {"tier": tier}, expect=202).json()
    wait_until(lambda: api.get(f"/moves/{made['id']}").json()["state"] == "done", 30, tier)


def copies(server, tier):
    return [path for path in (server.data / tier / "sha256").rglob("*") if path.is_file()]


def spoil(path, at=100):
    path.chmod(0o640)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(0o440)


def metric(api, name):
    for line in api.get("//metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def healed(server, bad, tier):
    """Another file is in its place, and it holds the blob."""
    wait_until(lambda: bad not in copies(server, tier) and copies(server, tier), 30, "healed")
    settle(server)
    aside = [path.name for path in (server.data / tier / "quarantine").iterdir()]
    return aside


def test_good_copies_are_read_again_and_again(server):
    api = server.api()
    api.put_blob(DATA)
    wait_until(lambda: metric(api, "strata_scrub_copies_total") >= 2, 30, "two rounds")
    assert metric(api, "strata_scrub_bytes_total") >= 2 * len(DATA)
    assert metric(api, "strata_scrub_bad_total") == 0


@pytest.mark.parametrize("tier", ["hot", "cold"])
def test_a_flipped_bit_is_mended_from_another_copy(server, tier):
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    move(api, "hot")
    (bad,) = copies(server, tier)
    spoil(bad)
    aside = healed(server, bad, tier)
    assert len(aside) == 1 and bad.name in aside[0]
    assert api.get(f"/blobs/{DIGEST}").content == DATA
    assert metric(api, "strata_scrub_bad_total") == 1
    assert server.database.value("SELECT count(*) FROM events WHERE kind = 'blob.healing'") == 1
    for path in (server.data / tier / "quarantine").iterdir():
        path.unlink()


def test_a_missing_copy_is_made_again(server):
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    move(api, "hot")
    (gone,) = copies(server, "cold")
    gone.unlink()
    wait_until(lambda: copies(server, "cold"), 30, "made again")
    settle(server)
    assert metric(api, "strata_scrub_bad_total") == 1


def test_the_only_copy_is_reported_and_kept(server):
    """Ranges that do not touch the bad chunk are served."""
    api = server.api()
    api.put_blob(DATA)
    move(api, "cold")
    (bad,) = copies(server, "cold")
    spoil(bad, at=bad.stat().st_size // 2)  # in the second chunk, which does not shrink
    wait_until(lambda: server.database.value("SELECT bool_or(damaged) FROM placements"), 30,
               "it is marked")
    server.is_damaged = True
    assert server.database.value("SELECT count(*) FROM events WHERE kind = 'blob.damaged'") == 1
    assert "the only copy of a blob is damaged" in server.log()
    first = api.get(f"/blobs/{DIGEST}", headers={"Range": f"bytes=0-{CHUNK - 1}"}, expect=206)
    assert first.content == DATA[:CHUNK]
    last = api.get(f"/blobs/{DIGEST}", headers={"Range": "bytes=-3"}, expect=206)
    assert last.content == b"end"
    assert api.get(f"/blobs/{DIGEST}", headers={"Range": f"bytes={CHUNK}-{CHUNK + 9}"}
                   ).status_code == 503
    assert bad.exists()
