# SPDX-License-Identifier: Apache-2.0
"""The route table: the same as docs/openapi.yaml, and who may call what.

CASES has an entry per route; a route without one fails.
"""
import re
import subprocess

import pytest

from support import safetensors
from support.chain import make_bytes, sha256
from support.contract import contract as load_contract
from support.stratad import ROLES, STRATAD, wait_until

DATA = make_bytes(1000, "routes")
DIGEST = sha256(DATA)
FILES = {"w": DATA, "t.safetensors": safetensors.make({"t": ("U8", [1], b"t")})}
NOBODY = "00000000-0000-4000-8000-000000000000"
GHOST = "/models/acme/ghost"
VERSION = "/models/acme/net/versions/1"

# (method, pattern below /api/v1): (path, JSON or bytes or None, statuses of a caller who
# may). Requests that would destroy name what is not there.
CASES = {
    ("PUT", "/blobs/{sha256}"): (f"/blobs/{DIGEST}", DATA, (200,)),
    ("GET", "/blobs/{sha256}"): (f"/blobs/{DIGEST}", None, (200,)),
    ("GET", "/blobs/{sha256}/chain"): (f"/blobs/{DIGEST}/chain", None, (200,)),
    ("POST", "/uploads"): ("/uploads", {"size": 1000, "sha256": DIGEST}, (200,)),
    ("GET", "/uploads/{id}"): (f"/uploads/{NOBODY}", None, (404,)),
    ("DELETE", "/uploads/{id}"): (f"/uploads/{NOBODY}", None, (404,)),
    ("PUT", "/uploads/{id}/parts/{n}"): (f"/uploads/{NOBODY}/parts/0", DATA, (404,)),
    ("POST", "/uploads/{id}/complete"): (f"/uploads/{NOBODY}/complete", None, (404,)),
    ("GET", "/blobs/{sha256}/placements"): (f"/blobs/{DIGEST}/placements", None, (200,)),
    ("POST", "/blobs/{sha256}/move"): (f"/blobs/{DIGEST}/move", {"tier": "hot"}, (202,)),
    ("GET", "/tiers"): ("/tiers", None, (200,)),
    ("GET", "/moves"): ("/moves", None, (200,)),
    ("GET", "/moves/{id}"): ("/moves/999999", None, (404,)),
    ("DELETE", "/moves/{id}"): ("/moves/999999", None, (404,)),
    ("GET", "/pins"): ("/pins", None, (200,)),
    ("POST", "/pins"): ("/pins", {"ref": "acme/net@1", "tier": "hot"}, (201,)),
    ("DELETE", "/pins/{id}"): ("/pins/999999", None, (404,)),
    ("POST", "/prefetch"): ("/prefetch", {"ref": "acme/net@1", "tier": "hot"}, (202,)),
    ("GET", "/tier-rules"): ("/tier-rules", None, (200,)),
    ("PUT", "/tier-rules"): ("/tier-rules", {"rules": []}, (200,)),
    ("GET", "/tier-rules/history"): ("/tier-rules/history", None, (200,)),
    ("GET", "/gc"): ("/gc", None, (200,)),
    ("POST", "/gc"): ("/gc", {"dry_run": True}, (200,)),
    ("GET", "/scrub"): ("/scrub", None, (200,)),
    ("POST", "/scrub"): ("/scrub", {"tier": "hot"}, (202,)),
    ("GET", "/models"): ("/models", None, (200,)),
    ("POST", "/models"): ("/models", {"model": "acme/net"}, (409,)),
    ("GET", "/models/{ns}/{name}"): ("/models/acme/net", None, (200,)),
    ("PATCH", "/models/{ns}/{name}"): ("/models/acme/net", {"description": "d"}, (200,)),
    ("DELETE", "/models/{ns}/{name}"): (GHOST, None, (404,)),
    ("GET", "/models/{ns}/{name}/versions"): ("/models/acme/net/versions", None, (200,)),
    ("POST", "/models/{ns}/{name}/versions"): (
        "/models/acme/net/versions",
        {"files": [{"path": path, "sha256": sha256(data)} for path, data in FILES.items()],
         "idempotency_key": "k"}, (200,)),
    ("GET", "/models/{ns}/{name}/versions/{ref}"): (VERSION, None, (200,)),
    ("PATCH", "/models/{ns}/{name}/versions/{ref}"): (
        VERSION, {"tags": {"a": "b"}}, (200,)),
    ("DELETE", "/models/{ns}/{name}/versions/{ref}"): (
        GHOST + "/versions/1", None, (404,)),
    ("GET", "/models/{ns}/{name}/versions/{ref}/manifest"): (
        VERSION + "/manifest", None, (200,)),
    ("POST", "/models/{ns}/{name}/versions/{ref}/restore"): (
        VERSION + "/restore", None, (409,)),
    ("POST", "/models/{ns}/{name}/versions/{ref}/yank"): (
        GHOST + "/versions/1/yank", {"message": "m"}, (404,)),
    ("POST", "/models/{ns}/{name}/versions/{ref}/evaluations"): (
        VERSION + "/evaluations", {"metrics": {"loss": 0.5}}, (201,)),
    ("GET", "/models/{ns}/{name}/versions/{ref}/files/{path}"): (
        VERSION + "/files/w", None, (200,)),
    ("GET", "/models/{ns}/{name}/versions/{ref}/tensors"): (
        VERSION + "/tensors", None, (200,)),
    ("GET", "/models/{ns}/{name}/versions/{ref}/tensors/{tensor}"): (
        VERSION + "/tensors/t", None, (200,)),
    ("GET", "/models/{ns}/{name}/aliases"): ("/models/acme/net/aliases", None, (200,)),
    ("GET", "/models/{ns}/{name}/aliases/{alias}"): (
        "/models/acme/net/aliases/prod", None, (200,)),
    ("PUT", "/models/{ns}/{name}/aliases/{alias}"): (
        "/models/acme/net/aliases/prod", {"version": 1}, (200,)),
    ("DELETE", "/models/{ns}/{name}/aliases/{alias}"): (
        "/models/acme/net/aliases/none", None, (404,)),
    ("GET", "/models/{ns}/{name}/aliases/{alias}/history"): (
        "/models/acme/net/aliases/prod/history", None, (200,)),
    ("GET", "/tokens"): ("/tokens", None, (200,)),
    # An administrator makes a token for anyone; the others are told no by the handler.
    ("POST", "/tokens"): (
        "/tokens", {"principal": "someone", "role": "reader"}, (201, 403)),
    ("DELETE", "/tokens/{id}"): (f"/tokens/{NOBODY}", None, (404, 422)),
    ("GET", "/whoami"): ("/whoami", None, (200,)),
    ("GET", "/openapi.yaml"): ("/openapi.yaml", None, (200,)),
    ("GET", "/healthz"): ("//healthz", None, (200,)),
    ("GET", "/readyz"): ("//readyz", None, (200,)),
    ("GET", "/metrics"): ("//metrics", None, (200,)),
}


def documented():
    """[(method, pattern below /api/v1, role)] of docs/openapi.yaml."""
    return [
        (method, pattern.removeprefix("/api/v1"), operation["x-strata-role"])
        for method, pattern, operation in load_contract().routes
    ]


ROUTES = documented()
IDS = [f"{method} {pattern}" for method, pattern, _ in ROUTES]


@pytest.fixture
def server(shared_server):
    """With what CASES names."""
    if not getattr(shared_server, "is_filled", False):
        admin = shared_server.api("admin")
        admin.publish("acme/net", FILES, idempotency_key="k")
        admin.put("/models/acme/net/aliases/prod", {"version": 1}, expect=201)
        shared_server.is_filled = True
    return shared_server


def call(api, method, pattern, **options):
    path, body, _ = CASES[method, pattern]
    if isinstance(body, bytes):
        return api.request(method, path, data=body, **options)
    return api.request(method, path, json=body, **options)


def shape(pattern):
    return re.sub(r"\{[^}]*\}", "{}", pattern)


def test_route_table_is_the_contract():
    printed = subprocess.run(
        [STRATAD, "--print-routes"], capture_output=True, text=True, check=True, timeout=30)
    table = sorted(tuple(line.split()) for line in printed.stdout.splitlines())
    assert len(table) > 30
    in_openapi = [
        (method, shape(pattern), operation["x-strata-role"])
        for method, pattern, operation in load_contract().routes
    ]
    assert [(method, shape(pattern), role) for method, pattern, role in table] == sorted(
        in_openapi)


def test_every_route_has_a_case():
    assert set(CASES) == {(method, pattern) for method, pattern, _ in ROUTES}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method, pattern, needed", ROUTES, ids=IDS)
def test_role(server, problem, method, pattern, needed, role):
    response = call(server.api(role), method, pattern)
    if needed != "none" and ROLES.index(role) < ROLES.index(needed):
        body = problem(response, 403, "forbidden")
        assert needed in body["detail"]
    elif (method, pattern) == ("POST", "/tokens"):
        assert response.status_code == (201 if role == "admin" else 403)
    else:
        assert response.status_code in CASES[method, pattern][2], response.text


def check_unauthenticated(server, problem, method, pattern, needed, api):
    response = call(api, method, pattern)
    if needed == "none":
        assert response.status_code in CASES[method, pattern][2]
    else:
        problem(response, 401, "unauthenticated")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.fixture(scope="module")
def dead_tokens(shared_server):
    """A revoked, an expired and a purged principal's token; none was ever good in use,
    but the revoked one."""
    admin = shared_server.api("admin")
    revoked = admin.create_token("dead", "admin")
    used = admin.clone(revoked["token"])
    used.get("/whoami", expect=200)
    admin.delete(f"/tokens/{revoked['id']}", expect=204)
    expired = admin.create_token("dead", "admin", expires_at="2100-01-01T00:00:00Z")
    shared_server.database.rows(
        "UPDATE tokens SET expires_at = now() - interval '1 second' WHERE id = %s",
        expired["id"])
    return {"revoked": revoked["token"], "expired": expired["token"]}


def changed(text):
    """The same but for its last letter."""
    return text[:-1] + ("A" if text[-1] != "A" else "B")


INVALID = ["none", "empty", "other scheme", "malformed", "too long", "unknown",
           "wrong secret", "other's secret", "revoked", "expired", "wrong of the expired"]


def authorization(server, dead_tokens, kind):
    good = server.admin_token()
    name, identity, secret = good.split("_")
    other = server.api("reader").token.split("_")[2]
    return {
        "none": None, "empty": "Bearer ", "other scheme": f"Basic {good}",
        "malformed": f"Bearer {name}_{identity}", "too long": f"Bearer {good}A",
        "unknown": f"Bearer {name}_{changed(identity)}_{secret}",
        "wrong secret": f"Bearer {changed(good)}",
        "other's secret": f"Bearer {name}_{identity}_{other}",
        "revoked": f"Bearer {dead_tokens['revoked']}",
        "expired": f"Bearer {dead_tokens['expired']}",
        "wrong of the expired": f"Bearer {changed(dead_tokens['expired'])}",
    }[kind]


@pytest.mark.parametrize("kind", INVALID)
@pytest.mark.parametrize("method, pattern, needed", ROUTES, ids=IDS)
def test_no_valid_token(server, problem, dead_tokens, method, pattern, needed, kind):
    anonymous = server.anonymous()
    value = authorization(server, dead_tokens, kind)
    if value is not None:
        anonymous.session.headers["Authorization"] = value
    check_unauthenticated(server, problem, method, pattern, needed, anonymous)
    if method == "GET":
        path, _, statuses = CASES[method, pattern]
        assert anonymous.head(path).status_code in (
            statuses if needed == "none" else (401,))


def test_two_tokens_are_none(server, raw):
    """Who of a proxy and stratad takes which?"""
    lines = [f"Authorization: Bearer {server.api(role).token}" for role in ("reader", "admin")]
    raw.request("GET", "/api/v1/whoami", lines)
    assert raw.answer().status == 400


@pytest.mark.parametrize("value", [
    "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "{token}", "Bearer {token} x",
    "Bearer {token},{token}", "Bearer " + "x" * 4000, "Bearer \xe9\xff", "Token {token}",
    "Bearer {upper}",
])
def test_malformed_authorization(server, problem, anonymous, value):
    token = server.admin_token()
    value = value.replace("{token}", token).replace("{upper}", token.upper())
    response = anonymous.get("/whoami", headers={"Authorization": value.encode("latin-1")})
    problem(response, 401, "unauthenticated")


def test_scheme_is_case_insensitive(server, anonymous):
    # RFC 9110 section 11.1: the scheme's name is.
    anonymous.get("/whoami", expect=200,
                  headers={"Authorization": f"bearer {server.admin_token()}"})


def test_token_expires_while_it_is_used(server, api):
    soon = server.database.value(
        """SELECT to_char(now() + interval '1500 milliseconds',
                          'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""")
    token = api.create_token("brief", "reader", expires_at=soon)["token"]
    caller = api.clone(token)
    caller.get("/whoami", expect=200)
    wait_until(lambda: caller.get("/whoami").status_code == 401, 10, "the token expires")


def test_revoked_token_is_refused_at_once(server, api, problem):
    for _ in range(5):
        token = api.create_token("gone", "publisher")
        caller = api.clone(token["token"])
        caller.get("/whoami", expect=200)
        api.delete(f"/tokens/{token['id']}", expect=204)
        problem(caller.get("/whoami"), 401, "unauthenticated")


def test_refusal_comes_before_the_body_is_looked_at(server, problem, reader, anonymous):
    for caller, status, slug in ((anonymous, 401, "unauthenticated"),
                                 (reader, 403, "forbidden")):
        problem(caller.post("/models", data=b"{not json"), status, slug)
        problem(caller.put(f"/blobs/{DIGEST}", data=b"other bytes"), status, slug)
