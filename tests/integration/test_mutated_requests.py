# SPDX-License-Identifier: Apache-2.0
"""Valid bodies with members replaced by odd values (fixed seeds): whatever comes, the
answer is a documented one, never an internal error, and what was stored can be read."""
import copy
import random

import pytest

from support.chain import make_bytes, sha256

REQUESTS = 150  # per seed
DATA = make_bytes(10, "mutated")
DIGEST = sha256(DATA)
MODEL = "/models/a/b"
READS = (MODEL, "/models", "/tokens", MODEL + "/versions", MODEL + "/versions/latest",
         MODEL + "/aliases", MODEL + "/aliases/prod/history")

ODD = [
    None, True, False, 0, -1, 1, 1 << 31, 1 << 53, 1 << 62, 1 << 63, 1 << 64, -(1 << 63),
    1.5, 1e308, -0.0, 5e-324, "", "x", "a/b", "a/b@1", "latest", "7", "@prod", "é",
    "e\u0301", "\u202e", "\N{GRINNING FACE}", "\ufeff", "\uffff", "\x7f", "\x85",
    "a" * 97, "a" * 5000, [], [[]], {}, {"": 1}, {"a": {}}, "sha256:" + "a" * 64,
    "a" * 64, "NaN", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z", "%00", "\\u0000", "'", '"', "null", "hf:x",
]
VALID = [
    ("POST", MODEL + "/versions", {
        "files": [{"path": "f", "sha256": DIGEST, "media_type": "text/plain"}],
        "parents": [{"ref": "a/b@1", "relation": "merge"},
                    {"uri": "hf:x", "relation": "merge"}],
        "datasets": [{"uri": "u", "sha256": DIGEST, "name": "n"}],
        "run": {"id": "1", "url": "u", "system": "s"},
        "code": {"repository": "r", "commit": "c", "dirty": True},
        "params": {"p": 1, "q": "s"}, "metrics": {"m": 1.5}, "tags": {"t": "v"},
        "description": "d", "aliases": ["prod"], "idempotency_key": "k"}),
    ("POST", "/uploads", {
        "size": 10, "sha256": DIGEST, "chain": {"states": [DIGEST]}, "tier": "hot"}),
    ("POST", "/models", {"model": "q/r", "description": "d"}),
    ("PATCH", MODEL, {"description": "x"}),
    ("PATCH", MODEL + "/versions/1", {"description": "x", "tags": {"a": "b"}}),
    ("POST", MODEL + "/versions/1/yank", {"message": "m"}),
    ("POST", MODEL + "/versions/1/evaluations", {
        "metrics": {"m": 1}, "dataset": {"uri": "u", "sha256": DIGEST, "name": "n"},
        "note": "n"}),
    ("PUT", MODEL + "/aliases/prod", {"version": 1}),
    ("POST", "/tokens", {
        "principal": "p", "kind": "person", "role": "reader", "description": "d",
        "expires_at": "2100-01-01T00:00:00Z"}),
]


@pytest.fixture
def server(shared_server):
    return shared_server


def places(value, path=()):
    """The paths of all values within, the whole one first."""
    yield path
    pairs = (value.items() if isinstance(value, dict) else
             enumerate(value) if isinstance(value, list) else ())
    for key, entry in pairs:
        yield from places(entry, (*path, key))


def replace(value, path, new):
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new


def mutated(source):
    method, path, body = source.choice(VALID)
    body = copy.deepcopy(body)
    for _ in range(source.choice([1, 1, 1, 2, 3])):
        new = copy.deepcopy(source.choice(ODD))
        replace(body, source.choice(list(places(body))[1:]), new)
    return method, path, body


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_requests(api, seed):
    assert api.put_blob(DATA) == DIGEST
    api.publish("a/b", {"f": DIGEST})
    source = random.Random(seed)
    statuses = set()
    for number in range(REQUESTS):
        method, path, body = mutated(source)
        statuses.add(api.request(method, path, json=body).status_code)  # and judged
        if number % 10 == 0:
            api.get(source.choice(READS))
    assert {200, 201, 422} <= statuses  # neither all refused nor all taken
    assert not statuses & {500, 503}
