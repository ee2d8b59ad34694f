# SPDX-License-Identifier: Apache-2.0
"""Versions: refs, lists, what of them can change, deletion, and the caches over them."""
import concurrent.futures
import datetime
import threading

import pytest

from support.chain import make_bytes, sha256

DATA = make_bytes(2000, "versions")
OTHER = make_bytes(3000, "versions too")


@pytest.fixture
def server(shared_server):
    return shared_server


def publish(api, model, count=1, **fields):
    return [api.publish(model, {"w": DATA}, **fields) for _ in range(count)]


def at(model, ref):
    return f"/models/{model}/versions/{ref}"


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


# ---- refs ----------------------------------------------------------------------


def test_every_form_of_a_ref(api):
    one, two = publish(api, "ref/m", 2)
    api.put("/models/ref/m/aliases/prod", {"version": 1}, expect=201)
    one = api.get(at("ref/m", 1)).json()
    for ref, version in (("1", one), ("@prod", one), (one["digest"], one), ("2", two),
                         ("latest", two), (two["digest"], two)):
        assert api.get(at("ref/m", ref), expect=200).json() == version
        manifest = api.get(at("ref/m", ref) + "/manifest", expect=200).content
        assert "sha256:" + sha256(manifest) == version["digest"]
        assert api.get(at("ref/m", ref) + "/files/w", expect=200).content == DATA


@pytest.mark.parametrize("ref, slug", [
    ("9", "version-not-found"), ("@none", "alias-not-found"),
    ("sha256:" + "ab" * 32, "version-not-found"), ("999999999999999999", "version-not-found"),
])
def test_refs_to_nothing(api, problem, ref, slug):
    if api.get("/models/ref/nothing").status_code == 404:
        publish(api, "ref/nothing")
    for path in ("", "/manifest", "/files/w"):
        problem(api.get(at("ref/nothing", ref) + path), 404, slug)
    problem(api.patch(at("ref/nothing", ref), {}), 404, slug)
    problem(api.delete(at("ref/nothing", ref)), 404, slug)
    problem(api.post(at("ref/nothing", ref) + "/restore"), 404, slug)
    problem(api.post(at("ref/nothing", ref) + "/yank", {"message": "m"}), 404, slug)
    problem(api.post(at("ref/nothing", ref) + "/evaluations", {"metrics": {"a": 1}}), 404,
            slug)
    problem(api.get(at("ref/absent", ref)), 404, "model-not-found")


@pytest.mark.parametrize("ref", ["0", "01", "-1", "prod", "@", "@7", "@latest", "sha256:ab",
                                 "sha256:" + "AB" * 32, "LATEST", "1.0", "@a b"])
def test_refs_outside_the_grammar(api, problem, ref):
    problem(api.get(at("ref/bad", ref)), 422, "invalid-name", "ref")


def test_a_digest_counts_within_its_model(api, problem):
    one, = publish(api, "ref/mine")
    publish(api, "ref/yours")
    problem(api.get(at("ref/yours", one["digest"])), 404, "version-not-found")


def test_files_that_are_not_there(api, problem):
    publish(api, "file/m")
    problem(api.get(at("file/m", 1) + "/files/v"), 404, "file-not-found")
    problem(api.get(at("file/m", 1) + "/files/w/x"), 404, "file-not-found")
    problem(api.get(at("file/m", 1) + "/files/a//b"), 422, "invalid-path", "path")
    problem(api.get(at("file/m", 1) + "/files/%2e%2e/b"), 422, "invalid-path", "path")


# ---- lists ---------------------------------------------------------------------


def test_the_list_is_newest_first_and_without_deleted(api):
    publish(api, "list/m", 5, tags={"a": "b"}, metrics={"x": 0.1})
    api.delete(at("list/m", 3), expect=200)
    api.post(at("list/m", 4) + "/yank", {"message": "m"}, expect=200)
    api.put("/models/list/m/aliases/prod", {"version": 2}, expect=201)
    versions = api.get("/models/list/m/versions", expect=200).json()["versions"]
    assert [v["version"] for v in versions] == [5, 4, 2, 1]
    for item in versions:
        whole = api.get(at("list/m", item["version"])).json()
        assert item.pop("files_count") == len(whole.pop("files"))
        assert item == whole


def test_pages_of_versions(api):
    publish(api, "list/pages", 7)
    api.delete(at("list/pages", 4), expect=200)
    seen, token = [], None
    while True:
        params = {"limit": 2, **({"page_token": token} if token else {})}
        page = api.get("/models/list/pages/versions", params=params).json()
        seen += [v["version"] for v in page["versions"]]
        token = page["next_page_token"]
        if token is None:
            break
        # A version that comes meanwhile does not shift the pages.
        if len(seen) == 2:
            publish(api, "list/pages")
    assert seen == [7, 6, 5, 3, 2, 1]


def test_a_page_ends_before_it_grows_too_large(api):
    params = {f"p{n}": "x" * 4000 for n in range(900)}
    publish(api, "list/large", 4, params=params)
    seen, token, pages = [], None, 0
    while True:
        page = api.get("/models/list/large/versions",
                       params={"page_token": token} if token else {})
        assert len(page.content) < 16 << 20
        seen += [v["version"] for v in page.json()["versions"]]
        pages += 1
        token = page.json()["next_page_token"]
        if token is None:
            break
    assert seen == [4, 3, 2, 1]
    assert 1 < pages < 4


@pytest.mark.parametrize("token", ["x", "AAAA", "MA", "LTE"])
def test_page_token_that_was_not_given_out(api, problem, token):
    publish(api, "list/token")
    problem(api.get("/models/list/token/versions", params={"page_token": token}), 400,
            "bad-query", "page_token")


def test_list_of_no_model(api, problem):
    problem(api.get("/models/list/none/versions"), 404, "model-not-found")
    problem(api.get("/models/a%20b/none/versions"), 422, "invalid-name", "ns")


# ---- tags and description ------------------------------------------------------


def test_patch_merges(api, reader, problem):
    publish(api, "patch/m", tags={"a": "1", "b": "2"}, description="d")
    path = at("patch/m", 1)
    merge = {"Content-Type": "application/merge-patch+json"}
    version = api.patch(path, data=b'{"tags":{"a":null,"b":"3","c":"4"}}', headers=merge,
                        expect=200).json()
    assert (version["tags"], version["description"]) == ({"b": "3", "c": "4"}, "d")
    assert api.get(path).json() == version
    version = api.patch(path, {"description": None, "tags": None}, expect=200).json()
    assert (version["tags"], version["description"]) == ({}, None)
    assert api.patch(path, {}, expect=200).json() == version
    api.patch(path, {"tags": {f"t{n}": "" for n in range(256)}}, expect=200)
    problem(api.patch(path, {"tags": {"one more": ""}}), 422, "invalid-field", "tags")
    version = api.patch(path, {"tags": {"one more": "", "t0": None}}, expect=200).json()
    assert len(version["tags"]) == 256
    problem(reader.patch(path, {"description": "x"}), 403, "forbidden")


def test_a_patch_leaves_the_manifest(api):
    before, = publish(api, "patch/same")
    after = api.patch(at("patch/same", 1), {"tags": {"a": "b"}}, expect=200).json()
    assert {**before, "tags": {"a": "b"}} == after


# ---- yank ----------------------------------------------------------------------


def test_a_yanked_version_is_marked_and_still_served(api, publisher, problem):
    publish(api, "yank/m", 2, aliases=["prod"])
    problem(publisher.post(at("yank/m", 2) + "/yank", {"message": "m"}), 403, "forbidden")
    version = api.post(at("yank/m", 2) + "/yank", {"message": "bad data"},
                       expect=200).json()
    assert version["yanked"]["message"] == "bad data"
    assert version["yanked"]["by"] == "admin"
    assert instant(version["yanked"]["at"]) > instant(version["created_at"])
    for ref in ("2", "@prod", version["digest"]):
        assert api.get(at("yank/m", ref), expect=200).json() == version
        assert api.get(at("yank/m", ref) + "/files/w", expect=200).content == DATA
    assert api.get(at("yank/m", "latest")).json()["version"] == 1
    again = api.post(at("yank/m", 2) + "/yank", {"message": "worse"}, expect=200).json()
    assert again["yanked"]["message"] == "worse"
    api.post(at("yank/m", 1) + "/yank", {"message": "m"}, expect=200)
    problem(api.get(at("yank/m", "latest")), 404, "version-not-found")
    assert publish(api, "yank/m")[0]["version"] == 3
    assert api.get(at("yank/m", "latest")).json()["version"] == 3


# ---- deletion ------------------------------------------------------------------


def test_delete_says_when_and_how_much(api, publisher, problem):
    api.publish("del/m", {"w": DATA, "own": OTHER, "own2": OTHER})
    api.publish("del/m", {"w": DATA})
    problem(publisher.delete(at("del/m", 1)), 403, "forbidden")
    answer = api.delete(at("del/m", 1), expect=200).json()
    assert answer["bytes"] == len(OTHER)  # the other blob is named by version 2
    wait = instant(answer["purge_at"]) - instant(answer["deleted_at"])
    assert wait == datetime.timedelta(days=30)
    for ref in ("1", answer["digest"]):
        for path in ("", "/manifest", "/files/w"):
            problem(api.get(at("del/m", ref) + path), 410, "version-deleted")
        problem(api.patch(at("del/m", ref), {}), 410, "version-deleted")
        problem(api.delete(at("del/m", ref)), 410, "version-deleted")
        problem(api.post(at("del/m", ref) + "/yank", {"message": "m"}), 410,
                "version-deleted")
        problem(api.post(at("del/m", ref) + "/evaluations", {"metrics": {"a": 1}}), 410,
                "version-deleted")
    problem(publisher.post(at("del/m", 1) + "/restore"), 403, "forbidden")
    problem(api.post(at("del/m", 2) + "/restore"), 409, "version-not-deleted")
    problem(api.post(at("del/m", "latest") + "/restore"), 409, "version-not-deleted")
    version = api.post(at("del/m", answer["digest"]) + "/restore", expect=200).json()
    assert version == api.get(at("del/m", 1), expect=200).json()
    assert api.get(at("del/m", 1) + "/files/own").content == OTHER


def test_delete_of_what_is_in_use(api, problem):
    publish(api, "use/m", 2, aliases=["prod"])
    api.put("/models/use/m/aliases/old", {"version": 1}, expect=201)
    api.put("/models/use/m/aliases/older", {"version": 1}, expect=201)
    api.publish("use/child", {"w": DATA},
                parents=[{"ref": "use/m@1", "relation": "merge"},
                         {"ref": "use/m@1", "relation": "distill"}])
    reasons = problem(api.delete(at("use/m", 1)), 409, "version-in-use")["reasons"]
    assert reasons == [{"kind": "alias", "name": "old"}, {"kind": "alias", "name": "older"},
                       {"kind": "child", "name": "use/child@1"}]
    assert api.get(at("use/m", 1), expect=200).json()["aliases"] == ["old", "older"]
    api.get(at("use/m", "@old"), expect=200)
    api.delete(at("use/m", 1), params={"force": "true"}, expect=200)
    for alias in ("old", "older"):
        problem(api.get(at("use/m", "@" + alias)), 404, "alias-not-found")
        problem(api.get(f"/models/use/m/aliases/{alias}"), 404, "alias-not-found")
        history = api.get(f"/models/use/m/aliases/{alias}/history").json()["history"]
        assert [entry["version"] for entry in history] == [None, 1]
    # Its child still says where it came from; aliases do not come back.
    assert api.get(at("use/child", 1)).json()["parents"][0]["ref"] == "use/m@1"
    assert api.post(at("use/m", 1) + "/restore", expect=200).json()["aliases"] == []


def test_a_deleted_child_does_not_hold_its_parent(api, problem):
    publish(api, "use/parent")
    api.publish("use/gone", {"w": DATA},
                parents=[{"ref": "use/parent@1", "relation": "merge"}])
    problem(api.delete(at("use/parent", 1)), 409, "version-in-use")
    api.delete(at("use/gone", 1), expect=200)
    api.delete(at("use/parent", 1), expect=200)


def test_a_purged_version_does_not_come_back(server, api, problem):
    publish(api, "purge/m")
    api.delete(at("purge/m", 1), expect=200)
    server.database.rows(
        "UPDATE versions v SET purged_at = now() FROM models m"
        " WHERE m.id = v.model_id AND m.full_name = 'purge/m'")
    problem(api.post(at("purge/m", 1) + "/restore"), 409, "conflict")


def test_delete_against_publish_of_a_child(server):
    """Either the child came first and the deletion is refused, or it finds no parent."""
    api = server.api()
    for number in range(12):
        publish(api, "race/parent")
        start = threading.Barrier(2)

        def child():
            caller = server.api().clone()
            start.wait()
            return caller.post("/models/race/child/versions", {
                "files": [{"path": "w", "sha256": sha256(DATA)}],
                "parents": [{"ref": f"race/parent@{number + 1}", "relation": "merge"}]})

        def delete():
            caller = server.api().clone()
            start.wait()
            return caller.delete(at("race/parent", number + 1))

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            made, deleted = pool.submit(child), pool.submit(delete)
        outcome = (made.result().status_code, deleted.result().status_code)
        assert outcome in ((201, 409), (422, 200)), outcome


# ---- invariant 8 ---------------------------------------------------------------


def test_invariant_8_a_change_shows_at_once(server, api):
    """Every read after an acknowledged change shows it, while others fill the caches."""
    publish(api, "cache/m", 2)
    paths = [at("cache/m", ref) for ref in ("@prod", "latest", "1", "2")]
    stop = threading.Event()

    def read():
        caller = server.api("reader").clone()
        while not stop.is_set():
            for path in paths:
                caller.get(path, check=False)

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    try:
        for number in range(30):
            target = number % 2 + 1
            api.put("/models/cache/m/aliases/prod", {"version": target})
            assert api.get(paths[0]).json()["version"] == target
            assert api.get(paths[2]).json()["aliases"] == (["prod"] if target == 1 else [])
            api.patch(paths[3], {"tags": {"n": str(number)}}, expect=200)
            assert api.get(paths[3]).json()["tags"] == {"n": str(number)}
            api.post(paths[2] + "/evaluations", {"metrics": {"n": number}}, expect=201)
            assert api.get(paths[2]).json()["evaluations"][0]["metrics"] == {"n": number}
        for number in range(3, 9):
            publish(api, "cache/m")
            assert api.get(paths[1]).json()["version"] == number
            api.delete(at("cache/m", number), expect=200)
            assert api.get(at("cache/m", number)).status_code == 410
            assert api.get(paths[1]).json()["version"] == 2
            api.post(at("cache/m", number) + "/restore", expect=200)
            assert api.get(paths[1]).json()["version"] == number
            api.post(at("cache/m", number) + "/yank", {"message": "m"}, expect=200)
            assert api.get(paths[1]).json()["version"] == 2
        api.delete("/models/cache/m/aliases/prod", expect=204)
        assert api.get(paths[0]).status_code == 404
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_invariant_8_repeated_reads_need_no_database(make_server, problem):
    server = make_server()
    api = server.api()
    publish(api, "away/m", 1, aliases=["prod"])
    refs = ["@prod", "latest", "1"]
    for ref in refs:
        for path in ("", "/manifest", "/files/w"):
            api.get(at("away/m", ref) + path, expect=200)
    server.database.allow_connections(False)
    try:
        for ref in refs:
            for path in ("", "/manifest", "/files/w"):
                api.get(at("away/m", ref) + path, expect=200)
        for path in ("/models", at("away/m", "2"), "/models/away/m"):
            answer = problem(api.get(path), 503, "unavailable")
        answer = api.patch(at("away/m", 1), {"description": "x"})
        problem(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    finally:
        server.database.allow_connections(True)
    api.patch(at("away/m", 1), {"description": "back"}, expect=200)
    assert api.get(at("away/m", "@prod")).json()["description"] == "back"


def test_invariant_8_repeated_reads_leave_the_database_alone(server, api):
    publish(api, "quiet/m", 1, aliases=["prod"])
    paths = [at("quiet/m", "@prod") + path for path in ("", "/manifest", "/files/w")]
    for path in paths:
        api.get(path, expect=200)

    def statements():
        return server.database.value(
            "SELECT max(query_start) FROM pg_stat_activity WHERE datname ="
            " current_database() AND application_name = 'stratad'"
            " AND query ILIKE '%versions%'")

    before = statements()
    for _ in range(20):
        for path in paths:
            api.get(path, expect=200)
    assert statements() == before
