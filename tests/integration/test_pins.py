# SPDX-License-Identifier: Apache-2.0
"""Pins keep versions and blobs on a tier; prefetch brings them there."""
import pytest

from support.bad_input import TIME
from support.chain import make_bytes, sha256
from support.moves import ACTIVE, bring, tiers_of
from support.stratad import wait_until

NOTHING = "0" * 64


@pytest.fixture
def server(make_server):
    """The policy stays out of it: pins and prefetch act by themselves."""
    return make_server(policy_interval="1h")


@pytest.fixture
def files():
    return {"config.json": b"{}", "model-00001-of-00002.safetensors": make_bytes(9000, "p1"),
            "model-00002-of-00002.safetensors": make_bytes(9001, "p2"),
            "model.safetensors.index.json": b'{"weight_map":{}}'}


@pytest.fixture
def digests(files):
    return {path: sha256(data) for path, data in files.items()}


@pytest.fixture
def published(server, api, files, digests):
    """acme/net@1, all of it on the cold tier."""
    api.publish("acme/net", files)
    for digest in digests.values():
        bring(server, digest, "cold")


def on(server, digests, tier, seconds=20):
    wait_until(lambda: all(tier in tiers_of(server, digest) for digest in digests), seconds,
               f"they are {tier}")


# ---- pins ---------------------------------------------------------------------------


def test_a_pin_of_a_version_acts_at_once(server, api, published, digests, reader):
    pin = api.post("/pins", {"ref": "acme/net@1", "tier": "hot"}, expect=201).json()
    assert (pin["ref"], pin["sha256"], pin["tier"], pin["until"]) == (
        "acme/net@1", None, "hot", None)
    assert (pin["blobs"], pin["created_by"]) == (4, "admin")
    assert pin["bytes"] == 2 + 9000 + 9001 + 17
    on(server, digests.values(), "hot")
    causes = {move["cause"] for move in api.get("/moves", params={"limit": 4}).json()["moves"]}
    assert causes == {"pin"}
    assert reader.get("/pins", expect=200).json() == {"pins": [pin], "next_page_token": None}
    api.delete(f"/pins/{pin['id']}", expect=204)
    assert reader.get("/pins").json()["pins"] == []


def test_a_pin_of_a_blob_until(server, api, published, digests):
    digest = digests["config.json"]
    pin = api.post("/pins", {"sha256": digest, "tier": "warm", "until": TIME},
                   expect=201).json()
    assert (pin["ref"], pin["sha256"], pin["blobs"], pin["bytes"]) == (None, digest, 1, 2)
    assert pin["until"].startswith("2100-01-01T00:00:00")
    on(server, [digest], "warm")
    server.database.rows("UPDATE pins SET until = now() - interval '1 second'")
    assert api.get("/pins").json()["pins"] == []


def test_an_alias_is_resolved_when_the_pin_is_made(server, api, published):
    api.publish("acme/net", {"w": make_bytes(100, "second")})
    api.put("/models/acme/net/aliases/prod", {"version": 1}, expect=201)
    for ref, version in (("acme/net@prod", 1), ("acme/net", 2), ("acme/net@latest", 2),
                         ("acme/net@2", 2)):
        pin = api.post("/pins", {"ref": ref, "tier": "cold"}, expect=201).json()
        assert pin["ref"] == f"acme/net@{version}"
    digest = api.get("/models/acme/net/versions/1").json()["digest"]
    pin = api.post("/pins", {"ref": f"acme/net@{digest}", "tier": "cold"}, expect=201).json()
    assert pin["ref"] == "acme/net@1"
    api.put("/models/acme/net/aliases/prod", {"version": 2}, expect=200)
    refs = [pin["ref"] for pin in api.get("/pins").json()["pins"]]
    assert refs == ["acme/net@1"] + ["acme/net@2"] * 3 + ["acme/net@1"]


def test_list_by_pages(api, published, problem):
    made = [api.post("/pins", {"ref": "acme/net", "tier": "cold"}, expect=201).json()
            for _ in range(7)]
    seen, token = [], None
    while True:
        params = {"limit": 3, **({"page_token": token} if token else {})}
        page = api.get("/pins", params=params, expect=200).json()
        seen += page["pins"]
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == made[::-1]
    problem(api.get("/pins", params={"page_token": "cHJvZA"}), 400, "bad-query", "page_token")
    problem(api.get("/pins", params={"tier": "hot"}), 400, "bad-query")


def test_a_pinned_version_is_not_deleted(api, published, problem):
    pin = api.post("/pins", {"ref": "acme/net@1", "tier": "cold"}, expect=201).json()
    refusal = problem(api.delete("/models/acme/net/versions/1"), 409, "version-in-use")
    assert refusal["reasons"] == [{"kind": "pin", "name": str(pin["id"])}]
    api.delete("/models/acme/net/versions/1", params={"force": "true"}, expect=200)
    assert api.get("/pins").json()["pins"] == []
    problem(api.delete(f"/pins/{pin['id']}"), 404, "pin-not-found")
    for path in ("/pins", "/prefetch"):
        problem(api.post(path, {"ref": "acme/net@1", "tier": "hot"}), 410, "version-deleted")


BAD_PINS = [
    ({"tier": "hot"}, "invalid-field", "ref"),
    ({"ref": "acme/net"}, "invalid-field", "tier"),
    ({"ref": "acme/net", "tier": "lukewarm"}, "invalid-field", "tier"),
    ({"ref": "acme/net", "tier": 1}, "invalid-field", "tier"),
    ({"ref": "acme", "tier": "hot"}, "invalid-name", "ref"),
    ({"ref": "acme/net@", "tier": "hot"}, "invalid-name", "ref"),
    ({"ref": "acme/net@@prod", "tier": "hot"}, "invalid-name", "ref"),
    ({"ref": "acme/net@sha256:abc", "tier": "hot"}, "invalid-name", "ref"),
    ({"ref": ["acme/net"], "tier": "hot"}, "invalid-field", "ref"),
    ({"ref": "a" * 301, "tier": "hot"}, "invalid-field", "ref"),
    ({"ref": "acme/net", "sha256": NOTHING, "tier": "hot"}, "invalid-field", "sha256"),
    ({"sha256": "abc", "tier": "hot"}, "invalid-field", "sha256"),
    ({"sha256": "A" * 64, "tier": "hot"}, "invalid-field", "sha256"),
    ({"ref": "acme/net", "tier": "hot", "until": "tomorrow"}, "invalid-field", "until"),
    ({"ref": "acme/net", "tier": "hot", "until": "2001-01-01T00:00:00Z"}, "invalid-field",
     "until"),
    ({"ref": "acme/net", "tier": "hot", "until": 7}, "invalid-field", "until"),
    ({"ref": "acme/net", "tier": "hot", "files": []}, "unknown-field", "files"),
]


def test_bad_pins(server, api, published, problem):
    before = server.state()
    for body, slug, field in BAD_PINS:
        problem(api.post("/pins", body), 422, slug, field)
    for body, slug in (
            ({"ref": "acme/none"}, "model-not-found"), ({"ref": "acme/net@9"}, "version-not-found"),
            ({"ref": "acme/net@none"}, "alias-not-found"), ({"sha256": NOTHING}, "blob-not-found")):
        problem(api.post("/pins", {**body, "tier": "hot"}), 404, slug)
    for number in ("0", "x", "latest"):
        problem(api.delete(f"/pins/{number}"), 422, "invalid-field", "id")
    problem(api.delete("/pins/999999"), 404, "pin-not-found")
    assert server.state() == before


# ---- prefetch -----------------------------------------------------------------------


def test_prefetch_in_the_order_of_loading(server, publisher, published, digests):
    answer = publisher.post("/prefetch", {"ref": "acme/net@1", "tier": "hot"}, expect=202)
    moves = answer.json()["moves"]
    assert [move["sha256"] for move in moves][-2:] == [
        digests[f"model-0000{n}-of-00002.safetensors"] for n in (1, 2)]
    assert {move["cause"] for move in moves} == {"prefetch"} and len(moves) == 4
    on(server, digests.values(), "hot")
    # Nothing is to be done any more; the moves of what lies there are born done.
    again = publisher.post("/prefetch", {"ref": "acme/net@1", "tier": "hot"}, expect=202)
    assert {move["state"] for move in again.json()["moves"]} <= {"done"}
    below = publisher.post("/prefetch", {"ref": "acme/net@1", "tier": "warm"}, expect=202)
    assert below.json() == {"moves": []}


def test_prefetch_some_files(server, api, published, digests):
    body = {"ref": "acme/net", "tier": "warm", "files": ["*-00001-of-*", "config.json"]}
    moves = api.post("/prefetch", body, expect=202).json()["moves"]
    wanted = {digests["config.json"], digests["model-00001-of-00002.safetensors"]}
    assert {move["sha256"] for move in moves} == wanted
    on(server, wanted, "warm")
    others = set(digests.values()) - wanted
    assert {tiers_of(server, digest) for digest in others} == {("cold",)}


def test_prefetch_is_not_held(server, api, published, digests):
    digest = digests["config.json"]
    (move,) = api.post("/prefetch", {"ref": "acme/net", "tier": "hot", "files": ["config.json"]},
                       expect=202).json()["moves"]
    wait_until(lambda: api.get(f"/moves/{move['id']}").json()["state"] not in ACTIVE)
    assert api.get(f"/blobs/{digest}/placements").json()["placements"][0]["rule"] in (
        "prefetch", "default")
    # The holds that there are come from bringing the files down by hand.
    assert server.database.rows("SELECT DISTINCT tier FROM holds") == [("cold",)]


def test_bad_prefetch(server, api, published, problem):
    good = {"ref": "acme/net", "tier": "hot"}
    before = server.state()
    for changes, slug, field in (
            ({"ref": ""}, "invalid-name", "ref"), ({"tier": "x"}, "invalid-field", "tier"),
            ({"files": []}, "invalid-field", "files"),
            ({"files": "config.json"}, "invalid-field", "files"),
            ({"files": ["a", 7]}, "invalid-field", "files[1]"),
            ({"files": [""]}, "invalid-field", "files[0]"),
            ({"files": ["x" * 1025]}, "invalid-field", "files[0]"),
            ({"files": ["a"] * 10001}, "invalid-field", "files"),
            ({"until": TIME}, "unknown-field", "until")):
        problem(api.post("/prefetch", {**good, **changes}), 422, slug, field)
    for field in good:
        body = {key: value for key, value in good.items() if key != field}
        problem(api.post("/prefetch", body), 422, "invalid-field", field)
    problem(api.post("/prefetch", {**good, "files": ["config.json", "none*"]}), 404,
            "file-not-found", "files[1]")
    problem(api.post("/prefetch", {**good, "ref": "acme/none"}), 404, "model-not-found")
    assert server.state() == before
