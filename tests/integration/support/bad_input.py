# SPDX-License-Identifier: Apache-2.0
"""What the tests of bad input share: a server on which something is there, and `refused`,
which sends a request that must be refused and must leave everything as it was."""
import json

import pytest

from .chain import CHUNK, make_bytes, sha256

DATA = make_bytes(3000, "bad input")
DIGEST = sha256(DATA)
BIG = make_bytes(CHUNK + 10, "chain")
FILE = {"path": "a.bin", "sha256": DIGEST}
PUBLISH = {"files": [FILE]}
TIME = "2100-01-01T00:00:00Z"
NET = "/models/acme/net"
INVALID, UNKNOWN, NAME = "invalid-field", "unknown-field", "invalid-name"
PATH, TWICE = "invalid-path", "path-conflict"


@pytest.fixture
def server(shared_server):
    """With one published version, one blob without a version and one open upload."""
    if not hasattr(shared_server, "upload"):
        api = shared_server.api("admin")
        api.publish("acme/net", {"w": DATA})
        api.put("/models/acme/net/aliases/prod", {"version": 1}, expect=201)
        shared_server.upload = api.begin_upload(make_bytes(CHUNK + 5, "open"))
    return shared_server


@pytest.fixture
def refused(server, api, problem):
    """Sends a request that must be refused and must leave everything as it was. `slug`
    None: any, the field is what counts. JSON with a NUL may be refused as JSON."""

    def send(method, path, body, status, slug, field=None, **options):
        before = server.state()
        response = api.request(method, path, json=body, **options)
        assert server.state() == before
        if "\\u0000" in json.dumps(body) and response.status_code == 400:
            return problem(response, 400, "bad-json")
        if slug is None:
            slug = response.json()["type"].rpartition(":")[2]
        return problem(response, status, slug, field=field)

    return send


def merge(body, changes):
    """`body` with some members replaced; `...` as a value removes one."""
    merged = {**body, **changes}
    return {key: value for key, value in merged.items() if value is not ...}


def not_a(*kinds):
    """Values that are of none of these JSON types."""
    values = {"string": "text", "integer": 7, "fraction": 1.5, "object": {"x": 1},
              "array": [1], "boolean": True, "null": None}
    return [value for kind, value in values.items() if kind not in kinds]


def wrong(field, kinds, template=None, slug=INVALID):
    """Cases of a wrong type: (changes, slug, field)."""
    return [(merge({}, {field: value}), slug, field) for value in not_a(*kinds)]


def too_deep(value):
    for _ in range(100):
        value = {"x": value}
    return value


def check(refused, method, path, good, cases):
    changes, slug, field = cases
    refused(method, path, merge(good, changes), 422, slug, field)


def ids(case):
    return f"{case[2]}={str(case[0])[:50]}"


def fits(found, field):
    """The field that was named is the one meant, or a place within it."""
    if field is None:
        return bool(found)
    return found == field or found.startswith((field + ".", field + "["))
