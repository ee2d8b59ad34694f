# SPDX-License-Identifier: Apache-2.0
"""Moves by hand: what they bring and drop, in which order, and how they are cancelled."""
import pytest

from support.chain import CHUNK, big_bytes, make_bytes, sha256
from support.moves import ACTIVE, tiers_of, weights
from support.stratad import wait_until

NOTHING = "0" * 64


@pytest.fixture
def server(shared_server):
    return shared_server


@pytest.fixture
def slow(make_server):
    """Moves take about a second for 4 MiB; the policy stays out of it."""
    return make_server(move_bandwidth="4M", policy_interval="1h")


def move(api, digest, tier):
    return api.post(f"/blobs/{digest}/move", {"tier": tier}, expect=202).json()


def ended(api, started, state="done", seconds=40):
    """Waits until it has ended, which must be in this state."""
    def look():
        shown = api.get(f"/moves/{started['id']}", expect=200).json()
        return shown if shown["state"] not in ACTIVE else None
    shown = wait_until(look, seconds, f"move {started['id']} has ended")
    assert shown["state"] == state, shown
    return shown


def running(api, started):
    return wait_until(
        lambda: api.get(f"/moves/{started['id']}").json()["state"] == "copying", 20,
        "it is copied")


def placements(api, digest):
    return api.get(f"/blobs/{digest}/placements", expect=200).json()


def check_bytes(api, digest, data, tier):
    answer = api.get(f"/blobs/{digest}", expect=200)
    assert answer.content == data and answer.headers["Strata-Tier"] == tier
    part = api.get(f"/blobs/{digest}", headers={"Range": "bytes=1000-2000"}, expect=206)
    assert part.content == data[1000:2001]


# ---- what they bring ----------------------------------------------------------------


def test_down_and_up_again_brings_the_same_bytes(server, api):
    data = weights(2 * CHUNK + 12345, "round trip")
    digest = api.upload(data)
    for tier in ("warm", "cold"):
        shown = ended(api, move(api, digest, tier))
        assert (shown["bytes_done"], shown["size"]) == (len(data), len(data))
        assert tiers_of(server, digest) == (tier,)
        check_bytes(api, digest, data, tier)
    (copy,) = placements(api, digest)["placements"]
    assert copy["encoding"] != "raw" and copy["stored_size"] < 0.8 * len(data)
    ended(api, move(api, digest, "hot"))
    assert tiers_of(server, digest) == ("hot", "cold")
    check_bytes(api, digest, data, "hot")


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_small_and_empty_blobs(server, api, size):
    data = make_bytes(size, "sizes")
    digest = api.put_blob(data)
    for tier in ("cold", "warm", "hot"):
        ended(api, move(api, digest, tier))
        answer = api.get(f"/blobs/{digest}", expect=200)
        assert answer.content == data and answer.headers["Strata-Tier"] == tier


def test_a_move_is_shown(server, api, reader):
    digest = api.put_blob(make_bytes(5000, "shown"))
    answer = api.post(f"/blobs/{digest}/move", {"tier": "warm"}, expect=202)
    started = answer.json()
    assert answer.headers["Location"] == f"/api/v1/moves/{started['id']}"
    assert (started["sha256"], started["from"], started["to"]) == (digest, "hot", "warm")
    assert (started["cause"], started["rule"], started["size"]) == ("move", None, 5000)
    shown = ended(reader, started)
    assert shown["attempts"] == 1 and shown["error"] is None
    assert shown["created_at"] <= shown["started_at"] <= shown["finished_at"]
    assert placements(api, digest)["placements"][0]["rule"] == "move"


def test_to_where_it_lies_is_born_done(server, api):
    digest = api.put_blob(make_bytes(5000, "born done"))
    started = move(api, digest, "hot")
    assert started["state"] == "done" and started["bytes_done"] == 5000
    ended(api, move(api, digest, "cold"))
    ended(api, move(api, digest, "hot"))
    # A copy below is kept by a promotion; asked for by hand, it is all that stays.
    assert ended(api, move(api, digest, "cold"))["state"] == "done"
    assert tiers_of(server, digest) == ("cold",)


def test_promotion_keeps_what_is_below(server, api):
    digest = api.put_blob(make_bytes(5000, "keeps"))
    ended(api, move(api, digest, "cold"))
    ended(api, move(api, digest, "warm"))
    assert tiers_of(server, digest) == ("warm", "cold")
    ended(api, move(api, digest, "hot"))
    assert tiers_of(server, digest) == ("hot", "warm", "cold")
    ended(api, move(api, digest, "warm"))
    assert tiers_of(server, digest) == ("warm", "cold")


# ---- one after the other ------------------------------------------------------------


def test_the_same_target_is_the_same_move(slow):
    api = slow.api()
    digest = api.put_blob(big_bytes("same", 4 * CHUNK))
    first = move(api, digest, "warm")
    running(api, first)
    assert move(api, digest, "warm")["id"] == first["id"]
    second = move(api, digest, "cold")
    assert second["id"] != first["id"] and second["state"] == "queued"
    assert move(api, digest, "cold")["id"] == second["id"]
    ended(api, first)
    ended(api, second)
    assert tiers_of(slow, digest) == ("cold",)


def test_back_while_it_goes_down(slow):
    """It lies on the hot tier still, and would not for long."""
    api = slow.api()
    digest = api.put_blob(big_bytes("back", 2 * CHUNK))
    down = move(api, digest, "warm")
    running(api, down)
    up = move(api, digest, "hot")
    assert up["state"] == "queued" and up["id"] != down["id"]
    ended(api, down)
    ended(api, up)
    assert tiers_of(slow, digest) == ("hot", "warm")


def test_down_while_it_goes_up(slow):
    """It lies on the warm tier still, and nowhere else afterwards."""
    api = slow.api()
    digest = api.put_blob(big_bytes("down", 2 * CHUNK))
    ended(api, move(api, digest, "warm"))
    up = move(api, digest, "hot")
    running(api, up)
    down = move(api, digest, "warm")
    assert down["state"] == "queued"
    ended(api, up)
    ended(api, down)
    assert tiers_of(slow, digest) == ("warm",)


# ---- cancelled and failed -----------------------------------------------------------


def test_cancel_while_it_runs(slow, problem):
    api = slow.api()
    digest = api.put_blob(big_bytes("cancel", 4 * CHUNK))
    started = move(api, digest, "warm")
    running(api, started)
    shown = api.get(f"/moves/{started['id']}").json()
    assert 0 <= shown["bytes_done"] < shown["size"]
    api.delete(f"/moves/{started['id']}", expect=204)
    shown = ended(api, started, "cancelled")
    assert shown["error"] is None and shown["finished_at"] is not None
    problem(api.delete(f"/moves/{started['id']}"), 409, "move-finished")
    assert tiers_of(slow, digest) == ("hot",)
    assert not [name for name in slow.tier_files() if name.startswith("warm/")]
    ended(api, move(api, digest, "warm"))


def test_cancel_while_it_waits(slow):
    api = slow.api()
    digest = api.put_blob(big_bytes("waits", 2 * CHUNK))
    first = move(api, digest, "warm")
    second = move(api, digest, "cold")
    api.delete(f"/moves/{second['id']}", expect=204)
    assert api.get(f"/moves/{second['id']}").json()["state"] == "cancelled"
    ended(api, first)
    assert tiers_of(slow, digest) == ("warm",)


def test_progress_and_eta_while_it_runs(slow):
    api = slow.api()
    digest = api.put_blob(big_bytes("progress", 6 * CHUNK))
    started = move(api, digest, "warm")
    seen = []

    def look():
        shown = api.get(f"/moves/{started['id']}").json()
        if shown["state"] == "copying":
            seen.append((shown["bytes_done"], shown["eta_seconds"]))
        return shown["state"] not in ("queued", "copying")

    wait_until(look, 40, "it is copied")
    done = [bytes_done for bytes_done, _ in seen]
    assert done == sorted(done) and len(set(done)) > 2
    left = [eta for _, eta in seen if eta is not None]
    assert left and max(left) >= 1
    api.delete(f"/moves/{started['id']}")


def test_a_full_tier_says_what_is_missing(make_server):
    server = make_server(warm_capacity=4000, policy_interval="1h")
    api = server.api()
    digest = api.put_blob(make_bytes(5000, "full"))
    started = move(api, digest, "warm")
    shown = wait_until(
        lambda: (found := api.get(f"/moves/{started['id']}").json())["error"] and found,
        20, "an attempt failed")
    assert "4000 bytes left, the blob has 5000" in shown["error"]
    assert shown["attempts"] >= 1 and shown["state"] == "queued"
    assert tiers_of(server, digest) == ("hot",)
    api.delete(f"/moves/{started['id']}", expect=204)


# ---- lists and bad input ------------------------------------------------------------


def test_list(server, api, problem):
    digest = api.put_blob(make_bytes(5000, "list"))
    started = [ended(api, move(api, digest, tier)) for tier in ("warm", "cold", "hot", "hot")]
    listed = api.get("/moves", params={"sha256": digest}, expect=200).json()
    assert listed == {"moves": started[::-1], "next_page_token": None}
    seen, token = [], None
    while True:
        params = {"sha256": digest, "limit": 3, **({"page_token": token} if token else {})}
        page = api.get("/moves", params=params, expect=200).json()
        seen += page["moves"]
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == started[::-1]
    params = {"sha256": digest, "state": "failed"}
    assert api.get("/moves", params=params, expect=200).json()["moves"] == []
    params["state"] = "done"
    assert len(api.get("/moves", params=params, expect=200).json()["moves"]) == 4
    for name, value in (("state", "gone"), ("state", ""), ("sha256", "abc"),
                        ("sha256", digest.upper()), ("page_token", "cHJvZA")):
        problem(api.get("/moves", params={name: value}), 400, "bad-query", name)
    problem(api.get("/moves", params={"to": "hot"}), 400, "bad-query")


def test_bad_requests(server, api, problem):
    digest = api.put_blob(make_bytes(5000, "bad moves"))
    before = server.state()
    path = f"/blobs/{digest}/move"
    for body in ({}, {"tier": "lukewarm"}, {"tier": 1}, {"tier": None}, {"tier": "HOT"},
                 {"tier": ["hot"]}, {"tier": "x" * 17}):
        problem(api.post(path, body), 422, "invalid-field", "tier")
    problem(api.post(path, {"tier": "hot", "drops": True}), 422, "unknown-field", "drops")
    problem(api.post(f"/blobs/{digest[:-1]}/move", {"tier": "hot"}), 422, "invalid-field",
            "sha256")
    problem(api.post(f"/blobs/{NOTHING}/move", {"tier": "hot"}), 404, "blob-not-found")
    for method in ("GET", "DELETE"):
        for number in ("0", "-1", "x", "1.5", "01", "@a", "latest", "9" * 30):
            problem(api.request(method, f"/moves/{number}"), 422, "invalid-field", "id")
        problem(api.request(method, "/moves/999999999"), 404, "move-not-found")
    assert server.state() == before


# ---- who decides --------------------------------------------------------------------


def test_a_move_by_hand_holds_against_rules(make_server):
    server = make_server(policy_interval="100ms")
    api = server.api()
    data = make_bytes(5000, "holds")
    api.publish("acme/held", {"w": data})
    digest = sha256(data)
    ended(api, move(api, digest, "warm"))
    api.put("/tier-rules", {"rules": [{"name": "all", "tier": "hot"}]}, expect=200)
    other = make_bytes(5001, "not held")
    upload = api.begin_upload(other, tier="warm")
    api.put_part(upload, other, 0, expect=204)
    api.complete(upload, expect=201)
    api.publish("acme/free", {"w": sha256(other)})
    # The rule is obeyed where nothing holds: passes were made meanwhile.
    wait_until(lambda: "hot" in tiers_of(server, sha256(other)), 20, "the rule is obeyed")
    assert tiers_of(server, digest) == ("warm",)
    then = placements(api, digest)["next"]
    assert then["tier"] == "hot" and then["when"] is not None, then
    api.post("/pins", {"sha256": digest, "tier": "hot"}, expect=201)
    wait_until(lambda: "hot" in tiers_of(server, digest), 20, "a pin goes before it")


# ---- born on a tier -----------------------------------------------------------------


def test_uploads_begin_on_the_tier_asked_for(server, api):
    for tier in ("hot", "warm"):
        data = make_bytes(70000, f"born {tier}")
        digest = api.upload(data, tier=tier)
        assert tiers_of(server, digest) == (tier,)
        check_bytes(api, digest, data, tier)


def test_an_upload_to_cold_is_moved_there(server, api):
    data = weights(CHUNK, "born cold")
    digest = api.upload(data, tier="cold")
    wait_until(lambda: tiers_of(server, digest) == ("cold",), 30, "it is cold")
    check_bytes(api, digest, data, "cold")


def test_a_full_tier_is_passed_over(make_server):
    server = make_server(hot_capacity=10000)
    api = server.api()
    data = make_bytes(20000, "passed over")
    digest = api.upload(data)
    assert tiers_of(server, digest) == ("warm",)
    check_bytes(api, digest, data, "warm")
