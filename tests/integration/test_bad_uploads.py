# SPDX-License-Identifier: Apache-2.0
"""Bad uploads and blobs get a clear 4xx that names the field, and change nothing: not a row of
any table, not a file of any tier."""
import pytest

from support.bad_input import (  # noqa: F401 (fixtures)
    BIG, DATA, DIGEST, INVALID, UNKNOWN, ids, merge, refused, server, wrong)
from support.chain import CHUNK, make_bytes, sha256

UPLOAD = {"size": 1000, "sha256": "ab" * 32}
UPLOADS = [
    ({"size": ...}, INVALID, "size"),
    *wrong("size", ["integer"]),
    ({"size": -1}, INVALID, "size"),
    ({"size": (1 << 40) + 1}, INVALID, "size"),
    ({"size": 1 << 62}, INVALID, "size"),
    *wrong("sha256", ["string", "null"]),
    ({"sha256": ""}, INVALID, "sha256"),
    ({"sha256": "AB" * 32}, INVALID, "sha256"),
    ({"sha256": "ab" * 31}, INVALID, "sha256"),
    ({"sha256": "ab" * 33}, INVALID, "sha256"),
    ({"sha256": "zz" * 32}, INVALID, "sha256"),
    *wrong("tier", ["string", "null"]),
    ({"tier": "lukewarm"}, None, "tier"),
    ({"tier": ""}, None, "tier"),
    *wrong("chain", ["object", "null"]),
    ({"chain": {}}, INVALID, None),
    ({"chain": {"states": []}}, INVALID, None),
    ({"chain": {"states": "ab" * 32}}, INVALID, None),
    ({"chain": {"states": [7]}}, INVALID, None),
    ({"chain": {"states": ["xy" * 32]}}, INVALID, None),
    ({"chain": {"states": ["ab" * 32, "ab" * 32]}}, INVALID, None),
    ({"chain": {"states": ["cd" * 32]}}, INVALID, None),
    ({"chain": {"states": ["ab" * 32], "more": 1}}, None, None),
    ({"more": 1}, UNKNOWN, "more"),
    ({"Size": 1000}, UNKNOWN, "Size"),
]


@pytest.mark.parametrize("case", UPLOADS, ids=ids)
def test_upload(refused, case):
    changes, slug, field = case
    body = refused("POST", "/uploads", merge(UPLOAD, changes), 422, slug)
    assert body.get("field") and (field is None or body["field"] == field), body


def test_upload_of_size_over_the_limit(make_server, problem):
    server = make_server(max_blob_size="8M")
    before = server.state()
    response = server.api().post("/uploads", {"size": (8 << 20) + 1})
    assert response.status_code in (413, 422), response.text
    assert server.state() == before
    server.api().post("/uploads", {"size": 8 << 20}, expect=201)


def test_known_blob_with_another_size(refused):
    """The digest is of a blob that is here, the size is not its size."""
    refused("POST", "/uploads", {"size": len(DATA) + 1, "sha256": DIGEST}, 422, INVALID,
            "size")


@pytest.mark.parametrize("number, status", [
    ("2", 422), ("99999", 422), ("100000", 422), ("-1", 422), ("x", 422), ("1.0", 422),
    ("01", 422), ("99999999999999999999", 422),
])
def test_part_number(server, api, number, status):
    before = server.state()
    response = api.put(f"/uploads/{server.upload['id']}/parts/{number}", data=b"12345")
    assert response.status_code == status, response.text
    assert server.state() == before


@pytest.mark.parametrize("size", [0, 1, 4, 6, CHUNK])
def test_part_of_a_wrong_length(make_server, problem, size):
    server = make_server()
    api = server.api()
    upload = api.begin_upload(make_bytes(5, "five"))
    before = server.state()
    response = api.put(f"/uploads/{upload['id']}/parts/0", data=bytes(size))
    problem(response, 400, "body-length-mismatch")
    assert server.state()["rows"] == before["rows"]
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []


def test_blob_with_another_digest(refused):
    refused("PUT", f"/blobs/{'0' * 64}", None, 422, "digest-mismatch", data=DATA)
    refused("PUT", f"/blobs/{sha256(b'')}", None, 422, "digest-mismatch", data=DATA)


@pytest.mark.parametrize("name", ["A" * 64, "a" * 63, "a" * 65, "x" * 64, "%20" + "a" * 63])
def test_blob_name(refused, name):
    refused("PUT", f"/blobs/{name}", None, 422, INVALID, data=DATA)


def test_part_that_does_not_fit_its_chain(make_server, problem):
    server = make_server()
    api = server.api()
    upload = api.begin_upload(BIG, chained=True)
    before = server.state()["rows"]
    response = api.put_part(upload, bytes(len(BIG)), 0)
    problem(response, 422, "digest-mismatch")
    assert server.state()["rows"] == before
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []
    api.put_part(upload, BIG, 0, expect=204)


def test_content_digest(make_server, problem):
    server = make_server()
    api = server.api()
    upload = api.begin_upload(BIG)
    wrong_digest = {"Content-Digest": "sha-256=:" + "A" * 43 + "=:"}
    problem(api.put_part(upload, BIG, 0, headers=wrong_digest), 422, "digest-mismatch")
    for value in ("sha-256", "sha-256=::", "sha-256=:AAAA:", "sha-256=x", "sha-256=:!:"):
        response = api.put_part(upload, BIG, 0, headers={"Content-Digest": value})
        problem(response, 400, "bad-request")
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []


def test_complete_with_missing_parts(server, api, refused):
    body = refused("POST", f"/uploads/{server.upload['id']}/complete", None, 409,
                   "parts-missing")
    assert body["parts"] == [0]


def test_upload_whose_whole_has_another_digest(make_server, problem):
    server = make_server()
    api = server.api()
    body = {"size": len(BIG), "sha256": "ab" * 32}
    upload = api.post("/uploads", body, expect=201).json()
    for number in range(-(-len(BIG) // upload["part_size"])):
        response = api.put_part(upload, BIG, number)
        if response.status_code != 204:
            problem(response, 422, "digest-mismatch")
            break
    response = api.complete(upload)
    assert response.status_code in (409, 422), response.text
    assert server.database.value("SELECT count(*) FROM blobs") == 0
    assert not [path for path in server.tier_files() if "/sha256/" in path]
