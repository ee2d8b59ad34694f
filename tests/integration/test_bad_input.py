# SPDX-License-Identifier: Apache-2.0
"""Bad input to models, evaluations, aliases and tokens gets a clear 4xx that names the field,
and changes nothing: not a row of any table, not a file of any tier."""
import pytest

from support.bad_input import (  # noqa: F401 (fixtures)
    BIG, DIGEST, INVALID, NAME, NET, PUBLISH, TIME, UNKNOWN, check, fits, ids, merge,
    refused, server, too_deep, wrong)
from support.chain import chain_of, sha256

NAMES = ["", "-a", ".a", "_a", "a b", "a/b", "ä", "a\0", "a\n", "x" * 97, "a@b", "a:b",
         "a%b", "..", "."]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_model_name(refused, name):
    for model in (f"{name}/net", f"acme/{name}"):
        if model.count("/") != 1:
            continue
        body = refused("POST", "/models", {"model": model}, 422, NAME)
        assert body["status"] == 400 or body["field"] == "model"


MODELS = [
    ({"model": ...}, None, "model"),
    *wrong("model", ["string"]),
    *[({"model": name}, NAME, "model") for name in ("net", "a/b/c", "/net", "acme/")],
    *wrong("description", ["string", "null"]),
    ({"description": "x" * 65537}, INVALID, "description"),
    ({"more": 1}, UNKNOWN, "more"),
    ({"versions": 1}, UNKNOWN, "versions"),
]


@pytest.mark.parametrize("case", MODELS, ids=ids)
def test_model(refused, case):
    check(refused, "POST", "/models", {"model": "acme/new"}, case)


@pytest.mark.parametrize("model", ["acme/net", "acme/NET", "ACME/net"])
def test_model_that_exists(refused, model):
    refused("POST", "/models", {"model": model}, 409, "model-exists")


@pytest.mark.parametrize("path", [NET, NET + "/versions/1"])
@pytest.mark.parametrize("case", [
    *wrong("description", ["string", "null"]),
    ({"description": "x" * 65537}, INVALID, "description"),
    ({"name": "other"}, UNKNOWN, "name"),
    ({"model": "a/b"}, UNKNOWN, "model"),
    ({"files": []}, UNKNOWN, "files"),
], ids=ids)
def test_patch(refused, path, case):
    check(refused, "PATCH", path, {}, case)


@pytest.mark.parametrize("case", [
    *wrong("tags", ["object", "null"]),
    *[({"tags": {"t": value}}, INVALID, "tags.t") for value in (1, True, ["x"], {"a": "b"})],
    ({"tags": {"": "x"}}, INVALID, None),
    ({"tags": {"k" * 129: "x"}}, INVALID, None),
    ({"tags": {"t": "v" * 4097}}, INVALID, "tags.t"),
    ({"tags": {f"t{n}": "x" for n in range(257)}}, INVALID, "tags"),
    ({"metrics": {"m": 1}}, UNKNOWN, "metrics"),
    ({"params": {"p": 1}}, UNKNOWN, "params"),
    ({"aliases": []}, UNKNOWN, "aliases"),
], ids=ids)
def test_patch_version(refused, case):
    check(refused, "PATCH", NET + "/versions/1", {}, case)


def test_tags_together_over_the_limit(api, refused):
    version = api.publish("acme/tagged", {"w": DIGEST},
                          tags={f"t{n}": "x" for n in range(256)})
    path = f"/models/acme/tagged/versions/{version['version']}"
    refused("PATCH", path, {"tags": {"one-more": "x"}}, 422, INVALID)


EVALUATIONS = [
    ({"metrics": ...}, INVALID, "metrics"),
    ({"metrics": {}}, INVALID, "metrics"),
    *wrong("metrics", ["object"]),
    *[({"metrics": {"m": value}}, INVALID, "metrics.m")
      for value in (None, True, "0.5", "NAN", [], {})],
    ({"metrics": {"k" * 257: 1}}, INVALID, None),
    ({"metrics": {f"m{n}": n for n in range(1001)}}, INVALID, "metrics"),
    *wrong("dataset", ["object", "null"]),
    ({"dataset": {}}, INVALID, "dataset.uri"),
    ({"dataset": {"uri": "x", "sha256": "y"}}, INVALID, "dataset.sha256"),
    ({"dataset": {"uri": "x", "more": 1}}, UNKNOWN, "dataset.more"),
    *wrong("note", ["string", "null"]),
    ({"note": "x" * 4097}, INVALID, "note"),
    ({"at": TIME}, UNKNOWN, "at"),
]


@pytest.mark.parametrize("case", EVALUATIONS, ids=ids)
def test_evaluation(refused, case):
    changes, slug, field = case
    body = refused("POST", NET + "/versions/1/evaluations",
                   merge({"metrics": {"loss": 1}}, changes), 422, slug)
    assert fits(body.get("field"), field), body


@pytest.mark.parametrize("case", [
    ({"message": ...}, INVALID, "message"),
    *wrong("message", ["string"]),
    ({"message": ""}, INVALID, "message"),
    ({"message": "x" * 4097}, INVALID, "message"),
    ({"by": "me"}, UNKNOWN, "by"),
], ids=ids)
def test_yank(refused, case):
    check(refused, "POST", NET + "/versions/1/yank", {"message": "m"}, case)


@pytest.mark.parametrize("case", [
    ({"version": ...}, INVALID, "version"),
    *wrong("version", ["integer"]),
    ({"version": 0}, INVALID, "version"),
    ({"version": -1}, INVALID, "version"),
    ({"version": 1 << 40}, INVALID, "version"),
    ({"version": "1"}, INVALID, "version"),
    ({"more": 1}, UNKNOWN, "more"),
], ids=ids)
def test_alias(refused, case):
    check(refused, "PUT", NET + "/aliases/new", {"version": 1}, case)


@pytest.mark.parametrize("name", ["7", "latest", "-a", "a%20b", "x" * 97, "%C3%A4", "a@b"])
def test_alias_name(refused, name):
    refused("PUT", f"{NET}/aliases/{name}", {"version": 1}, 422, NAME)


def test_alias_to_what_is_not_there(refused):
    refused("PUT", NET + "/aliases/new", {"version": 99}, 422, INVALID, "version")
    refused("PUT", "/models/acme/none/aliases/new", {"version": 1}, 404, "model-not-found")


TOKENS = [
    ({"principal": ...}, INVALID, "principal"),
    ({"role": ...}, INVALID, "role"),
    *wrong("principal", ["string"]),
    ({"principal": ""}, None, "principal"),
    ({"principal": "x" * 129}, None, "principal"),
    ({"principal": "a\nb"}, None, "principal"),
    ({"principal": "a\0b"}, None, "principal"),
    *wrong("role", ["string"]),
    ({"role": "root"}, INVALID, "role"),
    ({"role": "none"}, INVALID, "role"),
    ({"role": "Admin"}, INVALID, "role"),
    *wrong("kind", ["string", "null"]),
    ({"kind": "robot"}, INVALID, "kind"),
    *wrong("description", ["string", "null"]),
    ({"description": "x" * 1025}, INVALID, "description"),
    *wrong("expires_at", ["string", "null"]),
    *[({"expires_at": value}, INVALID, "expires_at")
      for value in ("", "tomorrow", "2100-01-01", "2100-13-01T00:00:00Z", "4102444800",
                    "2100-02-30T00:00:00Z", "2000-01-01T00:00:00Z",
                    "2100-01-01T00:00:00")],
    ({"token": "mine"}, UNKNOWN, "token"),
]


@pytest.mark.parametrize("case", TOKENS, ids=ids)
def test_token(refused, case):
    check(refused, "POST", "/tokens", {"principal": "new", "role": "reader"}, case)


@pytest.mark.parametrize("at", ["", "now", "2026-01-01", "1700000000",
                                "2026-01-01T00:00:00", "2026-99-01T00:00:00Z"])
def test_alias_at_a_time_that_does_not_parse(api, problem, at):
    response = api.get(NET + "/aliases/prod", params={"at": at})
    problem(response, 400, "bad-query")


@pytest.mark.parametrize("force", ["maybe", "1x", "TRUE "])
def test_force_that_does_not_parse(refused, force):
    refused("DELETE", f"{NET}/versions/1?force={force}", None, 400, "bad-query")


@pytest.mark.parametrize("method, path, body", [
    ("POST", "/models", {"model": "acme/new"}),
    ("POST", "/uploads", {"size": 5}),
    ("POST", NET + "/versions", PUBLISH),
    ("POST", "/tokens", {"principal": "new", "role": "reader"}),
])
def test_json_nested_without_end(server, api, method, path, body):
    before = server.state()
    for member in list(body) + ["more"]:
        response = api.request(method, path, json={**body, member: too_deep(1)})
        assert response.status_code in (400, 422), response.text
    assert server.state() == before


def test_chain_of_the_right_length_is_taken(make_server):
    """The other side of the chain's cases."""
    api = make_server().api()
    assert api.upload(BIG, chained=True) == sha256(BIG)
    assert api.get(f"/blobs/{sha256(BIG)}/chain").json()["states"] == chain_of(BIG)
