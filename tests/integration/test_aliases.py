# SPDX-License-Identifier: Apache-2.0
"""Aliases: set, moved under a condition, removed, and where they pointed when."""
import concurrent.futures

import pytest

from support.chain import make_bytes
from support.stratad import wait_until

DATA = make_bytes(500, "aliases")


@pytest.fixture
def server(shared_server):
    return shared_server


@pytest.fixture
def base(api, request):
    """The aliases of a model of the test's own, with four versions."""
    model = "alias/" + request.node.name
    for _ in range(4):
        api.publish(model, {"w": DATA})
    return f"/models/{model}/aliases"


def test_set_move_and_remove(api, base, publisher, problem):
    problem(publisher.put(base + "/prod", {"version": 1}), 403, "forbidden")
    first = api.put(base + "/prod", {"version": 1}, expect=201)
    version = api.get(base.replace("aliases", "versions/1")).json()
    assert first.json() == {"alias": "prod", "version": 1, "digest": version["digest"],
                            "set_at": first.json()["set_at"], "set_by": "admin"}
    assert version["aliases"] == ["prod"]
    shown = api.get(base + "/prod", expect=200)
    assert shown.json() == first.json()
    assert shown.headers["ETag"] == first.headers["ETag"]
    second = api.put(base + "/prod", {"version": 3}, expect=200)
    assert second.json()["version"] == 3
    assert second.headers["ETag"] != first.headers["ETag"]
    problem(publisher.delete(base + "/prod"), 403, "forbidden")
    api.delete(base + "/prod", expect=204)
    problem(api.get(base + "/prod"), 404, "alias-not-found")
    problem(api.delete(base + "/prod"), 404, "alias-not-found")
    api.put(base + "/prod", {"version": 3}, expect=201)


def test_set_where_it_points_changes_nothing(server, api, base):
    first = api.put(base + "/prod", {"version": 1}, expect=201)
    before = server.database.counts()
    again = api.put(base + "/prod", {"version": 1}, expect=200)
    assert again.json() == first.json()
    assert again.headers["ETag"] == first.headers["ETag"]
    assert server.database.counts() == before


def test_targets_that_are_not_live(api, base, problem):
    versions = base.replace("aliases", "versions")
    api.post(versions + "/4/yank", {"message": "m"}, expect=200)
    api.delete(versions + "/2", expect=200)
    for version in (2, 5, 2 ** 62):
        problem(api.put(base + "/prod", {"version": version}), 422, "invalid-field",
                "version")
    assert api.put(base + "/prod", {"version": 4}, expect=201).json()["version"] == 4
    problem(api.put("/models/alias/none/aliases/prod", {"version": 1}), 404,
            "model-not-found")
    for method in ("GET", "DELETE"):
        problem(api.request(method, "/models/alias/none/aliases/prod"), 404,
                "model-not-found")
    problem(api.get("/models/alias/none/aliases"), 404, "model-not-found")
    problem(api.get("/models/alias/none/aliases/prod/history"), 404, "model-not-found")


def test_conditions(api, base, problem):
    def put(version, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return api.put(base + "/prod", {"version": version}, headers=names)

    for tag in ("*", '"1-1"'):
        problem(put(1, If_Match=tag), 412, "precondition-failed")
    old = put(1, If_None_Match="*")
    assert old.status_code == 201
    problem(put(2, If_None_Match="*"), 412, "precondition-failed")
    problem(put(1, If_None_Match="*"), 412, "precondition-failed")
    etag = old.headers["ETag"]
    new = put(2, If_Match=f'"0-0", {etag}')
    assert new.status_code == 200
    for tag in (etag, "W/" + new.headers["ETag"], "nonsense", '"', new.headers["ETag"][:-1]):
        problem(put(3, If_Match=tag), 412, "precondition-failed")
    assert put(3, If_Match="*").status_code == 200
    problem(put(4, If_None_Match=api.get(base + "/prod").headers["ETag"]), 412,
            "precondition-failed")
    problem(api.delete(base + "/prod", headers={"If-Match": etag}), 412,
            "precondition-failed")
    assert api.get(base + "/prod").json()["version"] == 3
    api.delete(base + "/prod", headers={"If-Match": api.get(base + "/prod").headers["ETag"]},
               expect=204)


def test_one_of_many_conditional_moves_wins(server, api, base):
    etag = api.put(base + "/prod", {"version": 1}, expect=201).headers["ETag"]

    def move(number):
        return server.api().clone().put(base + "/prod", {"version": number % 3 + 2},
                                        headers={"If-Match": etag}).status_code

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(move, range(12))) == [200] + [412] * 11


def test_history_and_as_of(api, base, problem):
    times = [api.put(base + "/prod", {"version": version}).json()["set_at"]
             for version in (1, 2, 1)]
    api.delete(base + "/prod", expect=204)
    history = api.get(base + "/prod/history", expect=200).json()["history"]
    assert [entry["version"] for entry in history] == [None, 1, 2, 1]
    assert [entry["set_at"] for entry in history[1:]] == times[::-1]
    assert history[0]["digest"] is None and history[0]["set_by"] == "admin"
    assert times == sorted(set(times))
    for time, version in zip(times, (1, 2, 1)):
        answer = api.get(base + "/prod", params={"at": time}, expect=200).json()
        assert (answer["version"], answer["set_at"]) == (version, time)
    local = times[1].replace("Z", "+00:00")
    assert api.get(base + "/prod", params={"at": local}, expect=200).json()["version"] == 2
    for at in ("2000-01-01T00:00:00Z", history[0]["set_at"], "2999-01-01T00:00:00Z"):
        problem(api.get(base + "/prod", params={"at": at}), 404, "alias-not-found")
    problem(api.get(base + "/never/history"), 404, "alias-not-found")


def test_as_of_a_version_that_is_deleted_now(api, base):
    then = api.put(base + "/prod", {"version": 1}, expect=201).json()
    api.delete(base.replace("aliases", "versions/1"), params={"force": "true"}, expect=200)
    assert api.get(base + "/prod", params={"at": then["set_at"]}, expect=200).json() == then


def test_history_by_pages(api, base, problem):
    for number in range(7):
        api.put(base + "/prod", {"version": number % 4 + 1})
    seen, token = [], None
    while True:
        params = {"limit": 3, **({"page_token": token} if token else {})}
        page = api.get(base + "/prod/history", params=params, expect=200).json()
        seen += [entry["version"] for entry in page["history"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == [3, 2, 1, 4, 3, 2, 1]
    problem(api.get(base + "/prod/history", params={"page_token": "cHJvZA"}), 400,
            "bad-query", "page_token")


def test_list_by_name(api, base, problem):
    names = ["b", "a", "B", "a-1", "a.1", "Z9"]
    for name in names:
        api.put(f"{base}/{name}", {"version": 1}, expect=201)
    listed = api.get(base, expect=200).json()
    assert [alias["alias"] for alias in listed["aliases"]] == sorted(names)
    assert listed["aliases"][0] == api.get(f"{base}/{sorted(names)[0]}").json()
    assert api.get(base.replace("aliases", "versions/1")).json()["aliases"] == sorted(names)
    problem(api.get(base, params={"page_token": "Nw"}), 400, "bad-query", "page_token")


def test_names_outside_the_grammar(api, base, problem):
    for name in ("7", "latest", "a%20b", "-a", "x" * 97):
        alias = f"{base}/{name}"
        for answer in (api.get(alias), api.delete(alias), api.get(alias + "/history"),
                       api.put(alias, {"version": 1})):
            problem(answer, 422, "invalid-name", "alias")


def test_history_names_who_moved_it(server, maintainer, base):
    maintainer.put(base + "/prod", {"version": 1}, expect=201)
    wait_until(lambda: maintainer.get(base + "/prod").json()["set_by"] == "maintainer")
    tokens = server.database.rows(
        "SELECT DISTINCT t.role FROM alias_history h JOIN tokens t ON t.id = h.token_id"
        " JOIN models m ON m.id = h.model_id WHERE m.full_name = %s",
        base.split("/", 2)[2].rsplit("/", 1)[0])
    assert tokens == [("maintainer",)]
