# SPDX-License-Identifier: Apache-2.0
"""How full tiers are, what they serve, and what is said of a blob's copies."""
import re

import pytest

from support.chain import make_bytes, sha256
from support.moves import bring, tiers_of
from support.stratad import wait_until

NOTHING = "0" * 64
NAMES = ["hot", "warm", "cold"]


@pytest.fixture
def quick(make_server):
    """A server whose policy is passed ten times a second."""
    return make_server(policy_interval="100ms")


def tiers(api):
    document = api.get("/tiers", expect=200).json()
    assert [tier["tier"] for tier in document["tiers"]] == NAMES
    return {tier["tier"]: tier for tier in document["tiers"]}


def explain(api, digest):
    return api.get(f"/blobs/{digest}/placements", expect=200).json()


def put_rules(api, *rules):
    api.put("/tier-rules", {"rules": list(rules)}, expect=200)


# ---- tiers --------------------------------------------------------------------------


def test_what_lies_where_is_counted(server, reader):
    api = server.api()
    assert {name: tier["blobs"] for name, tier in tiers(reader).items()} == dict.fromkeys(
        NAMES, 0)
    digest = api.put_blob(make_bytes(50000, "counted"))
    api.put_blob(make_bytes(30000, "counted too"))
    wait_until(lambda: tiers(reader)["hot"]["used_bytes"] == 80000, 10, "they are counted")
    bring(server, digest, "warm")
    wait_until(lambda: tiers(reader)["hot"]["used_bytes"] == 30000, 10, "one has gone")
    now = tiers(reader)
    assert (now["warm"]["blobs"], now["warm"]["used_bytes"]) == (1, 50000)
    assert now["hot"]["state"] == now["cold"]["state"] == "online"
    assert (now["hot"]["node"], now["warm"]["node"], now["cold"]["node"]) == (1, 1, 0)
    assert {tier["kind"] for tier in now.values()} == {"directory"}
    assert (now["hot"]["low_mark"], now["hot"]["high_mark"]) == (80, 90)


def test_capacity_and_room(make_server):
    server = make_server(hot_capacity=100000, hot_high_mark=70, hot_low_mark=60)
    api = server.api()
    hot = tiers(api)["hot"]
    assert (hot["capacity_bytes"], hot["available_bytes"]) == (100000, 100000)
    assert (hot["low_mark"], hot["high_mark"]) == (60, 70)
    api.put_blob(make_bytes(30000, "room"))
    wait_until(lambda: tiers(api)["hot"]["available_bytes"] == 70000, 10, "it is counted")


def test_a_tier_that_is_away(make_server, tmp_path):
    (tmp_path / "file").write_bytes(b"no folder")
    server = make_server(warm_dir=tmp_path / "file" / "warm")
    warm = tiers(server.api())["warm"]
    assert warm["state"] == "offline" and warm["available_bytes"] is None
    assert tiers(server.api())["hot"]["state"] == "online"


def metrics(api):
    return {name: int(value) for name, value in re.findall(
        r"^(strata_\w+_total) (\d+)$", api.get("//metrics", expect=200).text, re.MULTILINE)}


def test_what_each_tier_served(server, api):
    assert [tier["hit_ratio"] for tier in tiers(api).values()] == [None] * 3
    hot = api.put_blob(make_bytes(6000, "served hot"))
    warm = api.put_blob(make_bytes(3000, "served warm"))
    bring(server, warm, "warm")
    api.head(f"/blobs/{hot}")
    assert tiers(api)["hot"]["hit_ratio"] is None
    api.get(f"/blobs/{hot}", expect=200)
    assert tiers(api)["hot"]["hit_ratio"] == 1.0
    api.get(f"/blobs/{warm}", headers={"Range": "bytes=0-999,2000-2999"}, expect=206)
    now = tiers(api)
    assert (now["hot"]["hit_ratio"], now["warm"]["hit_ratio"]) == (0.75, 0.25)
    assert [tier["reads"] for tier in now.values()] == [1, 1, 0]
    counted = metrics(api)
    assert counted["strata_hot_reads_total"] == counted["strata_warm_reads_total"] == 1
    assert counted["strata_hot_read_bytes_total"] == 6000
    assert counted["strata_warm_read_bytes_total"] == 2000
    assert counted["strata_cold_reads_total"] == 0


def test_a_rule_that_a_tier_cannot_hold(make_server):
    server = make_server(policy_interval="100ms", hot_capacity=10000)
    api = server.api()
    data = make_bytes(20000, "too large")
    digest = api.upload(data)
    api.publish("acme/large", {"w": digest})
    assert api.get("/tiers").json()["unsatisfied"] == []
    put_rules(api, {"name": "all-hot", "tier": "hot"})
    (entry,) = wait_until(lambda: api.get("/tiers").json()["unsatisfied"], 20,
                          "it is unsatisfied")
    assert (entry["rule"], entry["tier"], entry["blobs"]) == ("all-hot", "hot", 1)
    assert 0 < entry["missing_bytes"] <= 20000
    assert tiers_of(server, digest) == ("warm",)
    put_rules(api)
    wait_until(lambda: api.get("/tiers").json()["unsatisfied"] == [], 20, "it is no more")


# ---- placements ---------------------------------------------------------------------


def test_of_a_new_blob(server, api, reader):
    data = make_bytes(4000, "new")
    digest = api.put_blob(data)
    shown = explain(reader, digest)
    (copy,) = shown["placements"]
    assert (copy["tier"], copy["node"], copy["state"], copy["size"]) == (
        "hot", 1, "ready", 4000)
    assert (copy["encoding"], copy["rule"], copy["damaged"]) == ("raw", "default", False)
    assert (shown["sha256"], shown["size"]) == (digest, 4000)
    assert (shown["heat"], shown["last_read_at"]) == (0, None)
    assert shown["next"]["tier"] == "hot" and shown["next"]["when"] is None
    assert shown["next"]["why"]


def test_reads_are_heat(quick):
    api = quick.api()
    digest = api.put_blob(make_bytes(4000, "heat"))
    api.get(f"/blobs/{digest}", expect=200)
    shown = wait_until(lambda: (x := explain(api, digest))["last_read_at"] and x, 20,
                       "the read is counted")
    assert 0.9 < shown["heat"] <= 1


def test_rule_pin_and_time(quick):
    api = quick.api()
    data = make_bytes(4000, "why")
    api.publish("acme/why", {"w": data})
    digest = sha256(data)
    put_rules(api, {"name": "keep", "when": {"model": "why"}, "tier": "hot"})
    shown = wait_until(lambda: (x := explain(api, digest))["next"]["why"].count("keep") and x,
                       20, "the rule is known")
    assert (shown["next"]["tier"], shown["next"]["when"]) == ("hot", None)
    put_rules(api, {"name": "later", "when": {"older_than": "30d"}, "tier": "cold"})
    shown = wait_until(lambda: (x := explain(api, digest))["next"]["when"] and x, 20,
                       "time will change it")
    assert shown["next"]["tier"] == "cold" and "later" in shown["next"]["why"]
    put_rules(api, {"name": "down", "tier": "warm"})
    wait_until(lambda: tiers_of(quick, digest) == ("warm",), 20, "the rule is obeyed")
    (copy,) = explain(api, digest)["placements"]
    assert copy["rule"] == "down"
    pin = api.post("/pins", {"ref": "acme/why", "tier": "hot"}, expect=201).json()
    wait_until(lambda: "hot" in tiers_of(quick, digest), 20, "the pin is obeyed")
    shown = explain(api, digest)
    assert shown["placements"][0]["rule"] == "pin"
    assert shown["next"]["tier"] == "hot" and "pin" in shown["next"]["why"]
    api.delete(f"/pins/{pin['id']}", expect=204)
    wait_until(lambda: tiers_of(quick, digest) == ("warm",), 20, "the rule is again")


def test_bad_requests(server, api, problem):
    problem(api.get(f"/blobs/{NOTHING}/placements"), 404, "blob-not-found")
    for name in ("x", NOTHING[:-1], NOTHING + "0", "A" * 64):
        problem(api.get(f"/blobs/{name}/placements"), 422, "invalid-field", "sha256")
    problem(api.get("/tiers", params={"tier": "hot"}), 400, "bad-query")
