# SPDX-License-Identifier: Apache-2.0
"""A day of a registry with three tiers, the cold one a real bucket: publish, read, cool,
promote, pin, prefetch, delete, collect, scrub. It ends with the placements that pins,
rules and heat ask for, and every byte is there."""
import random

import pytest

from support import safetensors
from support.chain import sha256
from support.consistency import problems, settle
from support.stratad import wait_until

OPTIONS = {
    "policy_interval": "200ms", "protect_after": "1s", "cold_delete_after": "1s",
    "purge_after": "0", "lease": "1s", "upload_expiry": "10s", "gc_interval": "1s",
    "move_hold": "0", "scrub_interval": "2s", "scrub_bandwidth": 0,
}
# Exponents as weights have them, so that the cold copy is smaller.
EXPONENTS = [0x3b] * 26 + [0x3c] * 62 + [0x3d] * 40


def weights(tag, elements=3 << 20):
    """A bfloat16 tensor; about 6 MiB, two chunks."""
    noise = random.Random(tag)
    data = bytearray(2 * elements)
    data[0::2] = noise.randbytes(elements)
    data[1::2] = bytes(noise.choices(EXPONENTS, k=elements))
    return safetensors.make({"w": ("BF16", [elements], bytes(data))})


@pytest.fixture
def server(make_server, bucket):
    server = make_server(start=False, **OPTIONS, **bucket.options())
    server.bucket = bucket
    server.environment |= bucket.environment()
    return server.start()


class Day:
    def __init__(self, server):
        self.server = server
        self.api = server.api()
        self.files = {}

    def publish(self, version, aliases=()):
        """One more version of acme/net: its own weights, and a configuration they share."""
        files = {"model.safetensors": weights(version), "config.json": b'{"shared": true}'}
        self.files[version] = files
        answer = self.api.post("/models/acme/net/versions", {
            "files": [{"path": path, "sha256": self.api.put_blob(data)}
                      for path, data in files.items()], "aliases": list(aliases)}, expect=201)
        assert answer.json()["version"] == version

    def digest(self, version):
        return sha256(self.files[version]["model.safetensors"])

    def tiers(self, version):
        shown = self.api.get(f"/blobs/{self.digest(version)}/placements", expect=200).json()
        return [p["tier"] for p in shown["placements"] if p["state"] == "ready"]

    def await_tiers(self, version, *tiers):
        def there():
            return self.tiers(version) == list(tiers)
        try:
            wait_until(there, 40, f"version {version} on {tiers}")
        except AssertionError:
            shown = self.api.get(f"/blobs/{self.digest(version)}/placements").json()
            raise AssertionError(f"version {version}: {shown} instead of {tiers}") from None

    def rules(self, *rules):
        self.api.put("/tier-rules", {"rules": list(rules)}, expect=200)

    def read(self, version, tier):
        for path, data in self.files[version].items():
            answer = self.api.get(f"/models/acme/net/versions/{version}/files/{path}", expect=200)
            assert answer.content == data
            if path == "model.safetensors":
                assert answer.headers["Strata-Tier"] == tier

    def wait_moves(self, moves):
        for move in moves:
            wait_until(lambda m=move: self.api.get(f"/moves/{m['id']}").json()["state"] == "done",
                       40, f"move {move}")


def test_a_day(server):
    day = Day(server)
    # Morning: three versions come in, the newest in production. Each gets its copy in the
    # bucket by itself, smaller than it is.
    for version in (1, 2, 3):
        day.publish(version, aliases=["prod"] if version == 3 else [])
    for version in (1, 2, 3):
        day.await_tiers(version, "hot", "cold")
    size, stored = server.database.rows(
        "SELECT b.size, p.stored_size FROM placements p JOIN blobs b USING (sha256)"
        " WHERE p.tier = 'cold' AND b.size > 1000000 LIMIT 1")[0]
    assert stored <= size * 0.70
    day.read(3, "hot")
    # A rule cools what is not in production.
    day.rules({"name": "production", "when": {"alias": "prod"}, "tier": "hot"},
              {"name": "rest", "when": {}, "tier": "cold"})
    day.await_tiers(1, "cold")
    day.await_tiers(2, "cold")
    day.await_tiers(3, "hot", "cold")
    day.read(1, "cold")
    # Production goes back to 2: it is hot again, 3 goes.
    day.api.put("/models/acme/net/aliases/prod", {"version": 2}, expect=200)
    day.await_tiers(2, "hot", "cold")
    day.await_tiers(3, "cold")
    day.read(2, "hot")
    # A pin holds 1 on warm against the rule; a prefetch brings 3 up for now.
    pin = day.api.post("/pins", {"ref": "acme/net@1", "tier": "warm"}, expect=201).json()
    day.await_tiers(1, "warm", "cold")
    day.read(1, "warm")
    day.rules()
    day.wait_moves(day.api.post("/prefetch", {"ref": "acme/net@3", "tier": "hot"},
                                expect=202).json()["moves"])
    day.await_tiers(3, "hot", "cold")
    # By hand, and back.
    day.wait_moves([day.api.post(f"/blobs/{day.digest(3)}/move", {"tier": "warm"},
                                 expect=202).json()])
    day.await_tiers(3, "warm", "cold")
    # Evening: 1 is deleted, pin and all; its bytes go everywhere, the shared file stays.
    day.api.delete("/models/acme/net/versions/1?force=true", expect=200)
    assert pin["id"] not in [p["id"] for p in day.api.get("/pins").json()["pins"]]
    wait_until(lambda: day.api.get(f"/blobs/{day.digest(1)}").status_code == 404, 60, "collected")
    wait_until(lambda: not [name for name in server.tier_copies() if day.digest(1) in name], 60,
               "its objects are gone")
    # Night: the scrub reads all copies; one object was lost behind our back.
    lost = next(name for name in server.tier_copies()
                if name.startswith("cold/") and day.digest(2) in name)
    server.bucket.delete(lost.removeprefix("cold/"))
    wait_until(lambda: [name for name in server.tier_copies() if name.startswith("cold/")
                        and day.digest(2) in name], 60, "the lost object is made again")
    settle(server)
    day.await_tiers(2, "hot", "cold")
    day.await_tiers(3, "warm", "cold")
    day.read(2, "hot")
    day.read(3, "warm")
    wait_until(lambda: problems(server) == [], 30, "nothing is left over")
