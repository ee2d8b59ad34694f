# SPDX-License-Identifier: Apache-2.0
"""The tensors in a version's safetensors files: the index, and the bytes of one."""
import itertools
import os
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import safetensors
from support.chain import CHUNK, make_bytes, sha256
from support.stratad import sanitized

ODD = "odd/na me?#%&+\u00fc\n\u6a21.weight"
# Over a border between chunks, of one element, without any, of half bytes, of a dtype
# that nobody knows.
TENSORS = {
    "model.embed": ("BF16", [CHUNK // 2 + 300, 1], make_bytes(CHUNK + 600, "embed")),
    "model/layers/0": ("F32", [2, 3], make_bytes(24, "layer")),
    "scalar": ("I64", [], make_bytes(8, "scalar")),
    "empty": ("F16", [0, 7], b""),
    ODD: ("F4", [2, 3], make_bytes(3, "odd")),
    "later": ("F128", [9], make_bytes(5, "later")),
}
FILE = safetensors.make(TENSORS, {"format": "pt"})
BASE = "/models/acme/tensors/versions/1"
HEADER = 100_000_000  # bytes, the most that a header may have
TRUNCATED = safetensors.pack({"t": safetensors.entry("U8", [4], 0, 4)}, b"abc")


def url(name, version=BASE):
    return f"{version}/tensors/{urllib.parse.quote(name, safe='')}"


@pytest.fixture
def server(shared_server):
    if not hasattr(shared_server, "has_tensors"):
        shared_server.api().publish("acme/tensors", {
            "model.safetensors": FILE, "config.json": b"{}",
            "model.safetensors.index.json": b"{}", "x.SAFETENSORS": b"no"})
        shared_server.has_tensors = True
    return shared_server


@pytest.fixture
def version(api, numbers=itertools.count(1)):
    """Publishes these files; the version's path."""
    def publish(files):
        model = f"acme/t{next(numbers)}"
        return f"/models/{model}/versions/{api.publish(model, files)['version']}"
    return publish


def all_pages(api, path, limit):
    """[(tensors, unreadable)] of each page."""
    pages, token = [], None
    while True:
        params = {"limit": limit} | ({"page_token": token} if token else {})
        page = api.get(path + "/tensors", params=params, expect=200).json()
        assert len(page["tensors"]) + len(page["unreadable"]) <= limit
        pages.append((page["tensors"], page["unreadable"]))
        token = page["next_page_token"]
        if token is None:
            return pages


# ---- the index -----------------------------------------------------------------

def test_index(api):
    listed = api.get(BASE + "/tensors", expect=200).json()
    assert listed["next_page_token"] is None and listed["unreadable"] == []
    assert [(t["name"], t["dtype"], t["shape"], t["offset"], t["length"])
            for t in listed["tensors"]] == safetensors.read(FILE)
    assert {t["file"] for t in listed["tensors"]} == {"model.safetensors"}
    for tensor in listed["tensors"]:
        end = tensor["offset"] + tensor["length"]
        assert FILE[tensor["offset"]:end] == TENSORS[tensor["name"]][2]


def test_index_of_a_version_without_tensors(api, version):
    nothing = {"tensors": [], "unreadable": [], "next_page_token": None}
    for files in ({"config.json": b"{}"},
                  {"a.safetensors": safetensors.make({}), "b": b"1"},
                  {"a.safetensors": safetensors.make({}, {"format": "pt"})}):
        assert api.get(version(files) + "/tensors", expect=200).json() == nothing


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_pages(api, version, limit):
    def shard(number, count):
        return safetensors.make({f"s{number}.{i}": ("U8", [1], bytes([i])) for i in
                                 range(count)})
    path = version({"a/1.safetensors": shard(1, 40), "a/2.safetensors": shard(2, 0),
                    "b.txt": b"", "b.safetensors": shard(3, 23),
                    "c.safetensors": b"bad", "d.safetensors": shard(4, 40)})
    pages = all_pages(api, path, limit)
    names = [(t["file"], t["name"]) for tensors, _ in pages for t in tensors]
    assert names == [(file, f"s{number}.{i}") for file, number, count in (
        ("a/1.safetensors", 1, 40), ("b.safetensors", 3, 23), ("d.safetensors", 4, 40))
        for i in range(count)]
    assert [u["file"] for _, unreadable in pages for u in unreadable] == ["c.safetensors"]
    assert len(pages) == -(-104 // limit)


def test_page_tokens(api, version, problem):
    files = {"a.safetensors": safetensors.make(
        {str(i): ("U8", [0], b"") for i in range(3)})}
    path = version(files)
    token = api.get(path + "/tensors", params={"limit": 2}).json()["next_page_token"]
    page = api.get(path + "/tensors", params={"page_token": token}, expect=200).json()
    assert [t["name"] for t in page["tensors"]] == ["2"]
    model = path.removesuffix("/versions/1")
    latest = model + "/versions/latest/tensors"
    api.get(latest, params={"page_token": token}, expect=200)
    api.publish(model.removeprefix("/models/"), {**files, "b": b"b"})
    moved = problem(api.get(latest, params={"page_token": token}), 400, "bad-query",
                    "page_token")
    assert "another version" in moved["detail"]
    # What was not given out: "", "x", "1", "1 0", "01 0 2", "1 0 -1", "1 0 2 ".
    for bad in ("", "eA", "MQ", "MSAw", "MDEgMCAy", "MSAwIC0x", "MSAwIDIg", "!"):
        problem(api.get(path + "/tensors", params={"page_token": bad}), 400, "bad-query",
                "page_token")
    # Behind the end there is nothing ("1 99 0", "1 0 99").
    for far in ("MSA5OSAw", "MSAwIDk5"):
        page = api.get(path + "/tensors", params={"page_token": far}, expect=200).json()
        assert page["tensors"] == [] and page["next_page_token"] is None


@pytest.mark.parametrize("data, why", [
    (b"", "shorter than eight"),
    (b"1234567", "shorter than eight"),
    (safetensors.pack(b"", size=HEADER + 1), "100000000 are allowed"),
    (safetensors.pack(b"{}", size=3), "behind the end of the file"),
    (safetensors.pack(b"{}x"), "follows"),
    (safetensors.pack(b"[]"), "brace"),
    (TRUNCATED, "behind the end of the file"),
    (TRUNCATED + b"de", "no tensor"),
    (safetensors.pack(b'{"a":' + b"[" * 100_000), "no object"),
    (safetensors.pack({"t": safetensors.entry("F32", [1 << 32, 1 << 32], 0, 0)}),
     "overflows"),
])
def test_malformed_header(api, version, problem, data, why):
    good = safetensors.make({"t": ("U8", [1], b"1"), "u": ("U8", [1], b"2")})
    path = version({"bad.safetensors": data, "good.safetensors": good})
    for _ in range(2):  # read, then from the cache
        listed = api.get(path + "/tensors", expect=200).json()
        assert [t["file"] for t in listed["tensors"]] == ["good.safetensors"] * 2
        (unreadable,) = listed["unreadable"]
        assert unreadable["file"] == "bad.safetensors" and why in unreadable["detail"]
    assert api.get(path + "/tensors/u", expect=200).content == b"2"
    body = problem(api.get(path + "/tensors/t", params={"file": "bad.safetensors"}), 422,
                   "tensors-unreadable", "file")
    assert why in body["detail"]
    body = problem(api.get(path + "/tensors/v"), 404, "tensor-not-found")
    assert body["unreadable"] == ["bad.safetensors"]


# ---- one tensor ----------------------------------------------------------------

@pytest.mark.parametrize("name", TENSORS)
def test_bytes(api, name):
    data = TENSORS[name][2]
    response = api.get(url(name), expect=200)
    assert response.content == data
    assert response.headers["Content-Length"] == str(len(data))
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Strata-Tier"] == "hot"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox"
    assert "Repr-Digest" not in response.headers
    assert "immutable" not in response.headers["Cache-Control"]
    assert api.get(url(name), params={"file": "model.safetensors"}).content == data
    head = api.head(url(name), expect=200)
    assert head.content == b""
    for field in ("ETag", "Content-Length", "Content-Type", "Strata-Tier",
                  "Content-Disposition", "Cache-Control"):
        assert head.headers[field] == response.headers[field]


def test_slashes_need_no_encoding(api):
    assert api.get(BASE + "/tensors/model/layers/0", expect=200).content == (
        TENSORS["model/layers/0"][2])


@pytest.mark.parametrize("value, begin, end", [
    ("bytes=0-0", 0, 1), ("bytes=5-", 5, 24), ("bytes=-1", 23, 24), ("bytes=-99", 0, 24),
    ("bytes=20-99", 20, 24), ("bytes=3-9,5-12", 3, 13),
])
def test_range(api, value, begin, end):
    data = TENSORS["model/layers/0"][2]
    response = api.get(url("model/layers/0"), headers={"Range": value}, expect=206)
    assert response.content == data[begin:end]
    assert response.headers["Content-Range"] == f"bytes {begin}-{end - 1}/24"


def test_ranges(api, problem):
    data = TENSORS["model.embed"][2]
    response = api.get(url("model.embed"), expect=206,
                       headers={"Range": f"bytes=0-3,{CHUNK - 100}-{CHUNK + 99},-2"})
    assert response.headers["Content-Type"].startswith("multipart/byteranges")
    for begin, end in ((0, 4), (CHUNK - 100, CHUNK + 100), (len(data) - 2, len(data))):
        assert (f"Content-Range: bytes {begin}-{end - 1}/{len(data)}\r\n\r\n".encode()
                + data[begin:end] + b"\r\n--") in response.content
    # The next tensor's bytes are not this one's.
    for value in (f"bytes={len(data)}-", "bytes=" + ",".join(f"{n * 9}-{n * 9}"
                                                            for n in range(65))):
        response = api.get(url("model.embed"), headers={"Range": value})
        problem(response, 416, "range-not-satisfiable")
        assert response.headers["Content-Range"] == f"bytes */{len(data)}"
    response = api.get(url("empty"), headers={"Range": "bytes=0-"})
    problem(response, 416, "range-not-satisfiable")


def test_conditions(api, problem):
    etags = [api.head(url(name)).headers["ETag"] for name in TENSORS]
    assert len(set(etags)) == len(etags)
    etag = etags[1]
    assert sha256(FILE) in etag and not etag.startswith("W/")
    path = url("model/layers/0")
    response = api.get(path, headers={"If-None-Match": f'"x", {etag}'}, expect=304)
    assert response.content == b"" and response.headers["ETag"] == etag
    api.get(path, headers={"If-None-Match": etags[0]}, expect=200)
    api.get(path, headers={"If-None-Match": f'"{sha256(FILE)}"'}, expect=200)
    api.get(path, headers={"If-Match": etag}, expect=200)
    problem(api.get(path, headers={"If-Match": etags[0]}), 412, "precondition-failed")
    ranged = {"Range": "bytes=0-1"}
    assert api.get(path, headers={**ranged, "If-Range": etag}).status_code == 206
    assert api.get(path, headers={**ranged, "If-Range": etags[0]}).status_code == 200
    head = api.head(path, headers=ranged, expect=200)
    assert head.headers["Content-Length"] == "24"


def test_tensor_is_offered_under_its_name(api):
    headers = api.get(url("model.embed")).headers
    assert headers["Content-Disposition"] == 'attachment; filename="model.embed"'
    headers = api.get(url(ODD)).headers
    assert headers["Content-Disposition"] == (
        'attachment; filename="na me?#_&+______.weight"; '
        "filename*=UTF-8''na%20me%3F#%25&+%C3%BC%0A%E6%A8%A1.weight")


def test_ambiguous_name(api, version, problem):
    path = version({
        "b.safetensors": safetensors.make({"t": ("U8", [1], b"b"), "o": ("U8", [0], b"")}),
        "a/a.safetensors": safetensors.make({"t": ("U8", [1], b"a")}),
        "c.safetensors": safetensors.make({"u": ("U8", [1], b"c")})})
    body = problem(api.get(path + "/tensors/t"), 409, "tensor-ambiguous", "file")
    assert body["files"] == ["a/a.safetensors", "b.safetensors"]
    for file, data in (("a/a.safetensors", b"a"), ("b.safetensors", b"b")):
        assert api.get(path + "/tensors/t", params={"file": file}).content == data
    assert api.get(path + "/tensors/u", expect=200).content == b"c"
    body = problem(api.get(path + "/tensors/u", params={"file": "b.safetensors"}), 404,
                   "tensor-not-found")
    assert "unreadable" not in body


@pytest.mark.parametrize("name, file, status, slug", [
    ("nothing", None, 404, "tensor-not-found"),
    ("model.embe", None, 404, "tensor-not-found"),
    ("__metadata__", None, 404, "tensor-not-found"),
    ("x" * 3000, None, 404, "tensor-not-found"),
    ("scalar", "none.safetensors", 404, "file-not-found"),
    ("scalar", "config.json", 422, "invalid-field"),
    ("scalar", "x.SAFETENSORS", 422, "invalid-field"),
    ("scalar", "../model.safetensors", 422, "invalid-path"),
    ("scalar", "", 422, "invalid-path"),
])
def test_what_is_not_there(api, problem, name, file, status, slug):
    params = {} if file is None else {"file": file}
    problem(api.get(url(name), params=params), status, slug,
            None if file is None else "file")


@pytest.mark.parametrize("more", ["", "/scalar"])
def test_versions_that_are_not_there(api, version, problem, more):
    for ref, status, slug in (("2", 404, "version-not-found"),
                              ("@prod", 404, "alias-not-found"),
                              ("prod", 422, "invalid-name")):
        problem(api.get(f"/models/acme/tensors/versions/{ref}/tensors{more}"), status,
                slug)
    problem(api.get(f"/models/acme/ghost/versions/1/tensors{more}"), 404,
            "model-not-found")
    path = version({"m.safetensors": FILE})
    api.get(f"{path}/tensors{more}", expect=200)
    api.delete(path, expect=200)
    problem(api.get(f"{path}/tensors{more}"), 410, "version-deleted")


def test_other_methods_and_queries(api, problem):
    for path in (BASE + "/tensors", url("scalar")):
        response = api.put(path, json={})
        problem(response, 405, "method-not-allowed")
        assert response.headers["Allow"] == "GET, HEAD"
    problem(api.get(BASE + "/tensors", params={"file": "a"}), 400, "bad-query")
    problem(api.get(url("scalar"), params={"limit": "1"}), 400, "bad-query")
    problem(api.get(BASE + "/tensors", params={"limit": "1001"}), 422, "invalid-field")


# ---- much ----------------------------------------------------------------------

def test_many_tensors(api, version):
    names = [f"model.layers.{i}.mlp.experts.{i % 97}.weight" for i in range(20_000)]
    path = version({"m.safetensors": safetensors.make(
        {name: ("U8", [2], i.to_bytes(2, "big")) for i, name in enumerate(names)})})
    pages = all_pages(api, path, 1000)
    assert [t["name"] for tensors, _ in pages for t in tensors] == names
    assert len(pages) == 20
    for i in (0, 777, 19_999):
        assert api.get(url(names[i], path)).content == i.to_bytes(2, "big")


@pytest.fixture
def large(make_server):
    """A server that keeps no index, with a header as large as the format allows."""
    server = make_server(max_blob_size=1 << 30, tensor_cache=0)
    tensor = b'"t":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}'
    begin, end = b'{"__metadata__":{"a":"', b'"},'
    text = begin + b"x" * (HEADER - len(begin + end + tensor)) + end + tensor
    assert len(text) == HEADER
    server.api().publish("acme/large", {"m.safetensors": safetensors.pack(text, b"abc")})
    return server


def test_largest_header(large):
    path = "/models/acme/large/versions/1/tensors"
    before = large.rss_anon()
    with large.watch_memory() as samples:
        (tensor,) = large.api().get(path, expect=200).json()["tensors"]
    assert tensor["offset"] == HEADER + 8
    assert large.api().get(path + "/t", expect=200).content == b"abc"
    assert max(samples) < before + 5 * HEADER
    if not sanitized():  # which keeps for a while what was freed
        assert large.rss_anon() < before + (40 << 20)


def test_many_large_headers_at_once(large):
    """One is read at a time; the others are told to come again."""
    before = large.rss_anon()
    apis = [large.api().clone() for _ in range(8)]
    path = "/models/acme/large/versions/1/tensors"
    with large.watch_memory() as samples, ThreadPoolExecutor(len(apis)) as pool:
        answers = list(pool.map(lambda api: api.get(path), apis))
    statuses = {answer.status_code for answer in answers}
    assert 200 in statuses and statuses <= {200, 503}
    for answer in answers:
        if answer.status_code == 200:
            assert [tensor["name"] for tensor in answer.json()["tensors"]] == ["t"]
        else:
            assert answer.json()["type"].endswith(":unavailable")
            assert answer.headers["Retry-After"] == "1"
    assert max(samples) < before + 5 * HEADER
    large.api().get(path, expect=200)


def test_no_descriptor_is_left_open(make_server):
    server = make_server(tensor_cache=0)
    api = server.api()
    api.publish("acme/open", {"m.safetensors": FILE, "n.safetensors": b"bad"})
    path = "/models/acme/open/versions/1/tensors"

    def descriptors():
        for more in ("", "/scalar", "/none"):
            api.get(path + more)
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))
    before = descriptors()
    assert {descriptors() for _ in range(10)} == {before}


def test_too_many_files_to_look_through(api, version, problem):
    one = api.put_blob(safetensors.make({"t": ("U8", [1], b"t")}))
    none = api.put_blob(safetensors.make({}))
    files = {f"{i:04}.safetensors": none for i in range(1024)}
    path = version({**files, "0500.safetensors": one})
    assert api.get(path + "/tensors/t", expect=200).content == b"t"
    path = version({**files, "last.safetensors": one})
    problem(api.get(path + "/tensors/t"), 422, "invalid-field", "file")
    assert api.get(path + "/tensors/t", params={"file": "last.safetensors"}).content == b"t"
    pages = all_pages(api, path, 1000)
    assert [[t["name"] for t in tensors] for tensors, _ in pages] == [[], ["t"]]


def test_file_that_is_lost(make_server, problem):
    """What cannot be read is not told apart from malformed: it is away, and no index of
    it is kept."""
    server = make_server()
    server.is_damaged = True
    api = server.api()
    digest = sha256(FILE)
    api.publish("acme/lost", {"m.safetensors": FILE, "n.safetensors": safetensors.make({})})
    (file,) = server.data.glob(f"hot/sha256/{digest[:2]}/{digest}.*")
    away = server.folder / "away"
    os.rename(file, away)
    server.restart()
    api = server.api()
    path = "/models/acme/lost/versions/1/tensors"
    for more in ("", "/scalar"):
        problem(api.get(path + more), 503, "unavailable")
    os.rename(away, file)
    assert len(api.get(path, expect=200).json()["tensors"]) == len(TENSORS)
    assert api.get(path + "/scalar", expect=200).content == TENSORS["scalar"][2]
