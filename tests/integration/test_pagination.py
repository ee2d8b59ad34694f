# SPDX-License-Identifier: Apache-2.0
"""Lists: paged by key, bounded, and stable while rows come."""
import pytest

from support.chain import make_bytes

MODELS = 105  # more than the default page
VERSIONS = 7
LISTS = {
    "models": "/models",
    "versions": "/models/many/model-000/versions",
    "aliases": "/models/many/model-000/aliases",
    "history": "/models/many/model-000/aliases/moving/history",
    "tokens": "/tokens",
}


@pytest.fixture
def server(shared_server):
    if not getattr(shared_server, "is_filled", False):
        api = shared_server.api("admin")
        for number in range(MODELS):
            api.post("/models", {"model": f"many/model-{number:03d}"}, expect=201)
        digest = api.put_blob(make_bytes(10, "pages"))
        for number in range(1, VERSIONS + 1):
            api.publish("many/model-000", {"f": digest})
            base = "/models/many/model-000/aliases"
            api.put(f"{base}/moving", {"version": number})
            api.put(f"{base}/fixed-{number}", {"version": number}, expect=201)
            api.create_token(f"principal-{number}", "reader")
        shared_server.is_filled = True
    return shared_server


def walk(api, plural, limit):
    """All items, page by page; every page but the last is full."""
    items, token, pages = [], None, 0
    while True:
        parameters = {"limit": limit, **({"page_token": token} if token else {})}
        page = api.get(LISTS[plural], params=parameters, expect=200).json()
        items += page[plural]
        pages += 1
        token = page["next_page_token"]
        if token is None:
            return items, pages
        assert len(page[plural]) == limit


@pytest.mark.parametrize("plural", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_add_up(api, plural, limit):
    whole, pages = walk(api, plural, 1000)
    assert pages == 1 and len(whole) >= VERSIONS
    items, pages = walk(api, plural, limit)
    assert items == whole
    assert pages in (-(-len(whole) // limit), len(whole) // limit + 1)


def test_default_limit_is_100(api):
    page = api.get("/models", expect=200).json()
    assert len(page["models"]) == 100 and page["next_page_token"]


def test_order(api):
    models = [entry["model"] for entry in walk(api, "models", 50)[0]]
    assert models == sorted(models) and len(models) == MODELS
    versions = [entry["version"] for entry in walk(api, "versions", 2)[0]]
    assert versions == list(range(VERSIONS, 0, -1))
    aliases = [entry["alias"] for entry in walk(api, "aliases", 2)[0]]
    assert aliases == sorted(aliases) and len(aliases) == VERSIONS + 1
    history = [entry["version"] for entry in walk(api, "history", 2)[0]]
    assert history == list(range(VERSIONS, 0, -1))
    tokens = {entry["principal"] for entry in walk(api, "tokens", 2)[0]}
    assert tokens >= {f"principal-{number}" for number in range(1, VERSIONS + 1)}


@pytest.mark.parametrize("plural", LISTS)
@pytest.mark.parametrize("limit", ["0", "1001", "-1", "99999999999999999999"])
def test_limit_out_of_range(api, problem, plural, limit):
    response = api.get(LISTS[plural], params={"limit": limit})
    problem(response, 422, "invalid-field", field="limit")


@pytest.mark.parametrize("plural", LISTS)
@pytest.mark.parametrize("limit", ["", "ten", "1.5", "1e2", " 1", "0x10"])
def test_limit_that_does_not_parse(api, problem, plural, limit):
    problem(api.get(LISTS[plural], params={"limit": limit}), 400, "bad-query")


@pytest.mark.parametrize("plural", LISTS)
@pytest.mark.parametrize("token", ["", "x", "!!!!", "A" * 2000, "-1", "%ff", "..", "e30="])
def test_page_token_that_the_server_did_not_make(api, problem, plural, token):
    problem(api.get(LISTS[plural], params={"page_token": token}), 400, "bad-query")


@pytest.mark.parametrize("plural", LISTS)
def test_page_token_of_another_list(api, problem, plural):
    """A key of another kind is refused; one of the same kind is only a place to go on
    from. Neither is an internal error."""
    for other, path in LISTS.items():
        token = api.get(path, params={"limit": 2}, expect=200).json()["next_page_token"]
        response = api.get(LISTS[plural], params={"page_token": token})
        if response.status_code != 200:
            assert other != plural
            problem(response, 400, "bad-query")


def test_tampered_page_token(api, problem):
    token = api.get("/models", params={"limit": 2}).json()["next_page_token"]
    for bad in (token + "A=", token[:4] + "!" + token[5:], token + "\0"):
        problem(api.get("/models", params={"page_token": bad}), 400, "bad-query")


def test_rows_that_come_between_pages(make_server):
    """Paging by key: a row before the cursor shifts nothing, one behind it is seen."""
    api = make_server().api("admin")
    for name in ("b", "d", "f"):
        api.post("/models", {"model": f"x/{name}"}, expect=201)
    first = api.get("/models", params={"limit": 2}, expect=200).json()
    for name in ("a", "e"):
        api.post("/models", {"model": f"x/{name}"}, expect=201)
    second = api.get("/models", expect=200, params={
        "limit": 5, "page_token": first["next_page_token"]}).json()
    assert [m["model"] for m in first["models"]] == ["x/b", "x/d"]
    assert [m["model"] for m in second["models"]] == ["x/e", "x/f"]
    assert second["next_page_token"] is None


def test_empty_lists(make_server):
    api = make_server().api("admin")
    assert api.get("/models", expect=200).json() == {
        "models": [], "next_page_token": None}
    api.post("/models", {"model": "x/y"}, expect=201)
    for plural in ("versions", "aliases"):
        assert api.get(f"/models/x/y/{plural}", expect=200).json() == {
            plural: [], "next_page_token": None}
