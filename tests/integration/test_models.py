# SPDX-License-Identifier: Apache-2.0
"""Models: created, listed, shown, described, deleted and brought back."""
import concurrent.futures

import pytest

from support.chain import make_bytes

DATA = make_bytes(100, "models")


@pytest.fixture
def server(shared_server):
    return shared_server


def test_create_and_show(api):
    response = api.post("/models", {"model": "new/bert", "description": "d\nä"},
                        expect=201)
    assert response.headers["Location"] == "/api/v1/models/new/bert"
    model = response.json()
    assert model == api.get("/models/new/bert", expect=200).json()
    assert model == {"model": "new/bert", "description": "d\nä", "latest": None,
                     "versions": 0, "created_at": model["created_at"]}


def test_a_publish_makes_the_model(api):
    api.publish("made/by-publish", {"w": DATA})
    model = api.get("/models/made/by-publish", expect=200).json()
    assert (model["latest"], model["versions"], model["description"]) == (1, 1, None)


def test_names_are_unique_whatever_their_case(api, problem):
    api.publish("Case/Bert", {"w": DATA})
    for name in ("case/bert", "CASE/Bert", "Case/BERT"):
        ns, model = name.split("/")
        answer = problem(api.post("/models", {"model": name}), 409, "model-exists")
        assert "Case" in answer["detail"]
        answer = problem(api.post(f"/models/{name}/versions", {
            "files": [{"path": "w", "sha256": api.put_blob(DATA)}]}), 409, "conflict")
        assert "Case/Bert" in answer["detail"]
        problem(api.get(f"/models/{name}"), 404, "model-not-found")
        problem(api.get(f"/models/{name}/versions/1"), 404, "model-not-found")
    # The namespace's spelling holds for its other models, too.
    problem(api.post("/models", {"model": "case/other"}), 409, "model-exists")
    api.post("/models", {"model": "Case/other"}, expect=201)


def test_describe(api, reader, problem):
    api.post("/models", {"model": "edit/me", "description": "old"}, expect=201)
    assert api.patch("/models/edit/me", {"description": "new"},
                     expect=200).json()["description"] == "new"
    assert api.patch("/models/edit/me", {}, expect=200).json()["description"] == "new"
    merge = {"Content-Type": "application/merge-patch+json"}
    answer = api.patch("/models/edit/me", data=b'{"description":null}', headers=merge,
                       expect=200)
    assert answer.json()["description"] is None
    problem(reader.patch("/models/edit/me", {"description": "x"}), 403, "forbidden")
    problem(api.patch("/models/edit/none", {"description": "x"}), 404, "model-not-found")
    problem(api.patch("/models/edit/none", {}), 404, "model-not-found")


def names_of_models(api):
    return [m["model"] for m in all_models(api)]


def all_models(api):
    return api.get("/models", params={"limit": 1000}, expect=200).json()["models"]


def test_list_is_by_name_bytewise(api):
    for name in ("sort/b", "sort/B-2", "sort/a", "sort/a-b", "sort-2/x", "sort/0"):
        api.post("/models", {"model": name}, expect=201)
    names = names_of_models(api)
    assert names == sorted(names, key=str.encode)
    assert {"sort/b", "sort/B-2", "sort-2/x"} <= set(names)


def test_list_shows_what_the_model_shows(api):
    api.publish("listed/m", {"w": DATA})
    found = [m for m in all_models(api) if m["model"] == "listed/m"]
    assert found == [api.get("/models/listed/m").json()]


@pytest.mark.parametrize("token", ["x", "AAAA", "bm8tc2xhc2g", "////", "a" * 2000])
def test_page_token_that_was_not_given_out(api, problem, token):
    problem(api.get("/models", params={"page_token": token}), 400, "bad-query",
            "page_token")


def test_counts_follow_delete_and_yank(api):
    for _ in range(3):
        api.publish("count/m", {"w": DATA})
    versions = "/models/count/m/versions"
    api.post(f"{versions}/3/yank", {"message": "m"}, expect=200)
    model = api.get("/models/count/m").json()
    assert (model["latest"], model["versions"]) == (2, 3)
    api.delete(f"{versions}/2", expect=200)
    model = api.get("/models/count/m").json()
    assert (model["latest"], model["versions"]) == (1, 2)
    api.post(f"{versions}/2/restore", expect=200)
    model = api.get("/models/count/m").json()
    assert (model["latest"], model["versions"]) == (2, 3)


def test_delete_and_come_back(api, publisher, problem):
    api.publish("gone/m", {"w": DATA}, description="first")
    answer = problem(api.delete("/models/gone/m"), 409, "model-not-empty")
    assert "1 live version" in answer["detail"]
    problem(publisher.delete("/models/gone/m"), 403, "forbidden")
    api.delete("/models/gone/m/versions/1", expect=200)
    api.delete("/models/gone/m", expect=204)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/versions"),
                         ("GET", "/versions/1"), ("GET", "/aliases"),
                         ("POST", "/versions/1/restore")):
        problem(api.request(method, "/models/gone/m" + path), 404, "model-not-found")
    assert "gone/m" not in names_of_models(api)
    # Numbers are never used again.
    assert api.publish("gone/m", {"w": DATA})["version"] == 2
    assert api.get("/models/gone/m").json()["versions"] == 1
    api.delete("/models/gone/m/versions/2", expect=200)
    api.delete("/models/gone/m", expect=204)
    api.post("/models", {"model": "gone/m", "description": "again"}, expect=201)
    api.post("/models/gone/m/versions/1/restore", expect=200)
    assert api.get("/models/gone/m").json()["latest"] == 1


def test_create_at_once_makes_one(server, problem):
    def create(number):
        caller = server.api("publisher").clone()
        return caller.post("/models", {"model": f"race/{'M' if number % 2 else 'm'}"})

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(16)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 15
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "model-exists")
