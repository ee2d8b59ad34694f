# SPDX-License-Identifier: Apache-2.0
"""Uploads: parts in any order, repeated, raced and resumed; one blob at the end."""
import concurrent.futures
import random
import threading

import pytest

from support.chain import CHUNK, big_bytes, chain_of, make_bytes, sha256
from support.rawhttp import Connection

MIB = 1 << 20
PART = 32 * MIB


@pytest.fixture
def server(shared_server):
    return shared_server


def big(seed, size=2 * PART + 5):
    """Bytes of three parts."""
    return big_bytes(seed, size)


def files_of(server, digest):
    return [path for path in server.tier_files() if digest in path]


# ---- the ordinary way ---------------------------------------------------------

def test_begin_says_what_to_send(api):
    data = make_bytes(10, "begin")
    response = api.post("/uploads", {"size": 10, "sha256": sha256(data)}, expect=201)
    upload = response.json()
    assert upload["size"] == 10 and upload["received"] == []
    assert upload["sha256"] == sha256(data) and upload["state"] == "open"
    assert upload["part_size"] == PART
    assert response.headers["Location"] == f"/api/v1/uploads/{upload['id']}"
    assert api.get(f"/uploads/{upload['id']}", expect=200).json() == upload


def test_upload_without_digest_learns_it(api):
    data = make_bytes(CHUNK + 17, "no digest")
    upload = api.begin_upload(data, sha256=False)
    assert "sha256" not in upload
    api.put_part(upload, data, 0, expect=204)
    assert api.complete(upload, expect=201).json() == {
        "sha256": sha256(data), "size": len(data)}
    done = api.get(f"/uploads/{upload['id']}", expect=200).json()
    assert done["state"] == "done" and done["sha256"] == sha256(data)
    assert done["received"] == [0]


@pytest.mark.parametrize("chained", [False, True])
def test_parts_in_any_order(api, chained):
    data = big(f"order {chained}")
    upload = api.begin_upload(data, chained=chained)
    for number, received in ((2, [2]), (0, [0, 2]), (1, [0, 1, 2])):
        api.put_part(upload, data, number, expect=204)
        assert api.get(f"/uploads/{upload['id']}").json()["received"] == received
    digest = api.complete(upload, expect=201).json()["sha256"]
    assert digest == sha256(data)
    assert sha256(api.get(f"/blobs/{digest}", expect=200).content) == digest
    assert api.get(f"/blobs/{digest}/chain").json()["states"] == chain_of(data)


def test_parts_in_parallel(api):
    data = big("parallel", 4 * PART + 1)
    upload = api.begin_upload(data)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda n: api.clone().put_part(upload, data, n, expect=204),
                      range(5)))
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)


def test_empty_blob(api):
    upload = api.begin_upload(b"")
    assert upload["received"] == []
    for _ in range(2):
        assert api.complete(upload, expect=201).json() == {
            "sha256": sha256(b""), "size": 0}
    response = api.get(f"/blobs/{sha256(b'')}", expect=200)
    assert response.content == b"" and response.headers["Content-Length"] == "0"
    assert api.get(f"/blobs/{sha256(b'')}/chain").json() == {
        "chunk_size": CHUNK, "size": 0, "states": [sha256(b"")]}
    assert api.post("/uploads", {"size": 0, "sha256": sha256(b"")}, expect=200).json()


def test_invariant_5_a_chain_of_no_chunks_does_not_choose_its_name(
        make_server, problem):
    api = make_server().api()  # one that has no empty blob yet
    digest = "ab" * 32
    body = {"size": 0, "sha256": digest, "chain": {"states": [digest]}}
    problem(api.post("/uploads", body), 422, "invalid-field", "chain.states")
    problem(api.get(f"/blobs/{digest}"), 404, "blob-not-found")
    upload = api.begin_upload(b"", chained=True)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(b"")


def test_known_blob_is_not_sent_again(server, api):
    data = make_bytes(100, "known")
    digest = api.put_blob(data)
    body = {"size": 100, "sha256": digest}
    assert api.post("/uploads", body, expect=200).json() == {
        "blob": {"sha256": digest, "size": 100}}
    assert server.database.value(
        "SELECT count(*) FROM uploads WHERE encode(sha256, 'hex') = %s"
        " AND state <> 'done'", digest) == 0


# ---- repeats, conflicts, fences -------------------------------------------------

def test_durable_part_is_compared_never_overwritten(api, problem):
    data = make_bytes(3 * MIB, "repeat")
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204)
    api.put_part(upload, data, 0, expect=204)
    other = data[:-1] + bytes([data[-1] ^ 1])
    problem(api.put_part(upload, other, 0), 409, "part-conflict")
    api.put_part(upload, data, 0, expect=204)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)


class SlowPart:
    """An attempt at part 0 whose body is sent in pieces."""

    def __init__(self, server, api, upload, data):
        self.data = data
        self.connection = Connection(server.address)
        self.connection.request(
            "PUT", f"/api/v1/uploads/{upload['id']}/parts/0",
            [f"Authorization: Bearer {api.token}", f"Content-Length: {len(data)}"])

    def send(self, start, end):
        self.connection.send(self.data[start:end])

    def answer(self):
        return self.connection.answer()

    def close(self):
        self.connection.socket.close()


def wait_for_bytes(server, upload, data, wait_until):
    """Until the first bytes of `data` lie in the upload's file."""
    number = server.database.value(
        "SELECT placement_id FROM uploads WHERE id = %s", upload["id"])
    path = server.data / "hot" / "incoming" / str(number)

    def has_begun():
        with open(path, "rb") as file:
            return file.read(len(data)) == data
    wait_until(has_begun, what="the attempt has begun to write")


@pytest.fixture
def wait_until():
    from support.stratad import wait_until as function
    return function


def test_newer_attempt_fences_the_older(server, api, wait_until):
    old, new = make_bytes(6 * MIB, "old"), make_bytes(6 * MIB, "new")
    upload = api.begin_upload(new)
    slow = SlowPart(server, api, upload, old)
    slow.send(0, 2 * MIB)
    wait_for_bytes(server, upload, old[:MIB], wait_until)
    api.put_part(upload, new, 0, expect=204)
    try:
        slow.send(2 * MIB, 6 * MIB)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all was sent
    answer = slow.answer()
    assert answer.status == 409 and answer.slug() == "part-superseded"
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(new)
    assert api.get(f"/blobs/{sha256(new)}").content == new


def test_attempt_that_was_cut_leaves_nothing(server, api, wait_until):
    data = make_bytes(6 * MIB, "cut")
    upload = api.begin_upload(data)
    slow = SlowPart(server, api, upload, bytes(6 * MIB))
    slow.send(0, 3 * MIB)
    slow.close()
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []
    api.put_part(upload, data, 0, expect=204)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)


def test_attempts_race_and_one_text_wins(api):
    """Two bodies for one part at once, again and again: the durable part is one of the
    two, whole, and who was told 204 sent that one."""
    for round_ in range(6):
        bodies = [make_bytes(2 * MIB, f"race {round_} {n}") for n in range(2)]
        upload = api.begin_upload(bodies[0], sha256=False)
        barrier = threading.Barrier(4)

        def send(n):
            caller = api.clone()
            barrier.wait()
            return n, caller.put_part(upload, bodies[n % 2], 0).status_code
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = list(pool.map(send, range(4)))
        winners = {n % 2 for n, status in results if status == 204}
        assert len(winners) == 1, results
        assert {status for _, status in results} <= {204, 409}
        digest = api.complete(upload, expect=201).json()["sha256"]
        assert digest == sha256(bodies[winners.pop()])


def test_two_clients_send_one_upload_interleaved(api):
    data = big("interleaved", 3 * PART + 9)
    upload = api.begin_upload(data)
    orders = [[0, 1, 2, 3], [3, 2, 1, 0]]

    def send(order):
        caller = api.clone()
        return [caller.put_part(upload, data, n).status_code for n in order]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(send, orders))
    assert {status for result in results for status in result} <= {204, 409}
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == [0, 1, 2, 3]
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)


# ---- verification -----------------------------------------------------------------

def test_invariant_5_a_chained_part_is_verified_as_it_arrives(api, problem):
    data = big("chained")
    upload = api.begin_upload(data, chained=True)
    part = bytearray(data[PART:2 * PART])
    part[5 * MIB] ^= 1
    path = f"/uploads/{upload['id']}/parts/1"
    body = problem(api.put(path, data=bytes(part)), 422, "digest-mismatch")
    assert "chunk 9" in body["detail"]
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []
    for number in (2, 1, 0):
        api.put_part(upload, data, number, expect=204)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)


def test_invariant_5_wrong_bytes_never_become_the_blob(server, api, problem):
    data = make_bytes(CHUNK + 1, "wrong")
    claimed = sha256(b"something else")
    upload = api.post("/uploads", {"size": len(data), "sha256": claimed},
                      expect=201).json()
    api.put_part(upload, data, 0, expect=204)
    body = problem(api.complete(upload), 422, "digest-mismatch")
    assert sha256(data) in body["detail"]
    problem(api.get(f"/blobs/{claimed}"), 404, "blob-not-found")
    problem(api.get(f"/uploads/{upload['id']}"), 404, "upload-not-found")
    assert not files_of(server, claimed)


def test_content_digest_of_each_part(api):
    import base64
    import hashlib
    data = make_bytes(1000, "content digest")
    value = base64.b64encode(hashlib.sha256(data).digest()).decode()
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204, headers={
        "Content-Digest": f"sha-512=:AAAA:, sha-256=:{value}:"})
    api.complete(upload, expect=201)


# ---- complete -----------------------------------------------------------------------

def test_complete_repeats_its_answer(api):
    data = make_bytes(50, "again")
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204)
    first = api.complete(upload, expect=201).json()
    assert api.complete(upload, expect=201).json() == first
    assert api.put_part(upload, data, 0).status_code == 409


def test_complete_at_once_from_many(api):
    data = big("complete")
    upload = api.begin_upload(data)
    for number in range(3):
        api.put_part(upload, data, number, expect=204)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.clone().complete(upload, expect=201).json(),
                                range(8)))
    assert answers == [{"sha256": sha256(data), "size": len(data)}] * 8


def test_complete_names_the_missing_parts(api, problem):
    data = big("missing")
    upload = api.begin_upload(data)
    api.put_part(upload, data, 1, expect=204)
    assert problem(api.complete(upload), 409, "parts-missing")["parts"] == [0, 2]
    api.put_part(upload, data, 0, expect=204)
    assert problem(api.complete(upload), 409, "parts-missing")["parts"] == [2]
    api.put_part(upload, data, 2, expect=204)
    api.complete(upload, expect=201)


@pytest.mark.parametrize("way", ["parts", "chained", "put"])
def test_invariant_4_64_uploads_of_one_blob_are_one_placement(make_server, way):
    """And one file: every other one is dropped, under a name of its own."""
    server = make_server()
    api = server.api()
    data = make_bytes(300_000, f"one blob {way}")
    digest = sha256(data)
    callers = [api.clone() for _ in range(64)]
    if way != "put":
        uploads = [c.begin_upload(data, chained=way == "chained") for c in callers]
    barrier = threading.Barrier(64)

    def send(n):
        barrier.wait()
        if way == "put":
            return callers[n].put(f"/blobs/{digest}", data=data).status_code
        callers[n].put_part(uploads[n], data, 0, expect=204)
        return callers[n].complete(uploads[n]).status_code
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(send, range(64)))
    assert set(statuses) <= ({200, 201} if way == "put" else {201})
    assert 201 in statuses
    assert server.database.value("SELECT count(*) FROM placements") == 1
    assert server.database.value("SELECT count(*) FROM blobs") == 1
    assert len(server.tier_files()) == 1
    assert api.get(f"/blobs/{digest}").content == data


# ---- ownership, removal, expiry -----------------------------------------------------

def test_upload_belongs_to_its_principal(api, publisher, problem):
    data = make_bytes(10, "mine")
    upload = publisher.begin_upload(data)
    for response in (api.get(f"/uploads/{upload['id']}"), api.put_part(upload, data, 0),
                     api.complete(upload), api.delete(f"/uploads/{upload['id']}")):
        problem(response, 404, "upload-not-found")
    publisher.put_part(upload, data, 0, expect=204)
    publisher.complete(upload, expect=201)


@pytest.mark.parametrize("call", ["get", "part", "complete", "delete"])
def test_unknown_upload(api, problem, call):
    upload = {"id": "00000000-0000-4000-8000-000000000000", "part_size": PART}
    response = {
        "get": lambda: api.get(f"/uploads/{upload['id']}"),
        "part": lambda: api.put_part(upload, b"x", 0),
        "complete": lambda: api.complete(upload),
        "delete": lambda: api.delete(f"/uploads/{upload['id']}"),
    }[call]()
    problem(response, 404, "upload-not-found")


@pytest.mark.parametrize("name", ["x", "00000000-0000-4000-8000-00000000000", "A" * 36])
def test_id_that_is_none(api, problem, name):
    problem(api.get(f"/uploads/{name}"), 422, "invalid-field", field="id")
    problem(api.post(f"/uploads/{name}/complete"), 422, "invalid-field", field="id")


def test_delete_removes_the_file(server, api, problem):
    before = server.tier_files()
    data = make_bytes(2 * MIB, "given up")
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204)
    assert len(server.tier_files()) == len(before) + 1
    api.delete(f"/uploads/{upload['id']}", expect=204)
    assert server.tier_files() == before
    problem(api.get(f"/uploads/{upload['id']}"), 404, "upload-not-found")
    problem(api.delete(f"/uploads/{upload['id']}"), 404, "upload-not-found")


def test_delete_shuts_out_a_writer(server, api, wait_until):
    data = make_bytes(6 * MIB, "shut out")
    upload = api.begin_upload(data)
    slow = SlowPart(server, api, upload, data)
    slow.send(0, 2 * MIB)
    wait_for_bytes(server, upload, data[:MIB], wait_until)
    api.delete(f"/uploads/{upload['id']}", expect=204)
    try:
        slow.send(2 * MIB, 6 * MIB)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert slow.answer().status == 404


def test_delete_of_a_finished_upload_keeps_the_blob(api):
    data = make_bytes(70, "kept")
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204)
    api.complete(upload, expect=201)
    api.delete(f"/uploads/{upload['id']}", expect=204)
    assert api.get(f"/blobs/{sha256(data)}", expect=200).content == data


def test_expired_upload_is_not_found_and_removed(make_server, problem):
    server = make_server()
    api = server.api()
    data = make_bytes(10, "expired")
    upload = api.begin_upload(data)
    api.put_part(upload, data, 0, expect=204)
    server.stop()
    server.database.rows("UPDATE uploads SET expires_at = now() - interval '1 minute'")
    server.start()
    api = server.api()
    problem(api.get(f"/uploads/{upload['id']}"), 404, "upload-not-found")
    problem(api.complete(upload), 404, "upload-not-found")


# ---- leases, durability --------------------------------------------------------------

LEASES = """SELECT p.name FROM leases l JOIN principals p ON p.id = l.principal_id
            WHERE encode(l.sha256, 'hex') = %s AND l.until > now() ORDER BY 1"""


def test_invariant_6_here_and_stored_write_a_lease(server, api, publisher, maintainer):
    data = make_bytes(33, "lease")
    digest = sha256(data)
    upload = publisher.begin_upload(data)
    publisher.put_part(upload, data, 0, expect=204)
    assert server.database.rows(LEASES, digest) == []
    publisher.complete(upload, expect=201)
    assert server.database.rows(LEASES, digest) == [("publisher",)]
    maintainer.post("/uploads", {"size": 33, "sha256": digest}, expect=200)
    assert server.database.rows(LEASES, digest) == [("maintainer",), ("publisher",)]
    api.put(f"/blobs/{digest}", data=data, expect=200)
    assert len(server.database.rows(LEASES, digest)) == 3
    server.database.rows("UPDATE leases SET until = now() + interval '1 second'")
    publisher.complete(upload, expect=201)
    assert server.database.value(
        "SELECT count(*) FROM leases WHERE until > now() + interval '1 minute'") >= 1


def test_invariant_1_an_acknowledged_part_survives_a_kill(make_server):
    server = make_server()
    data = big("kill")
    upload = server.api().begin_upload(data)
    for number in (2, 0):
        server.api().put_part(upload, data, number, expect=204)
        server.kill()
        server.start()
    api = server.api()
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == [0, 2]
    api.put_part(upload, data, 1, expect=204)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)
    server.kill()
    server.start()
    assert sha256(server.api().get(f"/blobs/{sha256(data)}").content) == sha256(data)
    assert server.api().complete(upload, expect=201).json()["sha256"] == sha256(data)


def test_invariant_3_a_blob_row_has_a_ready_placement(make_server):
    """At any instant: looked at while uploads end and the server is killed."""
    server = make_server()
    nowhere = """SELECT count(*) FROM blobs b WHERE NOT EXISTS (SELECT FROM placements p
                 WHERE p.sha256 = b.sha256 AND p.state = 'ready')"""
    for round_ in range(3):
        api = server.api()
        uploads = []
        for n in range(8):
            data = make_bytes(1000, f"{round_} {n}")
            upload = api.begin_upload(data)
            api.put_part(upload, data, 0, expect=204)
            uploads.append(upload)

        def complete(upload):
            try:
                api.clone().complete(upload)
            except Exception:  # cut by the kill
                pass
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            running = [pool.submit(complete, upload) for upload in uploads]
            threading.Event().wait(random.Random(round_).uniform(0, 0.02))
            server.kill()
            concurrent.futures.wait(running)
        assert server.database.value(nowhere) == 0
        server.start()
        for upload in uploads:
            server.api().complete(upload, expect=201)


def test_part_in_doubt_is_settled_by_its_repeat(make_server, problem):
    """PostgreSQL is away when the part's row is to be written: its bytes are durable,
    and the part is received once its row is."""
    server = make_server()
    api = server.api()
    data = make_bytes(2 * MIB, "doubt")
    upload = api.begin_upload(data)
    server.database.allow_connections(False)
    try:
        problem(api.put_part(upload, data, 0), 503, "unavailable")
    finally:
        server.database.allow_connections(True)
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []
    other = bytes(len(data))
    problem(api.put_part(upload, other, 0), 409, "part-conflict")
    api.put_part(upload, data, 0, expect=204)
    server.database.allow_connections(False)
    try:
        problem(api.complete(upload), 503, "unavailable")
    finally:
        server.database.allow_connections(True)
    assert api.complete(upload, expect=201).json()["sha256"] == sha256(data)


def test_open_uploads_are_counted(server, api):
    def count():
        text = api.get("//metrics").text
        return int(next(line.split()[1] for line in text.splitlines()
                        if line.startswith("strata_uploads_open ")))
    before = count()
    data = make_bytes(10, "counted")
    first, second = api.begin_upload(data), api.begin_upload(data)
    assert count() == before + 2
    api.put_part(first, data, 0, expect=204)
    api.complete(first, expect=201)
    api.delete(f"/uploads/{second['id']}", expect=204)
    assert count() == before
