# SPDX-License-Identifier: Apache-2.0
"""Evaluations: metrics that are measured after publishing."""
import concurrent.futures

import pytest

from support.chain import make_bytes

DATA = make_bytes(500, "evaluations")


@pytest.fixture
def server(shared_server):
    return shared_server


def version_of(api, name):
    api.publish(f"eval/{name}", {"w": DATA}, aliases=["prod"])
    return f"/models/eval/{name}/versions/1"


def test_an_evaluation_is_appended(api, publisher, reader, problem):
    path = version_of(api, "append")
    metrics = {"b": 0.851, "a": 1e300, "n": "NaN", "i": "Infinity", "j": "-Infinity",
               "third": 1 / 3}
    dataset = {"uri": "s3://d/x", "sha256": "ab" * 32, "name": "x"}
    first = publisher.post(path + "/evaluations", {
        "metrics": metrics, "dataset": dataset, "note": "nightly\nrun"}, expect=201).json()
    assert first == {"id": first["id"], "metrics": metrics, "dataset": dataset,
                     "note": "nightly\nrun", "at": first["at"], "by": "publisher"}
    second = api.post(path.replace("/1", "/@prod") + "/evaluations",
                      {"metrics": {"b": 0.9}, "dataset": {"uri": "s3://d/x"}},
                      expect=201).json()
    assert second["dataset"] == {"uri": "s3://d/x", "sha256": None, "name": None}
    assert (second["note"], second["by"]) == (None, "admin")
    bare = api.post(path + "/evaluations", {"metrics": {"b": 1}}, expect=201).json()
    assert bare["dataset"] is None
    assert api.get(path).json()["evaluations"] == [bare, second, first]
    listed, = api.get("/models/eval/append/versions").json()["versions"]
    assert listed["evaluations"] == [bare, second, first]
    problem(reader.post(path + "/evaluations", {"metrics": {"b": 1}}), 403, "forbidden")


def test_published_metrics_stay(api):
    api.publish("eval/stay", {"w": DATA}, metrics={"loss": 1.5})
    path = "/models/eval/stay/versions/1"
    before = api.get(path).json()
    evaluation = api.post(path + "/evaluations", {"metrics": {"loss": 0.5}},
                          expect=201).json()
    assert api.get(path).json() == {**before, "evaluations": [evaluation]}


def test_at_once(server):
    path = version_of(server.api(), "race")

    def add(number):
        return server.api("publisher").clone().post(
            path + "/evaluations",
            {"metrics": {"n": number}, "dataset": {"uri": "s3://same"}}, expect=201).json()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(add, range(120)))
    shown = server.api().get(path).json()["evaluations"]
    newest = sorted(made, key=lambda evaluation: -evaluation["id"])[:100]
    assert shown == newest
    assert server.database.value("SELECT count(*) FROM datasets WHERE uri = 's3://same'") == 1


def test_newest_values_come_first(api):
    path = version_of(api, "newest")
    for number in range(3):
        api.post(path + "/evaluations", {"metrics": {"n": number}}, expect=201)
    shown = api.get(path).json()["evaluations"]
    assert [evaluation["metrics"]["n"] for evaluation in shown] == [2, 1, 0]
    assert shown[0]["at"] >= shown[1]["at"] >= shown[2]["at"]
