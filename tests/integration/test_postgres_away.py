# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL goes away and comes back (invariant 8): cached reads go on, the rest is a
503 that says when to try again, and service resumes by itself."""
import pytest

from support.chain import make_bytes
from support.stratad import wait_until

DATA = make_bytes(300000, "away")
VERSION = "/models/acme/net/versions/1"


@pytest.fixture
def known(server):
    """A server that has just answered some reads; the caller who asked."""
    api = server.api("publisher")
    api.publish("acme/net", {"w.bin": DATA})
    reader = server.api("reader")
    for path in CACHED:
        reader.get(path, expect=200)
    yield reader
    server.database.allow_connections(True)


CACHED = [f"{VERSION}/files/w.bin", VERSION, f"{VERSION}/manifest"]


def away(response):
    assert response.status_code == 503, response.text
    assert response.json()["type"] == "urn:strata:error:unavailable"
    assert int(response.headers["Retry-After"]) > 0


def test_cached_reads_go_on(server, known):
    server.database.allow_connections(False)
    for path in CACHED:
        answer = known.get(path, expect=200)
    assert known.get(CACHED[0], headers={"Range": "bytes=7-9"}).content == DATA[7:10]
    assert known.get(CACHED[0]).content == DATA
    assert answer.status_code == 200


def test_everything_else_is_503(server, known):
    api = server.api("admin")
    publisher = server.api("publisher")
    for caller in (api, publisher):
        caller.get("/whoami", expect=200)
    server.database.allow_connections(False)
    away(known.get("/models"))
    away(known.get("/whoami"))
    away(api.get("/tokens"))
    away(api.post("/tokens", {"principal": "late", "role": "reader"}))
    away(publisher.post("/models", {"model": "acme/other"}))
    away(publisher.post("/uploads", {"size": 5}))
    away(known.get("//readyz"))
    known.get("//healthz", expect=200)
    away(server.anonymous().get("/whoami", headers={
        "Authorization": "Bearer strata_" + "0" * 16 + "_" + "0" * 43}))
    assert known.get(CACHED[0]).content == DATA


def test_answers_do_not_tell_where_it_is(server, known):
    server.database.allow_connections(False)
    for answer in (known.get("/models"), server.anonymous().get("//readyz")):
        away(answer)
        assert server.database.name not in answer.text and "socket" not in answer.text
    wait_until(lambda: "not currently accepting" in server.log(),
               what="the log tells why")


def test_service_resumes_by_itself(server, known):
    server.database.allow_connections(False)
    away(known.get("/models"))
    server.database.allow_connections(True)
    wait_until(lambda: known.get("//readyz").status_code == 200, what="it is ready")
    known.get("/models", expect=200)
    assert server.api("admin").create_token("late", "reader")["principal"] == "late"
    server.api("publisher").publish("acme/net", {"w.bin": b"new"})


def test_revocation_during_the_outage_counts_after_it(server, known, problem):
    """Cached tokens go on meanwhile; what another node revoked is seen on return."""
    admin = server.api("admin")
    made = admin.create_token("leaver", "reader")
    leaver = admin.clone(made["token"])
    leaver.get(CACHED[0], expect=200)
    server.database.rows("UPDATE tokens SET revoked_at = now() WHERE id = %s",
                         made["id"])
    server.database.allow_connections(False)
    server.database.allow_connections(True)
    wait_until(lambda: leaver.get(CACHED[0]).status_code == 401, what="it is refused")


def test_stop_while_it_is_away(server, known):
    server.database.allow_connections(False)
    away(known.get("/models"))
    server.stop(seconds=10)
    server.database.allow_connections(True)
    server.start()
    assert server.api("admin").get(CACHED[0]).content == DATA
