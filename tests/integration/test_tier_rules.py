# SPDX-License-Identifier: Apache-2.0
"""Tier rules: replaced under a condition, kept in a history, tried without a change."""
import concurrent.futures

import pytest

from support.chain import make_bytes, sha256
from support.moves import tiers_of
from support.stratad import wait_until

HOT = {"name": "production", "when": {"alias": "prod"}, "tier": "hot"}
COLD = {"name": "rest", "tier": "cold"}


@pytest.fixture
def server(make_server):
    """The policy stays out of it where a test does not ask for it."""
    return make_server(policy_interval="1h")


def rules(*list_of_rules):
    return {"rules": list(list_of_rules)}


def test_put_and_get(api, reader, maintainer):
    first = reader.get("/tier-rules", expect=200)
    assert first.json() == rules()
    put = maintainer.put("/tier-rules", rules(HOT, COLD), expect=200)
    assert put.json() == rules(HOT, COLD)
    assert put.headers["ETag"] != first.headers["ETag"]
    shown = reader.get("/tier-rules", expect=200)
    assert shown.json() == rules(HOT, COLD)
    assert shown.headers["ETag"] == put.headers["ETag"]


def test_the_same_again_changes_nothing(server, api):
    etag = api.put("/tier-rules", rules(HOT), expect=200).headers["ETag"]
    before = server.state()
    assert api.put("/tier-rules", rules(HOT), expect=200).headers["ETag"] == etag
    assert server.state() == before
    assert api.put("/tier-rules", rules(), expect=200).headers["ETag"] != etag


def test_condition(api, problem):
    old = api.get("/tier-rules").headers["ETag"]
    new = api.put("/tier-rules", rules(HOT), headers={"If-Match": old}, expect=200)
    for tag in (old, "nonsense", "W/" + new.headers["ETag"]):
        problem(api.put("/tier-rules", rules(COLD), headers={"If-Match": tag}), 412,
                "precondition-failed")
    assert api.get("/tier-rules").json() == rules(HOT)
    etag = new.headers["ETag"]
    api.put("/tier-rules", rules(COLD), headers={"If-Match": f'"0", {etag}'}, expect=200)
    api.put("/tier-rules", rules(HOT), headers={"If-Match": "*"}, expect=200)


def test_one_of_many_conditional_changes_wins(server, api):
    etag = api.get("/tier-rules").headers["ETag"]

    def put(number):
        rule = {"name": f"r{number}", "tier": "hot"}
        return server.api().clone().put("/tier-rules", rules(rule),
                                        headers={"If-Match": etag}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(8))) == [200] + [412] * 7


def test_history(api, maintainer, reader, problem):
    assert reader.get("/tier-rules/history", expect=200).json() == {
        "history": [], "next_page_token": None}
    made = [{"name": f"r{number}", "tier": "hot"} for number in range(5)]
    for rule in made:
        maintainer.put("/tier-rules", rules(rule), expect=200)
    seen, token = [], None
    while True:
        params = {"limit": 2, **({"page_token": token} if token else {})}
        page = reader.get("/tier-rules/history", params=params, expect=200).json()
        seen += page["history"]
        token = page["next_page_token"]
        if token is None:
            break
    assert [entry["rules"] for entry in seen] == [[rule] for rule in made[::-1]]
    assert {entry["set_by"] for entry in seen} == {"maintainer"}
    assert [entry["version"] for entry in seen] == sorted(
        (entry["version"] for entry in seen), reverse=True)
    assert api.get("/tier-rules").headers["ETag"] == f'"{seen[0]["version"]}"'
    problem(api.get("/tier-rules/history", params={"page_token": "cHJvZA"}), 400, "bad-query",
            "page_token")


def test_dry_run(server, api, problem):
    data = make_bytes(5000, "dry")
    for model in ("acme/a", "acme/b"):
        api.publish(model, {"w": data, model[-1]: model.encode()})
    api.put("/models/acme/a/aliases/prod", {"version": 1}, expect=201)
    before = server.state()
    answer = api.put("/tier-rules", rules(HOT, COLD), params={"dry_run": "true"}, expect=200)
    assert "ETag" not in answer.headers
    report = answer.json()
    assert [(rule["name"], rule["tier"], rule["versions"]) for rule in report["rules"]] == [
        ("production", "hot", 1), ("rest", "cold", 1)]
    # The blob that both have stays hot.
    assert report["moves"] == [{"from": "hot", "to": "cold", "blobs": 1, "bytes": 6}]
    assert report["unmatched"] == {"versions": 0, "blobs": 0, "bytes": 0}
    assert server.state() == before and api.get("/tier-rules").json() == rules()
    problem(api.put("/tier-rules", rules({"name": "x"}), params={"dry_run": "true"}), 422,
            "invalid-field", "rules[0].tier")
    for value in ("maybe", "1"):
        problem(api.put("/tier-rules", rules(), params={"dry_run": value}), 400, "bad-query",
                "dry_run")
    problem(api.put("/tier-rules", rules(), params={"force": "true"}), 400, "bad-query")
    api.put("/tier-rules", rules(HOT), params={"dry_run": "false"}, expect=200)
    assert api.get("/tier-rules").json() == rules(HOT)


BAD_RULES = [
    ({}, "invalid-field", "rules"),
    ({"rules": None}, "invalid-field", "rules"),
    ({"rules": {}}, "invalid-field", "rules"),
    ({"rules": [7]}, "invalid-field", "rules[0]"),
    ({"rules": [], "version": 1}, "unknown-field", "version"),
    (rules(COLD, {"name": "x"}), "invalid-field", "rules[1].tier"),
    (rules({"tier": "hot"}), "invalid-field", "rules[0].name"),
    (rules({"name": "a b", "tier": "hot"}), "invalid-name", "rules[0].name"),
    (rules({"name": "pin", "tier": "hot"}), "invalid-field", "rules[0].name"),
    (rules(COLD, COLD), "invalid-field", "rules[1].name"),
    (rules({**COLD, "tier": "ice"}), "invalid-field", "rules[0].tier"),
    (rules({**COLD, "because": "x"}), "unknown-field", "rules[0].because"),
    (rules({**COLD, "when": {"size": 1}}), "unknown-field", "rules[0].when.size"),
    (rules({**COLD, "when": {"older_than": "soon"}}), "invalid-field",
     "rules[0].when.older_than"),
    (rules({**COLD, "when": {"older_than": 30}}), "invalid-field", "rules[0].when.older_than"),
    (rules({**COLD, "when": {"larger_than": -1}}), "invalid-field",
     "rules[0].when.larger_than"),
    (rules({**COLD, "when": {"has_children": "yes"}}), "invalid-field",
     "rules[0].when.has_children"),
    (rules({**COLD, "when": {"newest_n": 0}}), "invalid-field", "rules[0].when.newest_n"),
    (rules({**COLD, "when": {"alias": []}}), "invalid-field", "rules[0].when.alias"),
    (rules({**COLD, "when": {"alias": ["a", 7]}}), "invalid-field", "rules[0].when.alias[1]"),
    (rules(*({"name": f"r{n}", "tier": "hot"} for n in range(101))), "invalid-field", "rules"),
]


@pytest.mark.parametrize("dry", ["false", "true"])
def test_bad_rules(server, api, problem, dry):
    before = server.state()
    for body, slug, field in BAD_RULES:
        problem(api.put("/tier-rules", body, params={"dry_run": dry}), 422, slug, field)
    large = rules({**COLD, "when": {"tag": ["x" * 512] * 100}},
                  *({"name": f"r{n}", "tier": "hot", "when": {"tag": ["y" * 512] * 100}}
                    for n in range(8)))
    problem(api.put("/tier-rules", large), 413, "body-too-large")
    assert server.state() == before


def test_rules_are_obeyed(make_server):
    server = make_server(policy_interval="100ms")
    api = server.api()
    old, new = make_bytes(5000, "old"), make_bytes(5000, "new")
    api.publish("acme/net", {"w": old})
    api.publish("acme/net", {"w": new})
    api.put("/models/acme/net/aliases/prod", {"version": 2}, expect=201)
    api.put("/tier-rules", rules(HOT, COLD), expect=200)
    wait_until(lambda: tiers_of(server, sha256(old)) == ("cold",), 20, "the old one is cold")
    assert "hot" in tiers_of(server, sha256(new))
    api.put("/models/acme/net/aliases/prod", {"version": 1}, expect=200)
    wait_until(lambda: "hot" in tiers_of(server, sha256(old)), 20, "the alias has moved")
    wait_until(lambda: tiers_of(server, sha256(new)) == ("cold",), 20, "the new one is cold")
    moves = api.get("/moves").json()["moves"]
    assert {move["cause"] for move in moves} == {"rule"}
    assert {move["rule"] for move in moves} == {"production", "rest"}
