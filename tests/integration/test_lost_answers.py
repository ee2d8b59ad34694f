# SPDX-License-Identifier: Apache-2.0
"""COMMIT whose answer is lost, and a PostgreSQL that hangs: the client is told that the
outcome is unknown, and a repeat of the same request finds the result (invariant 1)."""
import threading
import time

import pytest
import requests
from support import chain
from support.faults import Faults
from support.pgproxy import KillingProxy, PgProxy
from support.stratad import sanitized, wait_until

FILES = {"model.bin": b"weights", "config.json": b"{}"}


@pytest.fixture
def proxied(make_server):
    """A server whose PostgreSQL is behind a proxy, and the proxy."""
    server = make_server(start=False)
    with PgProxy(server.database) as proxy:
        server.options["database_url"] = proxy.url
        server.options["database_timeout"] = "2s"
        yield server.start(), proxy
        proxy.flow()
        server.close()


@pytest.mark.parametrize("reaches_server", [True, False])
def test_invariant_1_a_lost_commit_of_publish_is_found_by_the_retry(
        proxied, problem, reaches_server):
    server, proxy = proxied
    api = server.api()
    digests = {path: api.put_blob(data) for path, data in FILES.items()}
    body = {"files": [{"path": p, "sha256": d} for p, d in digests.items()],
            "idempotency_key": "run-1"}
    proxy.lose_next_commit(reaches_server=reaches_server)
    answer = api.post("/models/org/lost/versions", body)
    problem(answer, 503, "outcome-unknown")
    assert "Retry-After" in answer.headers
    assert proxy.lost == 1
    again = api.post("/models/org/lost/versions", body,
                     expect=200 if reaches_server else 201).json()
    assert again["version"] == 1
    versions = api.get("/models/org/lost/versions").json()["versions"]
    assert [v["version"] for v in versions] == [1]


@pytest.mark.parametrize("reaches_server", [True, False])
def test_invariant_1_a_lost_commit_of_complete_is_found_by_the_retry(
        proxied, problem, reaches_server):
    server, proxy = proxied
    api = server.api()
    data = b"bytes of a blob" * 1000
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204)
    # Whichever of complete's commits is lost, the answer must be the same in the end.
    for _ in range(2):
        proxy.lose_next_commit(reaches_server=reaches_server)
        answer = api.complete(upload)
        if answer.status_code == 201:
            break
        problem(answer, 503, "outcome-unknown")
    assert proxy.lost >= 1
    proxy.lose_next_commit(reaches_server=True, count=0)
    blob = api.complete(upload, expect=201).json()
    assert blob == {"sha256": chain.sha256(data), "size": len(data)}
    assert api.get(f"/blobs/{blob['sha256']}").content == data
    assert len([f for f in server.tier_files() if blob["sha256"] in f]) == 1


@pytest.mark.parametrize("reaches_server", [True, False])
def test_a_lost_commit_of_a_small_blob_is_found_by_the_retry(
        proxied, problem, reaches_server):
    server, proxy = proxied
    api = server.api()
    data = b"small"
    proxy.lose_next_commit(reaches_server=reaches_server)
    answer = api.put(f"/blobs/{chain.sha256(data)}", data=data)
    problem(answer, 503, "outcome-unknown")
    api.put_blob(data)
    assert api.get(f"/blobs/{chain.sha256(data)}").content == data
    server.stop()
    server.start()
    assert len([f for f in server.tier_files() if "sha256/" in f]) == 1


def test_an_alias_whose_commit_was_lost_reads_true_at_once(proxied, problem):
    server, proxy = proxied
    api = server.api()
    api.publish("org/m", FILES)
    api.publish("org/m", {**FILES, "config.json": b"{2}"})
    api.put("/models/org/m/aliases/prod", {"version": 1}, expect=201)
    assert api.get("/models/org/m/aliases/prod").json()["version"] == 1
    assert api.get("/models/org/m/versions/@prod").json()["version"] == 1
    proxy.lose_next_commit(reaches_server=True)
    problem(api.put("/models/org/m/aliases/prod", {"version": 2}), 503,
            "outcome-unknown")
    assert api.get("/models/org/m/aliases/prod").json()["version"] == 2
    assert api.get("/models/org/m/versions/@prod").json()["version"] == 2


def test_a_hanging_postgresql_is_503_and_service_resumes(proxied, problem):
    server, proxy = proxied
    api = server.api()
    api.publish("org/m", FILES)
    cached = api.get("/models/org/m/versions/1/files/model.bin")
    assert cached.content == FILES["model.bin"]
    proxy.hang()
    began = time.monotonic()
    answer = api.get("/models")
    problem(answer, 503, "unavailable")
    assert "Retry-After" in answer.headers
    assert time.monotonic() - began < 20
    # What is cached does not wait for the database.
    began = time.monotonic()
    again = api.get("/models/org/m/versions/1/files/model.bin", expect=200)
    assert again.content == FILES["model.bin"]
    assert time.monotonic() - began < 1
    proxy.flow()
    assert api.get("/models", expect=200).json()["models"]


@pytest.mark.skipif(
    sanitized(), reason="a sanitizer's runtime must be the first that is loaded")
def test_invariant_3_a_recorded_blob_survives_a_failing_retry(
        make_server, work_folder, problem):
    """The COMMIT that nobody heard of has made the file a placement's: a repeat that
    cannot sync it must not discard it."""
    faults = Faults(work_folder)
    server = make_server(start=False)
    server.environment = faults.environment
    data = b"recorded" * 1000
    with PgProxy(server.database) as proxy:
        server.options["database_url"] = proxy.url
        api = server.start().api()
        upload = api.begin_upload(data)
        api.put_part(upload, data, 0, expect=204)
        proxy.lose_next_commit(reaches_server=True)
        problem(api.complete(upload), 503, "outcome-unknown")
        with faults("fail fchmod"):
            assert api.complete(upload, check=False).status_code == 500
        assert api.get(f"/blobs/{chain.sha256(data)}", expect=200).content == data
        blob = api.complete(upload, expect=201).json()
        assert blob == {"sha256": chain.sha256(data), "size": len(data)}
        server.close()


def test_invariant_3_a_commit_under_way_is_waited_for_at_start(proxied):
    """Killed while its COMMIT is on the way: the next start must not take the file away
    from what that COMMIT makes."""
    server, proxy = proxied
    api = server.api()
    data = b"late" * 1000
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204)
    proxy.hold_next_commit()

    def complete():
        with pytest.raises(requests.ConnectionError):
            api.clone().complete(upload)

    client = threading.Thread(target=complete)
    client.start()
    assert proxy.held.wait(10)
    server.kill()
    client.join()
    server.options["database_timeout"] = "20s"
    start = threading.Thread(target=server.start)
    start.start()
    waiting = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
               " AND wait_event_type = 'Lock'")
    wait_until(lambda: server.database.value(waiting) > 0, what="the start waits")
    proxy.released.set()
    start.join()
    api = server.api()
    assert api.get(f"/blobs/{chain.sha256(data)}", expect=200).content == data
    api.complete(upload, expect=201)


def test_a_repeated_complete_is_never_not_found(make_server, problem):
    """Done is done: a session lost at any of its statements is 503, and no reason to
    send it all again."""
    server = make_server(start=False, descriptor_cache=1)
    data = b"done" * 1000
    with KillingProxy(server.database) as proxy:
        server.options["database_url"] = proxy.url
        api = server.start().api()
        upload = api.begin_upload(data)
        api.put_part(upload, data, 0, expect=204)
        blob = api.complete(upload, expect=201).json()
        other = api.put_blob(b"another")
        statuses = []
        while 201 not in statuses:
            api.get(f"/blobs/{other}", expect=200)  # the file of `blob` is closed
            proxy.arm("before", len(statuses) + 1, lambda: None)
            answer = api.complete(upload)
            proxy.disarm()
            statuses.append(answer.status_code)
            if answer.status_code != 201:
                problem(answer, 503, "outcome-unknown"
                        if answer.json()["type"].endswith("unknown") else "unavailable")
            assert len(statuses) < 20
        assert len(statuses) > 3
        assert api.complete(upload, expect=201).json() == blob
        server.close()
