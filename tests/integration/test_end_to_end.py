# SPDX-License-Identifier: Apache-2.0
"""The main job over plain HTTP: publish a lineage, stream it back, prove the bytes."""
import base64
import concurrent.futures
import json
import random

import pytest

from support.chain import CHUNK, chain_of, chain_root, make_bytes, sha256

WEIGHTS_1 = make_bytes(2 * CHUNK + 12345, "weights 1")
WEIGHTS_2 = make_bytes(CHUNK, "weights 2")
CONFIG = b'{"hidden_size": 384}\n'
MODEL = "/models/nlp/minilm"


@pytest.fixture
def published(api):
    """Two versions: the second made from the first and from one outside."""
    first = api.publish("nlp/minilm", {"config.json": CONFIG,
                                       "weights/model.bin": api.upload(WEIGHTS_1)})
    second = api.publish(
        "nlp/minilm",
        {"config.json": CONFIG,
         "weights/model.bin": api.upload(WEIGHTS_2, chained=True)},
        parents=[{"ref": "nlp/minilm@1", "relation": "fine-tune"},
                 {"uri": "hf:org/base@main", "relation": "distill"}],
        datasets=[{"uri": "s3://data/pairs.parquet", "sha256": "ab" * 32, "name": "pairs"},
                  {"uri": "s3://data/more.parquet"}],
        run={"id": "4711", "url": "https://ci.example.org/4711", "system": "ci"},
        code={"repository": "https://git.example.org/a.git", "commit": "5d41402a",
              "dirty": True},
        params={"epochs": 3, "lr": 0.00002, "precision": "bf16", "warm": True},
        metrics={"loss": 0.25, "best": "-Infinity", "odd": "NaN"},
        tags={"team": "search"}, description="tuned", aliases=["staging"],
        idempotency_key="run-4711")
    return first, second


def test_versions_say_what_was_published(api, published):
    first, second = published
    assert (first["version"], second["version"]) == (1, 2)
    assert first["parents"] == first["datasets"] == first["aliases"] == []
    assert first["run"] is first["code"] is first["description"] is first["yanked"] is None
    assert {(f["path"], f["size"], f["sha256"]) for f in second["files"]} == {
        ("config.json", len(CONFIG), sha256(CONFIG)),
        ("weights/model.bin", len(WEIGHTS_2), sha256(WEIGHTS_2))}
    assert second["size"] == len(CONFIG) + len(WEIGHTS_2)
    assert second["parents"] == [
        {"ref": "nlp/minilm@1", "digest": first["digest"], "relation": "fine-tune"},
        {"uri": "hf:org/base@main", "relation": "distill"}]
    assert second["datasets"] == [
        {"uri": "s3://data/pairs.parquet", "sha256": "ab" * 32, "name": "pairs"},
        {"uri": "s3://data/more.parquet", "sha256": None, "name": None}]
    assert second["run"] == {
        "id": "4711", "url": "https://ci.example.org/4711", "system": "ci"}
    assert second["code"] == {"repository": "https://git.example.org/a.git",
                              "commit": "5d41402a", "dirty": True}
    assert second["params"] == {
        "epochs": 3, "lr": 0.00002, "precision": "bf16", "warm": True}
    assert second["metrics"] == {"loss": 0.25, "best": "-Infinity", "odd": "NaN"}
    assert second["tags"] == {"team": "search"} and second["description"] == "tuned"
    assert second["aliases"] == ["staging"] and second["created_by"] == "admin"
    for ref in ("2", "@staging", "latest", second["digest"]):
        assert api.get(f"{MODEL}/versions/{ref}", expect=200).json() == second
    model = api.get(MODEL, expect=200).json()
    assert (model["latest"], model["versions"]) == (2, 2)


def test_manifest_proves_history_and_bytes(api, published):
    """Invariant 5 over HTTP alone: digest -> manifest -> chain_root -> chain -> bytes, and
    the parent's digest links the first version."""
    for version, data in zip(published, (WEIGHTS_1, WEIGHTS_2)):
        text = api.get(f"{MODEL}/versions/{version['version']}/manifest",
                       expect=200).content
        assert "sha256:" + sha256(text) == version["digest"]
        manifest = json.loads(text)
        assert manifest["created_at"] == version["created_at"]
        entry = {file["path"]: file for file in manifest["files"]}["weights/model.bin"]
        chain = api.get(f"/blobs/{entry['sha256']}/chain", expect=200).json()
        assert chain == {"chunk_size": CHUNK, "size": len(data), "states": chain_of(data)}
        assert entry["chain_root"] == chain_root(chain["states"])
        assert entry["sha256"] == chain["states"][-1] == sha256(data)
    assert manifest["parents"][0]["digest"] == published[0]["digest"]


def test_ranges_in_parallel_are_the_file(api, published):
    url = f"{MODEL}/versions/1/files/weights/model.bin"
    size = len(WEIGHTS_1)
    step = 1_000_003

    def read(start):
        end = min(start + step, size) - 1
        response = api.clone().get(
            url, headers={"Range": f"bytes={start}-{end}"}, expect=206)
        assert response.headers["Content-Range"] == f"bytes {start}-{end}/{size}"
        assert response.headers["ETag"] == f'"{sha256(WEIGHTS_1)}"'
        return response.content

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert b"".join(pool.map(read, range(0, size, step))) == WEIGHTS_1
    whole = api.get(url, expect=200)
    assert whole.content == WEIGHTS_1
    digest = base64.b64encode(bytes.fromhex(sha256(WEIGHTS_1))).decode()
    assert whole.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert whole.headers["Strata-Tier"] == "hot"


def test_random_ranges(api, published):
    url = f"/blobs/{sha256(WEIGHTS_1)}"
    random_ = random.Random(7)
    for _ in range(50):
        start = random_.randrange(len(WEIGHTS_1))
        end = random_.randrange(start, len(WEIGHTS_1))
        end = min(end, start + 70000)
        got = api.get(url, headers={"Range": f"bytes={start}-{end}"}, expect=206)
        assert got.content == WEIGHTS_1[start:end + 1]
    assert api.get(url, headers={"Range": "bytes=-5"}, expect=206).content == WEIGHTS_1[-5:]


def test_alias_moves_and_remembers(api, published):
    base = MODEL + "/aliases/prod"
    first = api.put(base, {"version": 1}, expect=201)
    second = api.put(base, {"version": 2}, expect=200,
                     headers={"If-Match": first.headers["ETag"]})
    assert api.put(base, {"version": 1}, headers={
        "If-Match": first.headers["ETag"]}).status_code == 412
    assert api.get(f"{MODEL}/versions/@prod").json()["version"] == 2
    at = first.json()["set_at"]
    assert api.get(base, params={"at": at}, expect=200).json()["version"] == 1
    assert api.get(base, params={"at": second.json()["set_at"]}).json()["version"] == 2
    history = api.get(base + "/history", expect=200).json()["history"]
    assert [entry["version"] for entry in history] == [2, 1]
    assert {entry["set_by"] for entry in history} == {"admin"}


def test_idempotent_publish_is_one_version(api, published):
    body = {"files": [{"path": "config.json", "sha256": sha256(CONFIG)}],
            "idempotency_key": "again"}
    first = api.post(MODEL + "/versions", body, expect=201).json()
    again = api.post(MODEL + "/versions", body, expect=200).json()
    assert first == again and first["version"] == 3


def test_everything_is_there_after_a_kill(server, api, published):
    """Invariant 1: acknowledged means durable."""
    server.kill()
    server.start()
    api = server.api()
    for version, data in zip(published, (WEIGHTS_1, WEIGHTS_2)):
        assert api.get(f"{MODEL}/versions/{version['version']}").json() == version
        url = f"{MODEL}/versions/{version['version']}/files/weights/model.bin"
        assert api.get(url, expect=200).content == data


def test_evaluations_and_yank(api, published):
    api.post(MODEL + "/versions/2/evaluations", expect=201, json={
        "metrics": {"loss": 0.125}, "note": "nightly",
        "dataset": {"uri": "s3://data/test.parquet"}})
    version = api.post(MODEL + "/versions/2/yank", {"message": "wrong split"},
                       expect=200).json()
    assert version["yanked"]["message"] == "wrong split"
    assert version["evaluations"][0]["metrics"] == {"loss": 0.125}
    assert version["metrics"]["loss"] == 0.25  # what was published stays
    assert api.get(MODEL + "/versions/latest", expect=200).json()["version"] == 1
    assert api.get(MODEL + "/versions/@staging", expect=200).json()["version"] == 2


def test_delete_and_restore(api, published, problem):
    problem(api.delete(MODEL + "/versions/1"), 409, "version-in-use")
    gone = api.delete(MODEL + "/versions/2?force=true", expect=200).json()
    assert gone["bytes"] == len(WEIGHTS_2) and gone["purge_at"] > gone["deleted_at"]
    for path in ("", "/manifest", "/files/config.json"):
        problem(api.get(f"{MODEL}/versions/2{path}"), 410, "version-deleted")
    problem(api.get(f"{MODEL}/aliases/staging"), 404, "alias-not-found")
    assert api.publish("nlp/minilm", {"f": CONFIG})["version"] == 3  # never used again
    restored = api.post(MODEL + "/versions/2/restore", expect=200).json()
    assert restored["digest"] == published[1]["digest"] and restored["aliases"] == []
    assert api.get(MODEL + "/versions/2/files/config.json").content == CONFIG
