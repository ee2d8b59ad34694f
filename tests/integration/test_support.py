# SPDX-License-Identifier: Apache-2.0
"""The tests' own tools: a judge that passes everything would judge nothing."""
import hashlib

import jsonschema
import openapi_spec_validator
import pytest

from support.chain import CHUNK, chain_of, chain_root, make_bytes, sha256
from support.consistency import problems
from support.stratad import ROOT, Stratad

BLOB = {"sha256": "0" * 64, "size": 4}


def check(contract, method, path, status, body=None, media="application/json", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    contract.check(method, "http://h/api/v1" + path, status,
                   {"Content-Type": media, **headers}, lambda: body)


def test_openapi_is_valid(contract):
    openapi_spec_validator.validate(contract.document)


def test_contract_accepts_what_is_documented(contract):
    check(contract, "PUT", "/blobs/" + "0" * 64, 201, BLOB)
    check(contract, "DELETE", "/models/a/b/aliases/prod", 204, media="")


@pytest.mark.parametrize("status, body, media", [
    (202, BLOB, "application/json"),
    (500, BLOB, "application/problem+json"),
    (201, {"sha256": "0" * 64}, "application/json"),
    (201, {**BLOB, "size": "4"}, "application/json"),
    (201, {**BLOB, "sha256": "A" * 64}, "application/json"),
    (201, {**BLOB, "more": 1}, "application/json"),
    (201, BLOB, "text/plain"),
])
def test_contract_refuses_what_is_not(contract, status, body, media):
    with pytest.raises((AssertionError, jsonschema.ValidationError)):
        check(contract, "PUT", "/blobs/" + "0" * 64, status, body, media)


def test_contract_sees_nested_and_composed_members(contract):
    token = {
        "id": "6d1f7a52-92c5-4f6e-8a0e-2f54c1f0a7de", "principal": "ci",
        "kind": "service", "role": "reader", "description": None,
        "created_at": "2026-03-01T09:00:00Z", "expires_at": None, "revoked_at": None}
    identity = contract.document["components"]["schemas"]["Token"]["properties"]["id"]
    if identity.get("format") != "uuid":
        token["id"] = "6d1f7a5292c54f6e"
    check(contract, "POST", "/tokens", 201, {**token, "token": "strata_x"})
    check(contract, "GET", "/tokens", 200, {"tokens": [token], "next_page_token": None})
    for bad in ({**token, "token": "x"}, {**token, "created_at": "2026-03-01T09:00:00"}):
        with pytest.raises(jsonschema.ValidationError):
            check(contract, "GET", "/tokens", 200,
                  {"tokens": [bad], "next_page_token": None})


def test_contract_wants_documented_headers(contract):
    digest = "0" * 64
    with pytest.raises(AssertionError, match="ETag is missing"):
        check(contract, "GET", f"/blobs/{digest}/chain", 200,
              {"chunk_size": CHUNK, "size": 4, "states": [digest]})


def test_contract_finds_routes(contract):
    files = "/api/v1/models/{ns}/{name}/versions/{ref}/files/{path}"
    assert contract.find("GET", "/api/v1/models/a/b/versions/1/files/c/d.txt")[0] == files
    assert contract.find("HEAD", "/api/v1/whoami?x=1")[1]["operationId"] == "whoami"
    assert contract.find("PUT", "/api/v1/whoami") == ("/api/v1/whoami", None)
    assert contract.find("GET", "/api/v1/none") == (None, None)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7])
def test_chain_of(size):
    data = make_bytes(size)
    states = chain_of(data)
    assert len(states) == max(1, -(-size // CHUNK))
    assert states[-1] == hashlib.sha256(data).hexdigest()


def test_chain_of_known_values():
    # The state after one zero block, from FIPS 180-4's compression function.
    states = chain_of(b"\0" * (CHUNK + 1))
    assert states[0] != sha256(b"\0" * CHUNK)
    assert chain_root([sha256(b"")]) == sha256(hashlib.sha256(b"").digest())


def test_database_is_of_its_own(postgres):
    one = postgres.create()
    one.rows("CREATE TABLE probe (n int)")
    one.rows("INSERT INTO probe VALUES (1), (2)")
    two = postgres.create(template=one)
    two.rows("DELETE FROM probe")
    assert one.counts() == {"probe": 2} and two.counts() == {"probe": 0}
    for database in (one, two):
        database.drop()


@pytest.fixture
def rest(postgres, tmp_path):
    database = postgres.create()
    for file in sorted((ROOT / "migrations").glob("*.sql")):
        database.rows(file.read_text())
    data = make_bytes(100, "rest")
    folder = tmp_path / "hot" / "sha256" / sha256(data)[:2]
    folder.mkdir(parents=True)
    (folder / f"{sha256(data)}.1").write_bytes(data)
    (folder / f"{sha256(data)}.1").chmod(0o440)
    states = bytes.fromhex(sha256(data))
    database.rows("INSERT INTO blobs (sha256, size, chain_root) VALUES (%s, 100, %s)",
                  states, bytes.fromhex(sha256(states)))
    database.rows("INSERT INTO chains VALUES (%s, %s)", states, states)
    database.rows("INSERT INTO placements (id, sha256, tier, node_id, state, stored_size)"
                  " VALUES (1, %s, 'hot', 1, 'ready', 100)", states)
    server = Stratad(tmp_path, database)
    server.data = tmp_path
    yield server
    database.drop()


def blob_file(rest):
    return next(path for path in (rest.data / "hot").rglob("*") if path.is_file())


def test_consistent_state_has_no_problems(rest):
    assert problems(rest) == []


def replace_bytes(rest):
    path = blob_file(rest)
    path.chmod(0o600)
    path.write_bytes(make_bytes(100, "other"))
    path.chmod(0o440)


def copy_row(rest, tier, state):
    rest.database.rows(
        "INSERT INTO placements (id, sha256, tier, node_id, state, stored_size)"
        f" SELECT 2, sha256, '{tier}', 1, '{state}', size FROM blobs")


@pytest.mark.parametrize("damage, said", [
    (lambda rest: blob_file(rest).unlink(), "not there"),
    (lambda rest: blob_file(rest).chmod(0o640), "mode 640"),
    (replace_bytes, "other bytes"),
    (lambda rest: (rest.data / "hot" / "left-over").touch(), "no row names hot/left-over"),
    (lambda rest: rest.database.rows("UPDATE placements SET state = 'dropping'"),
     "no ready placement"),
    (lambda rest: rest.database.rows("DELETE FROM chains"), "no chain"),
    (lambda rest: rest.database.rows(r"UPDATE blobs SET chain_root = sha256('\x00')"),
     "does not fit its root"),
    (lambda rest: rest.database.rows("UPDATE placements SET stored_size = 99"),
     "100 bytes instead of 99"),
    (lambda rest: (rest.data / "cold").mkdir() or (rest.data / "cold/x").touch(),
     "no row names cold/x"),
    (lambda rest: copy_row(rest, "warm", "ready"), "is ready and not there"),
    (lambda rest: copy_row(rest, "warm", "copying"), "is copying and no move makes it"),
    (lambda rest: rest.database.rows("UPDATE placements SET encoding = 'zstd-planes-1'"),
     "(zstd-planes-1) holds other bytes"),
    (lambda rest: rest.database.rows(
        "INSERT INTO moves (sha256, node_id, from_tier, to_tier, drops, cause, priority,"
        " size, state) SELECT sha256, 1, 'hot', 'warm', false, 'move', 10, size,"
        " 'copying' FROM blobs"), "is copying and nobody runs it"),
])
def test_damage_is_seen(rest, damage, said):
    damage(rest)
    assert any(said in line for line in problems(rest)), problems(rest)


def test_gaps_and_manifests_are_seen(rest):
    database = rest.database
    database.rows("INSERT INTO namespaces (name) VALUES ('a')")
    database.rows("INSERT INTO principals (name, kind) VALUES ('p', 'person')")
    database.rows("INSERT INTO models (namespace_id, full_name, created_by,"
                  " last_version) VALUES (1, 'a/b', 1, 2)")
    database.rows(
        "INSERT INTO versions (model_id, number, digest, manifest, origins, size,"
        " files_count, created_at, created_by, token_id)"
        " VALUES (1, 2, sha256('{}'), '{ }', '{}', 7, 0, now(), 1, 't')")
    found = "\n".join(problems(rest))
    for said in ("have gaps: [2]", "does not hash to", "says 7 bytes, its files are 0",
                 "counts 0 live versions, there are 1"):
        assert said in found
