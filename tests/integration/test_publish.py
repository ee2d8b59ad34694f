# SPDX-License-Identifier: Apache-2.0
"""Publishing: what a version holds, all or nothing, numbers, idempotency."""
import concurrent.futures
import hashlib
import json
import math
import struct

import psycopg
import pytest

from support.chain import CHUNK, chain_of, make_bytes, sha256
from support.stratad import wait_until

SMALL = make_bytes(1000, "publish")
LARGE = make_bytes(CHUNK + 1, "publish large")
WHOLE = {
    "datasets": [{"uri": "s3://d/pairs"},
                 {"uri": "s3://d/more", "sha256": "ab" * 32, "name": "more"},
                 {"uri": "s3://d/pairs"}],
    "run": {"id": "4711", "url": "https://ci/4711", "system": "github"},
    "code": {"repository": "https://git/r", "commit": "5d41", "dirty": True},
    "params": {"z": 1, "lr": 0.00002, "on": True, "name": "bf16", "big": 2 ** 62,
               "neg": -0.0},
    "metrics": {"f1": 0.842, "n": 3, "a": "NaN", "b": "Infinity", "c": "-Infinity",
                "third": 1 / 3, "tiny": 5e-324, "huge": 1.7976931348623157e308},
    "tags": {"team": "search", "ä": ""},
    "description": "line\nline",
}
NOBODY = "00" * 32


@pytest.fixture
def server(shared_server):
    return shared_server


def versions_of(model):
    return f"/models/{model}/versions"


def root_of(data):
    return sha256(b"".join(bytes.fromhex(value) for value in chain_of(data)))


def test_a_version_with_everything(api, server):
    api.publish("all/base", {"w": SMALL})
    before = api.get(versions_of("all/base") + "/1").json()
    parents = [{"ref": "all/base@1", "relation": "fine-tune"},
               {"ref": "all/base", "relation": "merge"},
               {"ref": "all/base@" + before["digest"], "relation": "distill"},
               {"uri": "hf:org/name@main", "relation": "adapter"}]
    version = api.publish("all/model", {"b/large": LARGE, "a": SMALL, "b-": SMALL},
                          parents=parents, aliases=["prod", "staging"], **WHOLE)
    inside = {"ref": "all/base@1", "digest": before["digest"]}
    expected_parents = [{**inside, "relation": relation}
                        for relation in ("fine-tune", "merge", "distill")]
    assert version["parents"] == expected_parents + [parents[3]]
    assert version["datasets"] == [
        {"uri": "s3://d/pairs", "sha256": None, "name": None}, WHOLE["datasets"][1],
        {"uri": "s3://d/pairs", "sha256": None, "name": None}]
    for member in ("run", "code", "params", "metrics", "tags", "description"):
        assert version[member] == WHOLE[member], member
    assert [f["path"] for f in version["files"]] == ["a", "b-", "b/large"]
    assert version["files"][2] == {"path": "b/large", "size": len(LARGE),
                                   "sha256": sha256(LARGE),
                                   "media_type": "application/octet-stream"}
    assert version["size"] == len(LARGE) + 2 * len(SMALL)
    assert version["aliases"] == ["prod", "staging"]
    assert (version["evaluations"], version["yanked"]) == ([], None)
    assert (version["version"], version["created_by"]) == (1, "admin")
    assert api.get(versions_of("all/model") + "/1").json() == version
    assert server.database.value(
        "SELECT count(*) FROM datasets WHERE uri LIKE 's3://d/%'") == 2


def test_location_and_media_type(api):
    digest = api.put_blob(SMALL)
    response = api.post(versions_of("loc/m"), {"files": [
        {"path": "c.json", "sha256": digest, "media_type": "application/json"}]})
    assert response.status_code == 201
    assert response.headers["Location"] == "/api/v1/models/loc/m/versions/1"
    assert response.json()["files"][0]["media_type"] == "application/json"
    manifest = api.get(versions_of("loc/m") + "/1/manifest").json()
    assert manifest["files"][0]["media_type"] == "application/json"


def test_the_manifest_is_verbatim_and_hashed(api, server):
    version = api.publish("man/m", {"b": LARGE, "a": SMALL}, **WHOLE)
    response = api.get(versions_of("man/m") + "/1/manifest", expect=200)
    digest = hashlib.sha256(response.content).hexdigest()
    assert version["digest"] == "sha256:" + digest
    assert response.headers["ETag"] == f'"{digest}"'
    stored = server.database.value(
        "SELECT v.manifest FROM versions v JOIN models m ON m.id = v.model_id"
        " WHERE m.full_name = 'man/m'")
    assert response.content == stored.encode()
    manifest = json.loads(response.content)
    assert list(manifest) == ["model", "version", "created_at", "files", "parents",
                              "datasets", "run", "code", "params", "metrics"]
    assert manifest["created_at"] == version["created_at"]
    assert manifest["files"] == [
        {"path": path, "size": len(data), "sha256": sha256(data),
         "chain_root": root_of(data)} for path, data in (("a", SMALL), ("b", LARGE))]
    # The order of keys is the caller's, doubles come back bit by bit.
    assert list(manifest["params"]) == list(WHOLE["params"])
    assert math.copysign(1, manifest["params"]["neg"]) == -1
    for name, value in WHOLE["metrics"].items():
        found = manifest["metrics"][name]
        if isinstance(value, str):
            assert found == value
        else:
            assert struct.pack("d", found) == struct.pack("d", value)


def test_the_same_files_are_another_version(api):
    first = api.publish("twice/m", {"w": SMALL})
    second = api.publish("twice/m", {"w": SMALL})
    assert (first["version"], second["version"]) == (1, 2)
    assert first["digest"] != second["digest"]
    assert first["created_at"] < second["created_at"]


def test_thousands_of_files(api):
    digest = api.put_blob(SMALL)
    files = {f"d{n % 7}/file-{n:05d}.bin": digest for n in range(20000)}
    version = api.publish("many/files", files)
    assert [f["path"] for f in version["files"]] == sorted(files)
    assert version["size"] == 20000 * len(SMALL)
    assert api.get(versions_of("many/files") + "/1/files/d3/file-00003.bin").content == SMALL
    item, = api.get(versions_of("many/files")).json()["versions"]
    assert item["files_count"] == 20000 and "files" not in item


def test_more_files_than_allowed(api, problem):
    files = [{"path": str(n), "sha256": NOBODY} for n in range(20001)]
    problem(api.post(versions_of("many/more"), {"files": files}), 422, "invalid-field",
            "files")


def test_body_over_the_limit(api, problem):
    body = b'{"files":[' + b" " * (33 << 20) + b"]}"
    problem(api.post(versions_of("big/body"), data=body,
                     headers={"Content-Type": "application/json"}),
            413, "body-too-large")


def test_aliases_need_a_maintainer(publisher, maintainer, problem, server):
    digest = publisher.put_blob(SMALL)
    body = {"files": [{"path": "w", "sha256": digest}], "aliases": ["prod"]}
    before = server.database.counts()
    problem(publisher.post(versions_of("role/m"), body), 403, "forbidden")
    assert server.database.counts() == before
    assert maintainer.post(versions_of("role/m"), body, expect=201).json()[
        "aliases"] == ["prod"]


def test_aliases_move_with_a_publish(api):
    api.publish("move/m", {"w": SMALL}, aliases=["prod", "old"])
    assert api.get(versions_of("move/m") + "/@prod").json()["version"] == 1
    api.publish("move/m", {"w": SMALL}, aliases=["prod"])
    assert api.get(versions_of("move/m") + "/@prod").json()["version"] == 2
    assert api.get(versions_of("move/m") + "/1").json()["aliases"] == ["old"]
    history = api.get("/models/move/m/aliases/prod/history").json()["history"]
    assert [entry["version"] for entry in history] == [2, 1]


def test_parents_that_may_and_may_not_be_named(api, problem):
    for _ in range(3):
        api.publish("kin/base", {"w": SMALL})
    base = versions_of("kin/base")
    api.post(base + "/3/yank", {"message": "bad"}, expect=200)
    api.delete(base + "/1", expect=200)
    deleted = {"ref": "kin/base@1", "relation": "merge"}
    yanked = {"ref": "kin/base@3", "relation": "merge"}
    latest = {"ref": "kin/base@latest", "relation": "merge"}
    body = {"files": [{"path": "w", "sha256": sha256(SMALL)}]}
    answer = problem(api.post(versions_of("kin/child"), {
        **body, "parents": [yanked, deleted]}), 422, "parent-not-found")
    assert answer["field"] == "parents[1].ref"
    child = api.publish("kin/child", {"w": SMALL}, parents=[yanked, latest])
    assert [p["ref"] for p in child["parents"]] == ["kin/base@3", "kin/base@2"]


# ---- invariant 2 ---------------------------------------------------------------


def test_invariant_2_a_version_is_all_or_nothing(server, api, problem):
    """Whatever a publish fails on, it leaves no row: no namespace, no model, no origin."""
    digest = api.put_blob(SMALL)
    file = {"path": "w", "sha256": digest}
    outside = {"uri": "hf:a/b", "relation": "merge"}
    whole = {**WHOLE, "idempotency_key": "k", "aliases": ["prod"],
             "datasets": [{"uri": "s3://nothing"}], "run": {"id": "nothing"}}
    failing = [
        ({"files": [file, {"path": "x", "sha256": NOBODY}]}, 409, "blobs-missing"),
        ({"files": [file], "parents": [outside, {"ref": "no/where@1",
                                                 "relation": "merge"}]},
         422, "parent-not-found"),
    ]
    before = server.database.counts()
    for body, status, slug in failing:
        problem(api.post(versions_of("nothing/left"), {**whole, **body}), status, slug)
        assert server.database.counts() == before
        problem(api.get("/models/nothing/left"), 404, "model-not-found")
    # The number that failed is the number of the next.
    assert api.publish("nothing/left", {"w": SMALL}, **WHOLE)["version"] == 1


def test_invariant_2_numbers_have_no_gaps(server):
    """64 publishes at once to a model that is not there, every other one failing."""
    digest = server.api("publisher").put_blob(SMALL)

    def publish(number):
        caller = server.api("publisher").clone()
        names = [digest, NOBODY] if number % 2 else [digest]
        return caller.post(versions_of("gapless/m"), {"files": [
            {"path": str(n), "sha256": name} for n, name in enumerate(names)]})

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(publish, range(128)))
    made = [a.json() for a in answers if a.status_code == 201]
    assert {a.status_code for a in answers} == {201, 409}
    assert sorted(v["version"] for v in made) == list(range(1, 65))
    made.sort(key=lambda version: version["version"])
    times = [v["created_at"] for v in made]
    assert times == sorted(set(times))
    assert server.api().get("/models/gapless/m").json()["versions"] == 64


def test_invariant_2_publishes_of_each_others_children(server):
    """Crossed parents and shared blobs and datasets: nothing deadlocks, nothing is lost."""
    api = server.api()
    models = [f"cross/m{n}" for n in range(4)]
    for model in models:
        api.publish(model, {"w": SMALL, "v": LARGE})

    def publish(number):
        parents = [{"ref": f"{model}@latest", "relation": "merge"}
                   for model in models[number % 4:] + models[:number % 4]]
        return server.api("publisher").clone().publish(
            models[number % 4], {"w": sha256(SMALL), "v": sha256(LARGE)}, parents=parents,
            datasets=[{"uri": f"s3://cross/{(number + n) % 5}"} for n in range(5)])

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(publish, range(48)))
    for number, model in enumerate(models):
        numbers = sorted(v["version"] for v in made if v["model"] == model)
        assert numbers == list(range(2, 14))


# ---- idempotency ---------------------------------------------------------------


def test_the_same_request_again_is_the_same_version(api, server):
    body = {"files": [{"path": "w", "sha256": api.put_blob(SMALL)}], "metrics": {"a": 1},
            "idempotency_key": "run 1", "aliases": ["prod"]}
    first = api.post(versions_of("idem/m"), body, expect=201)
    before = server.database.counts()
    # Neither the order of members nor white space matter.
    again = api.post(versions_of("idem/m"), data=json.dumps(
        dict(reversed(body.items())), indent=3).encode(),
        headers={"Content-Type": "application/json"}, expect=200)
    assert again.json() == first.json()
    assert "Location" not in again.headers
    assert server.database.counts() == before


def test_a_repeat_shows_the_version_as_it_is_now(api):
    body = {"files": [{"path": "w", "sha256": api.put_blob(SMALL)}],
            "idempotency_key": "k", "aliases": ["prod"]}
    api.post(versions_of("idem/now"), body, expect=201)
    api.publish("idem/now", {"w": SMALL}, aliases=["prod"])
    again = api.post(versions_of("idem/now"), body, expect=200).json()
    assert (again["version"], again["aliases"]) == (1, [])


def test_keys_are_per_model_and_for_ever(api, problem):
    digest = api.put_blob(SMALL)
    body = {"files": [{"path": "w", "sha256": digest}], "idempotency_key": "k"}
    api.post(versions_of("idem/a"), body, expect=201)
    api.post(versions_of("idem/b"), body, expect=201)
    other = {**body, "tags": {"a": "b"}}
    problem(api.post(versions_of("idem/a"), other), 409, "idempotency-conflict",
            "idempotency_key")
    api.delete(versions_of("idem/a") + "/1", expect=200)
    problem(api.post(versions_of("idem/a"), body), 410, "version-deleted")
    api.post(versions_of("idem/a") + "/1/restore", expect=200)
    assert api.post(versions_of("idem/a"), body, expect=200).json()["version"] == 1


def publish_at_once(server, model, count):
    """Futures of that many publishes with one idempotency key, each on a thread."""
    body = {"files": [{"path": "w", "sha256": server.api().put_blob(SMALL)}],
            "idempotency_key": "same"}
    callers = [server.api("publisher").clone() for _ in range(count)]
    pool = concurrent.futures.ThreadPoolExecutor(count)
    return [pool.submit(caller.post, versions_of(model), body) for caller in callers]


def one_version(server, model, futures):
    answers = [future.result() for future in futures]
    assert sorted(a.status_code for a in answers) == [200] * (len(answers) - 1) + [201]
    assert len({a.text for a in answers}) == 1
    assert server.api().get(f"/models/{model}").json()["versions"] == 1


def test_one_key_at_once_in_a_new_model(server):
    one_version(server, "idem/new", publish_at_once(server, "idem/new", 32))


def test_one_key_at_once_in_a_model_that_is_there(server, api):
    """All of them reach the model's row before the first may go on."""
    api.post("/models", {"model": "idem/there"}, expect=201)
    with psycopg.connect(server.database.url) as holder:
        holder.execute("SELECT FROM models WHERE full_name = 'idem/there' FOR UPDATE")
        futures = publish_at_once(server, "idem/there", 8)
        wait_for_lock(server, 8)
    one_version(server, "idem/there", futures)


# ---- invariants 6 and 10 --------------------------------------------------------


def test_invariant_6_a_publish_waits_for_a_blob_that_goes(server, api, problem):
    """GC deletes a blob's row; a publish of it meanwhile waits, then says that the blob
    is missing, and nothing names what is gone."""
    data = make_bytes(50, "gc wins")
    digest = api.put_blob(data)
    body = {"files": [{"path": "w", "sha256": digest}]}
    with psycopg.connect(server.database.url) as gc:
        raw = bytes.fromhex(digest)
        gc.execute("DELETE FROM leases WHERE sha256 = %s", (raw,))
        kept = gc.execute("DELETE FROM placements WHERE sha256 = %s RETURNING"
                          " id, tier, node_id, stored_size", (raw,)).fetchone()
        chain = gc.execute("DELETE FROM chains WHERE sha256 = %s RETURNING states",
                           (raw,)).fetchone()
        row = gc.execute("DELETE FROM blobs WHERE sha256 = %s RETURNING size, chain_root",
                         (raw,)).fetchone()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            publish = pool.submit(server.api("publisher").clone().post,
                                  versions_of("gc/m"), body)
            wait_for_lock(server)
            gc.commit()
            answer = problem(publish.result(), 409, "blobs-missing")
        assert answer["digests"] == [digest]
        # Put the rows back, so that files and tables agree again.
        gc.execute("INSERT INTO blobs VALUES (%s, %s, %s)", (raw, *row))
        gc.execute("INSERT INTO chains VALUES (%s, %s)", (raw, *chain))
        gc.execute("INSERT INTO placements (id, sha256, tier, node_id, state,"
                   " stored_size) VALUES (%s, %s, %s, %s, 'ready', %s)",
                   (kept[0], raw, kept[1], kept[2], kept[3]))


def test_invariant_6_a_blob_that_a_version_names_cannot_go(server, api):
    """The other order: publish first, and the foreign key holds the blob."""
    digest = api.put_blob(make_bytes(51, "publish wins"))
    api.publish("gc/named", {"w": digest})
    with psycopg.connect(server.database.url) as gc:
        gc.execute("DELETE FROM leases")
        gc.execute("DELETE FROM placements WHERE sha256 = %s", (bytes.fromhex(digest),))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            gc.execute("DELETE FROM blobs WHERE sha256 = %s", (bytes.fromhex(digest),))
        gc.rollback()


def wait_for_lock(server, count=1):
    """Until that many of the server's statements wait for a row."""
    wait_until(lambda: server.database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'") >= count, what="statements that wait")


def test_invariant_10_events_are_rows_of_the_change(server, api, problem):
    api.publish("event/m", {"w": SMALL}, aliases=["prod"])
    failed = api.post(versions_of("event/m"),
                      {"files": [{"path": "w", "sha256": NOBODY}]})
    problem(failed, 409, "blobs-missing")
    base = versions_of("event/m")
    api.patch(base + "/1", {"description": "d"}, expect=200)
    api.post(base + "/1/evaluations", {"metrics": {"a": 1}}, expect=201)
    api.post(base + "/1/yank", {"message": "m"}, expect=200)
    deleted = api.delete(base + "/1", params={"force": "true"}, expect=200)
    api.post(base + "/1/restore", expect=200)
    rows = server.database.rows(
        "SELECT kind, subject, request_id, principal_id IS NOT NULL AND token_id IS NOT"
        " NULL FROM events WHERE subject LIKE 'event/%' ORDER BY outbox_id")
    assert [(kind, subject) for kind, subject, _, _ in rows] == [
        ("model.created", "event/m"), ("version.published", "event/m@1"),
        ("alias.set", "event/m"), ("version.changed", "event/m@1"),
        ("evaluation.added", "event/m@1"), ("version.yanked", "event/m@1"),
        ("alias.removed", "event/m"), ("version.deleted", "event/m@1"),
        ("version.restored", "event/m@1")]
    assert all(named for *_, named in rows)
    requests = {kind: request for kind, _, request, _ in rows}
    assert requests["version.deleted"] == deleted.headers["X-Request-Id"]
    assert requests["alias.removed"] == requests["version.deleted"]
