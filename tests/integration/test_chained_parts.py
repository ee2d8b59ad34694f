# SPDX-License-Identifier: Apache-2.0
"""Uploads whose client hashes while it sends: each part brings its values of the chain."""
import contextlib
import threading

import psycopg
import pytest
import requests

from support.chain import CHUNK, big_bytes, chain_of, make_bytes, part_states, sha256
from support.stratad import wait_until

MIB = 1 << 20
PART = 32 * MIB


@pytest.fixture
def server(shared_server):
    return shared_server


def big(seed, size=2 * PART + 5):
    """Bytes of three parts."""
    return big_bytes(seed, size)


def begin(api, data, **fields):
    fields = {"sha256": False, "chain_with_parts": True, **fields}
    return api.begin_upload(data, **fields)


def put(api, upload, data, number, states, **options):
    return api.put_part(upload, data, number, headers={"Strata-Chain": ",".join(states)},
                        **options)


def check_blob(api, data):
    digest = sha256(data)
    assert api.get(f"/blobs/{digest}/chain", expect=200).json()["states"] == chain_of(data)
    assert sha256(api.get(f"/blobs/{digest}", expect=200).content) == digest


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1, PART, PART + 1, 2 * PART + 5])
def test_parts_in_any_order_make_the_blob(api, size):
    data = big(f"with parts {size}", size)
    upload = begin(api, data)
    assert upload["chain_with_parts"] is True and "sha256" not in upload
    for number in reversed(range(-(-size // PART))):
        api.put_part(upload, data, number, expect=204)
        api.put_part(upload, data, number, expect=204)  # a repeat
    blob = api.complete(upload, expect=201).json()
    assert blob == {"sha256": sha256(data), "size": size}
    check_blob(api, data)


def test_goes_on_after_a_kill(make_server):
    server = make_server()
    api = server.api()
    data = big("kill with parts")
    upload = begin(api, data)
    api.put_part(upload, data, 2, expect=204)
    api.put_part(upload, data, 0, expect=204)
    server.kill()
    server.start()
    api = server.api()
    shown = api.get(f"/uploads/{upload['id']}", expect=200).json()
    assert shown["received"] == [0, 2] and shown["chain_with_parts"] is True
    api.put_part(shown, data, 1, expect=204)
    api.complete(shown, expect=201)
    check_blob(api, data)


def test_invariant_5_a_part_is_verified_as_it_arrives(api, problem):
    data = big("verified with parts")
    upload = begin(api, data)
    wrong = bytearray(data)
    wrong[PART + 5 * MIB] ^= 1
    states = part_states(data, PART, 1)
    body = problem(put(api, upload, bytes(wrong), 1, states), 422, "digest-mismatch")
    assert "chunk 9" in body["detail"]
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []
    for number in (2, 1, 0):
        api.put_part(upload, data, number, expect=204)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)


def test_invariant_5_parts_of_two_files_do_not_meet(api, problem):
    one, other = big("one file"), big("another file")
    upload = begin(api, one)
    api.put_part(upload, one, 0, expect=204)
    problem(put(api, upload, other, 1, part_states(other, PART, 1)), 409,
            "part-conflict")
    api.put_part(upload, one, 2, expect=204)
    api.put_part(upload, one, 1, expect=204)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(one)


def test_invariant_5_the_digest_that_was_said_is_compared(api, problem):
    data = make_bytes(CHUNK + 9, "said")
    body = {"size": len(data), "chain_with_parts": True, "sha256": sha256(b"other")}
    upload = api.post("/uploads", body, expect=201).json()
    api.put_part(upload, data, 0, expect=204)
    problem(api.complete(upload), 422, "digest-mismatch")


@pytest.mark.parametrize("states", [
    lambda s: s[:-1], lambda s: s + s[-1:], lambda s: s[1:], lambda s: [],
    lambda s: [s[0].upper(), *s[1:]], lambda s: [s[0] + "0", *s[1:]],
    lambda s: [s[0][:-1], *s[1:]], lambda s: [*s, ""], lambda s: ["", *s],
])
def test_values_that_the_part_does_not_need(api, problem, states):
    data = big("values")
    upload = begin(api, data)
    wrong = states(part_states(data, PART, 1))
    problem(put(api, upload, data, 1, wrong), 422, "invalid-field", "Strata-Chain")
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []


def test_values_must_come_and_only_where_asked_for(api, problem):
    data = make_bytes(100, "asked")
    upload = begin(api, data)
    path = f"/uploads/{upload['id']}/parts/0"
    problem(api.put(path, data=data), 422, "invalid-field", "Strata-Chain")
    other = api.begin_upload(data, sha256=False)
    problem(put(api, other, data, 0, chain_of(data)), 422, "invalid-field",
            "Strata-Chain")


def test_first_value_finds_what_may_be_here(api):
    data = big("alike", 2 * CHUNK + 3)
    fields = {"unless_begins": chain_of(data)[0]}
    begin(api, data, **fields)  # nothing here begins like this
    api.upload(data)
    body = {"size": len(data), "chain_with_parts": True, **fields}
    assert api.post("/uploads", body, expect=200).json() == {"begins_alike": True}
    longer = {**body, "size": len(data) + 1}
    assert "id" in api.post("/uploads", longer, expect=201).json()


@pytest.mark.parametrize("body,field", [
    ({"size": 0, "chain_with_parts": True}, "chain_with_parts"),
    ({"size": 1 << 39, "chain_with_parts": 1}, "chain_with_parts"),
    ({"size": 3, "chain_with_parts": True, "chain": {"states": ["0" * 64]}},
     "chain_with_parts"),
    ({"size": CHUNK, "chain_with_parts": True, "unless_begins": "0" * 64},
     "unless_begins"),
    ({"size": 2 * CHUNK, "unless_begins": "0" * 64}, "unless_begins"),
    ({"size": 2 * CHUNK, "chain_with_parts": True, "unless_begins": "0" * 63},
     "unless_begins"),
    ({"size": 2 * CHUNK, "chain_with_parts": True, "unless_begins": "G" * 64},
     "unless_begins"),
])
def test_what_cannot_begin(api, problem, body, field):
    problem(api.post("/uploads", body), 422, "invalid-field", field)


def test_invariant_5_a_row_from_before_a_kill_comes_late(make_server):
    """PostgreSQL still works on the row of a part when the server that sent it is dead;
    the next server has not seen it, and takes other bytes with another chain."""
    server = make_server()
    api, count = server.api(), server.database.value
    one, other = make_bytes(CHUNK + 9, "early"), make_bytes(CHUNK + 9, "late")
    api.put_part(begin(api, one), one, 0, expect=204)  # the statement is prepared now
    upload = begin(api, one)

    def put_one():
        with contextlib.suppress(requests.RequestException):
            api.put_part(upload, one, 0)
    thread = threading.Thread(target=put_one)
    backends = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND ")
    with psycopg.connect(server.database.url) as lock:
        lock.execute("LOCK TABLE upload_parts IN SHARE MODE")
        thread.start()
        wait_until(lambda: count(backends + "wait_event_type = 'Lock'"), 20, "it waits")
        server.kill()
        server.start()
        api = server.api()
        assert api.get(f"/uploads/{upload['id']}").json()["received"] == []
        lock.rollback()
    thread.join()
    wait_until(lambda: not count(backends + "state = 'active'"), 20, "it is over")
    api.put_part(upload, other, 0, expect=204)
    server.kill()
    server.start()
    api = server.api()
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(other)
    check_blob(api, other)


def test_goes_on_where_completing_was_killed(make_server):
    """The upload is open again, and its chain is that of its parts."""
    server = make_server()
    api = server.api()
    data = big("killed while completing")
    upload = begin(api, data)
    for number in range(3):
        api.put_part(upload, data, number, expect=204)
    server.kill()
    chain = bytes.fromhex("".join(chain_of(data)))
    server.database.rows("UPDATE uploads SET state = 'completing', sha256 = %s, chain = %s"
                         " WHERE id = %s", chain[-32:], chain, upload["id"])
    server.start()
    api = server.api()
    shown = api.get(f"/uploads/{upload['id']}", expect=200).json()
    assert shown["received"] == [0, 1, 2] and shown["chain_with_parts"] is True
    api.put_part(shown, data, 1, expect=204)  # a repeat
    api.complete(shown, expect=201)
    check_blob(api, data)


def test_part_of_one_that_is_done(api, problem):
    data = make_bytes(CHUNK + 9, "done")
    upload = begin(api, data)
    api.put_part(upload, data, 0, expect=204)
    api.complete(upload, expect=201)
    problem(api.put_part(upload, data, 0), 409, "upload-not-open")
    assert api.get(f"/uploads/{upload['id']}").json()["chain_with_parts"] is True
