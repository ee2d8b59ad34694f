# SPDX-License-Identifier: Apache-2.0
"""Principals and tokens: who may make which, and from when on they count."""
import datetime
import hashlib
import re

import pytest

from support.stratad import wait_until

TOKEN = re.compile(r"strata_([0-9A-Za-z]{16})_([0-9A-Za-z]{43})")
ROLES = ["reader", "publisher", "maintainer", "admin"]


@pytest.fixture
def server(shared_server):
    return shared_server


def in_seconds(seconds):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).isoformat()


def test_administrator_makes_tokens_for_anyone(admin):
    made = admin.create_token("alice", "publisher", kind="person", description="laptop",
                              expires_at="2100-01-01T01:00:00+01:00")
    assert TOKEN.fullmatch(made["token"])[1] == made["id"]
    assert made["principal"] == "alice" and made["kind"] == "person"
    assert made["role"] == "publisher" and made["description"] == "laptop"
    assert made["expires_at"].startswith("2100-01-01T00:00:00")
    assert made["revoked_at"] is None
    mine = admin.clone(made["token"]).get("/whoami", expect=200).json()
    assert mine == {
        "principal": "alice", "kind": "person", "role": "publisher",
        "token": {"id": made["id"], "description": "laptop",
                  "expires_at": made["expires_at"]}}


def test_kind_counts_only_for_a_new_principal(admin):
    assert admin.create_token("robot", "reader")["kind"] == "service"
    assert admin.create_token("robot", "reader", kind="person")["kind"] == "service"


@pytest.mark.parametrize("role", ROLES)
def test_role_is_the_limit(server, role):
    """A caller makes tokens for their own principal, up to their own role."""
    caller = server.api(role)
    me = caller.get("/whoami", expect=200).json()["principal"]
    for wanted in ROLES:
        fine = role == "admin" or ROLES.index(wanted) <= ROLES.index(role)
        answer = caller.post("/tokens", {"principal": me, "role": wanted},
                             expect=201 if fine else 403)
        if fine:
            assert answer.json()["role"] == wanted
        else:
            assert answer.json()["field"] == "role"


def test_a_token_that_expires_makes_none_that_outlives_it(admin, problem):
    made = admin.create_token("guest", "publisher", expires_at=in_seconds(3600))
    guest = admin.clone(made["token"])
    body = {"principal": "guest", "role": "reader"}
    for end in ({}, {"expires_at": in_seconds(7200)}):
        problem(guest.post("/tokens", {**body, **end}), 403, "forbidden", "expires_at")
    guest.create_token("guest", "reader", expires_at=in_seconds(1800))


@pytest.mark.parametrize("role", ROLES[:3])
def test_others_are_not_ones_own(server, problem, role):
    body = {"principal": "somebody-else", "role": "reader"}
    before = server.database.counts()
    problem(server.api(role).post("/tokens", body), 403, "forbidden", "principal")
    assert server.database.counts() == before


@pytest.mark.parametrize("change, slug, field", [
    ({"role": "owner"}, "invalid-field", "role"),
    ({"role": None}, "invalid-field", "role"),
    ({"role": ...}, "invalid-field", "role"),
    ({"principal": ...}, "invalid-field", "principal"),
    ({"principal": ""}, "invalid-field", "principal"),
    ({"principal": 7}, "invalid-field", "principal"),
    ({"principal": "x" * 97}, "invalid-field", "principal"),
    ({"principal": "a\nb"}, "invalid-field", "principal"),
    ({"kind": "group"}, "invalid-field", "kind"),
    ({"description": "x" * 1025}, "invalid-field", "description"),
    ({"expires_at": "tomorrow"}, "invalid-field", "expires_at"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid-field", "expires_at"),
    ({"expires": "2100-01-01T00:00:00Z"}, "unknown-field", "expires"),
])
def test_bad_bodies(server, admin, problem, change, slug, field):
    body = {"principal": "p", "role": "reader", **change}
    body = {key: value for key, value in body.items() if value is not ...}
    before = server.database.counts()
    problem(admin.post("/tokens", body), 422, slug, field)
    assert server.database.counts() == before


def test_list_is_paged_and_ones_own(server, admin):
    lister = admin.clone(admin.create_token("lister", "reader")["token"])
    ids = {admin.create_token("lister", "reader")["id"] for _ in range(4)}
    seen, page = [], None
    while True:
        options = {"limit": 2, **({"page_token": page} if page else {})}
        answer = lister.get("/tokens", params=options, expect=200).json()
        assert len(answer["tokens"]) <= 2
        seen += answer["tokens"]
        page = answer["next_page_token"]
        if page is None:
            break
    assert {token["principal"] for token in seen} == {"lister"}
    assert ids < {token["id"] for token in seen} and len(seen) == 5
    assert "strata_" not in str(seen)
    everyone = admin.get("/tokens", params={"limit": 1000}, expect=200).json()["tokens"]
    assert {"lister", "admin"} <= {token["principal"] for token in everyone}


def test_revocation_takes_effect_at_once(admin, problem):
    made = admin.create_token("leaver", "publisher")
    leaver = admin.clone(made["token"])
    for _ in range(3):
        leaver.get("/whoami", expect=200)
    admin.delete(f"/tokens/{made['id']}", expect=204)
    problem(leaver.get("/whoami"), 401, "unauthenticated")
    admin.delete(f"/tokens/{made['id']}", expect=204)
    listed = admin.get("/tokens", params={"limit": 1000}, expect=200).json()["tokens"]
    (row,) = [token for token in listed if token["id"] == made["id"]]
    assert row["revoked_at"] is not None


def test_revocation_through_another_node_is_seen(server, admin):
    made = admin.create_token("roamer", "reader")
    roamer = admin.clone(made["token"])
    roamer.get("/whoami", expect=200)
    server.database.rows("UPDATE tokens SET revoked_at = now() WHERE id = %s",
                         made["id"])
    wait_until(lambda: roamer.get("/whoami").status_code == 401, 5, "it is refused")


def test_ones_own_last_token_can_be_revoked(admin, problem):
    made = admin.create_token("quitter", "reader")
    quitter = admin.clone(made["token"])
    quitter.delete(f"/tokens/{made['id']}", expect=204)
    problem(quitter.get("/tokens"), 401, "unauthenticated")


def test_tokens_of_others_do_not_exist(admin, maintainer, problem):
    made = admin.create_token("victim", "reader")
    problem(maintainer.delete(f"/tokens/{made['id']}"), 404, "token-not-found")
    problem(admin.delete("/tokens/0000000000000000"), 404, "token-not-found")
    admin.clone(made["token"]).get("/whoami", expect=200)


def test_expiry_is_checked_at_each_use(admin, problem):
    made = admin.create_token("guest", "reader", expires_at=in_seconds(1.5))
    guest = admin.clone(made["token"])
    guest.get("/whoami", expect=200)
    wait_until(lambda: guest.get("/whoami").status_code == 401, 5, "it has expired")
    problem(guest.get("/whoami"), 401, "unauthenticated")


def test_refusals_are_alike(admin, anonymous):
    """Nothing tells an unknown token from one that is wrong, expired or revoked."""
    made = admin.create_token("gone", "reader")
    identifier, secret = TOKEN.fullmatch(made["token"]).groups()
    other = ("A" if secret[0] != "A" else "B") + secret[1:]
    admin.clone(made["token"]).get("/whoami", expect=200)
    headers = [
        None, "", "Bearer", "Bearer ", "Bearer x", f"Basic {made['token']}",
        made["token"], f"Bearer {made['token']}x", f"Bearer strata_{identifier}_",
        f"Bearer strata_{'0' * 16}_{secret}", f"Bearer strata_{identifier}_{other}"]
    bodies = []
    admin.delete(f"/tokens/{made['id']}", expect=204)
    for value in [*headers, f"Bearer {made['token']}"]:
        given = {} if value is None else {"Authorization": value}
        answer = anonymous.get("/whoami", headers=given)
        assert answer.status_code == 401, value
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        body = answer.json()
        del body["instance"]
        bodies.append(body)
    assert all(body == bodies[0] for body in bodies)


def test_wrong_secret_of_a_known_token(admin, anonymous):
    made = admin.create_token("kept", "reader")
    admin.clone(made["token"]).get("/whoami", expect=200)
    head, secret = made["token"][:-1], made["token"][-1]
    wrong = head + ("A" if secret != "A" else "B")
    answer = anonymous.get("/whoami", headers={"Authorization": f"Bearer {wrong}"})
    assert answer.status_code == 401


def test_scheme_is_case_insensitive(admin, anonymous):
    made = admin.create_token("cased", "reader")
    anonymous.get("/whoami", headers={"Authorization": f"bearer {made['token']}"},
                  expect=200)


def test_only_the_hash_is_kept(server, admin):
    """A token's secret is in no table, in no log and in no file but admin.token."""
    made = admin.create_token("hashed", "reader", description="words")
    admin.clone(made["token"]).get("/whoami", expect=200)
    secrets = [made["token"].rpartition("_")[2],
               server.admin_token().rpartition("_")[2]]
    kept = server.database.value("SELECT secret_sha256 FROM tokens WHERE id = %s",
                                 made["id"])
    assert kept == hashlib.sha256(secrets[0].encode()).digest()
    text = server.log()
    for (table,) in server.database.rows(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"):
        text += str(server.database.rows(f"SELECT t::text FROM {table} t"))
    for path in server.data.rglob("*"):
        if path.is_file() and path.name != "admin.token":
            text += path.read_bytes().decode("latin-1")
    assert made["id"] in text
    for secret in secrets:
        assert secret not in text


def test_changes_leave_events(server, admin):
    made = admin.create_token("watched", "reader")
    admin.delete(f"/tokens/{made['id']}", expect=204)
    admin.delete(f"/tokens/{made['id']}", expect=204)
    rows = server.database.rows(
        "SELECT e.kind, p.name, e.payload FROM events e JOIN principals p"
        " ON p.id = e.principal_id WHERE e.subject = %s ORDER BY e.outbox_id",
        "token:" + made["id"])
    assert rows == [
        ("token.created", "admin", {"principal": "watched", "role": "reader"}),
        ("token.revoked", "admin", {})]


def test_metrics_count_refusals(server, admin, anonymous):
    def refusals():
        text = admin.get("//metrics", expect=200).text
        return int(re.search(r"^strata_token_refusals_total (\d+)$", text, re.M)[1])

    before = refusals()
    anonymous.get("/whoami", expect=401)
    assert refusals() == before + 1
