# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear 4xx that names the field, and changes nothing: not a row of any
table, not a file of any tier."""
import json
import urllib.parse

import pytest

from support.chain import CHUNK, chain_of, make_bytes, sha256

DATA = make_bytes(3000, "bad input")
DIGEST = sha256(DATA)
BIG = make_bytes(CHUNK + 10, "chain")
TIME = "2100-01-01T00:00:00Z"
NET = "/models/acme/net"
INVALID, UNKNOWN, NAME = "invalid-field", "unknown-field", "invalid-name"
PATH, TWICE = "invalid-path", "path-conflict"


@pytest.fixture
def server(shared_server):
    """With one published version, one blob without a version and one open upload."""
    if not hasattr(shared_server, "upload"):
        api = shared_server.api("admin")
        api.publish("acme/net", {"w": DATA})
        api.put("/models/acme/net/aliases/prod", {"version": 1}, expect=201)
        shared_server.upload = api.begin_upload(make_bytes(CHUNK + 5, "open"))
    return shared_server


@pytest.fixture
def refused(server, api, problem):
    """Sends a request that must be refused and must leave everything as it was. `slug`
    None: any, the field is what counts. JSON with a NUL may be refused as JSON."""

    def send(method, path, body, status, slug, field=None, **options):
        before = server.state()
        response = api.request(method, path, json=body, **options)
        assert server.state() == before
        if "\\u0000" in json.dumps(body) and response.status_code == 400:
            return problem(response, 400, "bad-json")
        if slug is None:
            slug = response.json()["type"].rpartition(":")[2]
        return problem(response, status, slug, field=field)

    return send


def merge(body, changes):
    """`body` with some members replaced; `...` as a value removes one."""
    merged = {**body, **changes}
    return {key: value for key, value in merged.items() if value is not ...}


def not_a(*kinds):
    """Values that are of none of these JSON types."""
    values = {"string": "text", "integer": 7, "fraction": 1.5, "object": {"x": 1},
              "array": [1], "boolean": True, "null": None}
    return [value for kind, value in values.items() if kind not in kinds]


def wrong(field, kinds, template=None, slug=INVALID):
    """Cases of a wrong type: (changes, slug, field)."""
    return [(merge({}, {field: value}), slug, field) for value in not_a(*kinds)]


def too_deep(value):
    for _ in range(100):
        value = {"x": value}
    return value


def check(refused, method, path, good, cases):
    changes, slug, field = cases
    refused(method, path, merge(good, changes), 422, slug, field)


def ids(case):
    return f"{case[2]}={str(case[0])[:50]}"


# ---- uploads -----------------------------------------------------------------

UPLOAD = {"size": 1000, "sha256": "ab" * 32}
UPLOADS = [
    ({"size": ...}, INVALID, "size"),
    *wrong("size", ["integer"]),
    ({"size": -1}, INVALID, "size"),
    ({"size": (1 << 40) + 1}, INVALID, "size"),
    ({"size": 1 << 62}, INVALID, "size"),
    *wrong("sha256", ["string", "null"]),
    ({"sha256": ""}, INVALID, "sha256"),
    ({"sha256": "AB" * 32}, INVALID, "sha256"),
    ({"sha256": "ab" * 31}, INVALID, "sha256"),
    ({"sha256": "ab" * 33}, INVALID, "sha256"),
    ({"sha256": "zz" * 32}, INVALID, "sha256"),
    *wrong("tier", ["string", "null"]),
    ({"tier": "warm"}, "tier-unavailable", "tier"),
    ({"tier": "cold"}, "tier-unavailable", "tier"),
    ({"tier": "lukewarm"}, None, "tier"),
    ({"tier": ""}, None, "tier"),
    *wrong("chain", ["object", "null"]),
    ({"chain": {}}, INVALID, None),
    ({"chain": {"states": []}}, INVALID, None),
    ({"chain": {"states": "ab" * 32}}, INVALID, None),
    ({"chain": {"states": [7]}}, INVALID, None),
    ({"chain": {"states": ["xy" * 32]}}, INVALID, None),
    ({"chain": {"states": ["ab" * 32, "ab" * 32]}}, INVALID, None),
    ({"chain": {"states": ["cd" * 32]}}, INVALID, None),
    ({"chain": {"states": ["ab" * 32], "more": 1}}, None, None),
    ({"more": 1}, UNKNOWN, "more"),
    ({"Size": 1000}, UNKNOWN, "Size"),
]


@pytest.mark.parametrize("case", UPLOADS, ids=ids)
def test_upload(refused, case):
    changes, slug, field = case
    body = refused("POST", "/uploads", merge(UPLOAD, changes), 422, slug)
    assert body.get("field") and (field is None or body["field"] == field), body


def test_upload_of_size_over_the_limit(make_server, problem):
    server = make_server(max_blob_size="8M")
    before = server.state()
    response = server.api().post("/uploads", {"size": (8 << 20) + 1})
    assert response.status_code in (413, 422), response.text
    assert server.state() == before
    server.api().post("/uploads", {"size": 8 << 20}, expect=201)


def test_known_blob_with_another_size(refused):
    """The digest is of a blob that is here, the size is not its size."""
    refused("POST", "/uploads", {"size": len(DATA) + 1, "sha256": DIGEST}, 422, INVALID,
            "size")


@pytest.mark.parametrize("number, status", [
    ("2", 422), ("99999", 422), ("100000", 422), ("-1", 422), ("x", 422), ("1.0", 422),
    ("01", 422), ("99999999999999999999", 422),
])
def test_part_number(server, api, number, status):
    before = server.state()
    response = api.put(f"/uploads/{server.upload['id']}/parts/{number}", data=b"12345")
    assert response.status_code == status, response.text
    assert server.state() == before


@pytest.mark.parametrize("size", [0, 1, 4, 6, CHUNK])
def test_part_of_a_wrong_length(make_server, problem, size):
    server = make_server()
    api = server.api()
    upload = api.begin_upload(make_bytes(5, "five"))
    before = server.state()
    response = api.put(f"/uploads/{upload['id']}/parts/0", data=bytes(size))
    problem(response, 400, "body-length-mismatch")
    assert server.state()["rows"] == before["rows"]
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []


def test_blob_with_another_digest(refused):
    refused("PUT", f"/blobs/{'0' * 64}", None, 422, "digest-mismatch", data=DATA)
    refused("PUT", f"/blobs/{sha256(b'')}", None, 422, "digest-mismatch", data=DATA)


@pytest.mark.parametrize("name", ["A" * 64, "a" * 63, "a" * 65, "x" * 64, "%20" + "a" * 63])
def test_blob_name(refused, name):
    refused("PUT", f"/blobs/{name}", None, 422, INVALID, data=DATA)


def test_part_that_does_not_fit_its_chain(make_server, problem):
    server = make_server()
    api = server.api()
    upload = api.begin_upload(BIG, chained=True)
    before = server.state()["rows"]
    response = api.put_part(upload, bytes(len(BIG)), 0)
    problem(response, 422, "digest-mismatch")
    assert server.state()["rows"] == before
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []
    api.put_part(upload, BIG, 0, expect=204)


def test_content_digest(make_server, problem):
    server = make_server()
    api = server.api()
    upload = api.begin_upload(BIG)
    wrong_digest = {"Content-Digest": "sha-256=:" + "A" * 43 + "=:"}
    problem(api.put_part(upload, BIG, 0, headers=wrong_digest), 422, "digest-mismatch")
    for value in ("sha-256", "sha-256=::", "sha-256=:AAAA:", "sha-256=x", "sha-256=:!:"):
        response = api.put_part(upload, BIG, 0, headers={"Content-Digest": value})
        problem(response, 400, "bad-request")
    assert api.get(f"/uploads/{upload['id']}").json()["received"] == []


def test_complete_with_missing_parts(server, api, refused):
    body = refused("POST", f"/uploads/{server.upload['id']}/complete", None, 409,
                   "parts-missing")
    assert body["parts"] == [0]


def test_upload_whose_whole_has_another_digest(make_server, problem):
    server = make_server()
    api = server.api()
    body = {"size": len(BIG), "sha256": "ab" * 32}
    upload = api.post("/uploads", body, expect=201).json()
    for number in range(-(-len(BIG) // upload["part_size"])):
        response = api.put_part(upload, BIG, number)
        if response.status_code != 204:
            problem(response, 422, "digest-mismatch")
            break
    response = api.complete(upload)
    assert response.status_code in (409, 422), response.text
    assert server.database.value("SELECT count(*) FROM blobs") == 0
    assert not [path for path in server.tier_files() if "/sha256/" in path]


# ---- publish -----------------------------------------------------------------

FILE = {"path": "a.bin", "sha256": DIGEST}
PUBLISH = {"files": [FILE]}


def with_file(changes, slug, field):
    return {"files": [merge(FILE, changes)]}, slug, field


def entry(member, value, slug, field=None):
    return {member: value}, slug, field or member


PUBLISHES = [
    ({"files": ...}, INVALID, "files"),
    *wrong("files", ["array"]),
    entry("files", [], INVALID),
    *[entry("files", [value], INVALID, "files[0]") for value in not_a("object")],
    with_file({"path": ...}, INVALID, "files[0].path"),
    with_file({"sha256": ...}, INVALID, "files[0].sha256"),
    *[with_file({"path": value}, INVALID, "files[0].path") for value in not_a("string")],
    *[with_file({"sha256": value}, INVALID, "files[0].sha256")
      for value in not_a("string")],
    with_file({"sha256": "AB" * 32}, INVALID, "files[0].sha256"),
    with_file({"sha256": "sha256:" + "ab" * 32}, INVALID, "files[0].sha256"),
    *[with_file({"media_type": value}, INVALID, "files[0].media_type")
      for value in not_a("string", "null")],
    *[with_file({"media_type": value}, INVALID, "files[0].media_type")
      for value in ("", "text", "text/", "/x", "a b/c", "text/x\r\nX: y", "a/" + "b" * 300)],
    with_file({"size": 3000}, UNKNOWN, "files[0].size"),
    entry("files", [FILE, merge(FILE, {"more": 1})], UNKNOWN, "files[1].more"),
    *wrong("parents", ["array", "null"]),
    *[entry("parents", [value], INVALID, "parents[0]") for value in not_a("object")],
    entry("parents", [{"relation": "merge"}], INVALID, "parents[0]"),
    entry("parents", [{"ref": "acme/net@1"}], INVALID, "parents[0].relation"),
    entry("parents", [{"ref": "acme/net@1", "uri": "hf:a/b", "relation": "merge"}],
          INVALID, "parents[0]"),
    entry("parents", [{"ref": "acme/net@1", "relation": "cousin"}], INVALID,
          "parents[0].relation"),
    entry("parents", [{"ref": 7, "relation": "merge"}], INVALID, "parents[0].ref"),
    entry("parents", [{"uri": "", "relation": "merge"}], INVALID, "parents[0].uri"),
    entry("parents", [{"uri": "x" * 2049, "relation": "merge"}], INVALID,
          "parents[0].uri"),
    *[entry("parents", [{"ref": ref, "relation": "merge"}], NAME, "parents[0].ref")
      for ref in ("", "net", "acme/net@", "acme/net@01", "a/b/c@1", "acme/net@sha256:ab",
                  "acme/net@a b", "../net@1", "acme/net@1@2")],
    *[entry("parents", [{"ref": ref, "relation": "merge"}], "parent-not-found",
            "parents[0].ref")
      for ref in ("acme/net@2", "acme/none@1", "acme/net@staging", "none/none",
                  "acme/net@sha256:" + "ab" * 32)],
    entry("parents", [{"uri": "hf:a/b", "relation": "merge", "x": 1}], UNKNOWN,
          "parents[0].x"),
    entry("parents", [{"uri": "hf:a/b", "relation": "merge"}] * 65, INVALID),
    *wrong("datasets", ["array", "null"]),
    entry("datasets", [{}], INVALID, "datasets[0].uri"),
    entry("datasets", [{"uri": 1}], INVALID, "datasets[0].uri"),
    entry("datasets", [{"uri": "s3://x", "sha256": "x"}], INVALID, "datasets[0].sha256"),
    entry("datasets", [{"uri": "s3://x", "name": 1}], INVALID, "datasets[0].name"),
    entry("datasets", [{"uri": "s3://x", "name": "n" * 256}], INVALID, "datasets[0].name"),
    entry("datasets", [{"uri": "s3://x", "x": 1}], UNKNOWN, "datasets[0].x"),
    entry("datasets", [{"uri": "s3://x"}] * 257, INVALID),
    *wrong("run", ["object", "null"]),
    entry("run", {}, INVALID, "run.id"),
    entry("run", {"id": 4711}, INVALID, "run.id"),
    entry("run", {"id": ""}, INVALID, "run.id"),
    entry("run", {"id": "x" * 256}, INVALID, "run.id"),
    entry("run", {"id": "1", "url": 1}, INVALID, "run.url"),
    entry("run", {"id": "1", "system": []}, INVALID, "run.system"),
    entry("run", {"id": "1", "x": 1}, UNKNOWN, "run.x"),
    *wrong("code", ["object", "null"]),
    entry("code", {"repository": "r"}, INVALID, "code.commit"),
    entry("code", {"commit": "c"}, INVALID, "code.repository"),
    entry("code", {"repository": 1, "commit": "c"}, INVALID, "code.repository"),
    entry("code", {"repository": "r", "commit": "c", "dirty": "no"}, INVALID,
          "code.dirty"),
    entry("code", {"repository": "r", "commit": "c", "x": 1}, UNKNOWN, "code.x"),
    *wrong("params", ["object", "null"]),
    *[entry("params", {"p": value}, INVALID, "params.p") for value in (None, [1], {"x": 1})],
    entry("params", {"": 1}, INVALID, None),
    entry("params", {"k" * 257: 1}, INVALID, None),
    entry("params", {"p": "v" * 4097}, INVALID, "params.p"),
    entry("params", {f"p{n}": n for n in range(1001)}, INVALID),
    *wrong("metrics", ["object", "null"]),
    *[entry("metrics", {"m": value}, INVALID, "metrics.m")
      for value in (None, True, [1], {"x": 1}, "0.5", "nan", "inf", "Infinit", "+Infinity")],
    entry("metrics", {"": 1}, INVALID, None),
    entry("metrics", {"k" * 257: 1}, INVALID, None),
    entry("metrics", {f"m{n}": n for n in range(1001)}, INVALID),
    *wrong("tags", ["object", "null"]),
    *[entry("tags", {"t": value}, INVALID, "tags.t") for value in (1, True, None, ["x"])],
    entry("tags", {"": "x"}, INVALID, None),
    entry("tags", {"k" * 129: "x"}, INVALID, None),
    entry("tags", {"t": "v" * 4097}, INVALID, "tags.t"),
    entry("tags", {f"t{n}": "x" for n in range(257)}, INVALID),
    *wrong("description", ["string", "null"]),
    entry("description", "x" * 65537, INVALID),
    entry("description", "\0", INVALID),
    *wrong("aliases", ["array", "null"]),
    entry("aliases", [7], INVALID, "aliases[0]"),
    *[entry("aliases", [name], NAME, "aliases[0]")
      for name in ("", "7", "latest", "a/b", "-x", ".x", "a b", "x" * 97, "ä", "@prod")],
    entry("aliases", ["a", "b", "a"], INVALID, "aliases[2]"),
    entry("aliases", [f"a{n}" for n in range(17)], INVALID),
    *wrong("idempotency_key", ["string", "null"]),
    entry("idempotency_key", "", INVALID),
    entry("idempotency_key", "k" * 256, INVALID),
    entry("more", 1, UNKNOWN),
    entry("Files", [], UNKNOWN),
    entry("version", 2, UNKNOWN),
]


def fits(found, field):
    """The field that was named is the one meant, or a place within it."""
    if field is None:
        return bool(found)
    return found == field or found.startswith((field + ".", field + "["))


@pytest.mark.parametrize("case", PUBLISHES, ids=ids)
def test_publish(refused, case):
    changes, slug, field = case
    for model in ("acme/net", "new/model"):
        body = refused("POST", f"/models/{model}/versions", merge(PUBLISH, changes), 422,
                       slug)
        assert body["status"] == 400 or fits(body.get("field"), field), body


def test_publish_with_missing_blobs(refused):
    missing = [f"{number:064x}" for number in (1, 2)]
    files = [FILE, *({"path": name, "sha256": name} for name in missing)]
    body = refused("POST", "/models/new/model/versions", {"files": files}, 409,
                   "blobs-missing")
    assert sorted(body["digests"]) == missing


def test_idempotency_key_with_another_body(api, refused):
    api.publish("acme/keyed", {"w": DIGEST}, idempotency_key="once")
    refused("POST", "/models/acme/keyed/versions",
            {"files": [{"path": "v", "sha256": DIGEST}], "idempotency_key": "once"}, 409,
            "idempotency-conflict")


UNSAFE_PATHS = [
    "", "/", "/a", "//a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..",
    "a/../b", "...//..", "a/b/../../..", "\t", "a\nb", "a\rb", "a\x1bb", "a\x7fb",
    "a\x80b", "a\x9fb", "a\0", "\0", "a\0b", "e\u0301.bin", "A\u030a/x", "\u212b",
    "x" * 1025, "ä" * 513, "a/" * 512 + "a",
]


@pytest.mark.parametrize("path", UNSAFE_PATHS, ids=ascii)
def test_unsafe_path(refused, path):
    for files in ([{"path": path, "sha256": DIGEST}],
                  [FILE, {"path": path, "sha256": DIGEST}]):
        for model in ("acme/net", "new/model"):
            body = refused("POST", f"/models/{model}/versions", {"files": files}, 422, PATH)
            assert body["status"] == 400 or (
                body["field"] == f"files[{len(files) - 1}].path")


@pytest.mark.parametrize("path", [
    b"a\xff", b"\xc0\xae\xc0\xae/a", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\x80",
    b"\xe2\x82",
])
def test_path_that_is_no_utf8(server, api, problem, path):
    before = server.state()
    body = b'{"files":[{"path":"' + path + b'","sha256":"' + DIGEST.encode() + b'"}]}'
    response = api.post(NET + "/versions", data=body,
                        headers={"Content-Type": "application/json"})
    problem(response, 400, "bad-json")
    assert server.state() == before


@pytest.mark.parametrize("paths, index", [
    (["a", "a"], 1), (["a", "b", "a"], 2), (["a", "a/b"], None), (["a/b", "a"], None),
    (["a/b/c", "a/b"], None), (["x", "a/b", "a-b", "a", "y"], None),
    (["a/b", "a.b", "a/b/c"], None), (["é", "é/x"], None),
])
def test_conflicting_paths(refused, paths, index):
    files = [{"path": path, "sha256": DIGEST} for path in paths]
    body = refused("POST", NET + "/versions", {"files": files}, 422, TWICE)
    assert body["field"].startswith("files[") and body["field"].endswith(".path")
    if index is not None:
        assert body["field"] == f"files[{index}].path"


@pytest.mark.parametrize("path", [
    "a", "a/b/c/d", ".hidden", "..a", "a..", "...", "a b", " a ", "a\\b", "C:\\x", "~",
    "-rf", "a:b", "*", "ä/ö", "日本/語", "\N{GRINNING FACE}", "x" * 1024, "ä" * 512,
    "'; DROP TABLE versions; --", "%2e%2e", "a?b#c", "con", "a\u200db",
], ids=ascii)
def test_path_that_is_fine(api, path):
    """The other side: what must not be refused, and comes back as it was."""
    version = api.publish("acme/paths", {path: DIGEST})
    assert [entry["path"] for entry in version["files"]] == [path]
    url = f"/models/acme/paths/versions/{version['version']}/files/"
    assert api.get(url + urllib.parse.quote(path), expect=200).content == DATA


NAMES = ["", "-a", ".a", "_a", "a b", "a/b", "ä", "a\0", "a\n", "x" * 97, "a@b", "a:b",
         "a%b", "..", "."]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_model_name(refused, name):
    for model in (f"{name}/net", f"acme/{name}"):
        if model.count("/") != 1:
            continue
        body = refused("POST", "/models", {"model": model}, 422, NAME)
        assert body["status"] == 400 or body["field"] == "model"


MODELS = [
    ({"model": ...}, None, "model"),
    *wrong("model", ["string"]),
    *[({"model": name}, NAME, "model") for name in ("net", "a/b/c", "/net", "acme/")],
    *wrong("description", ["string", "null"]),
    ({"description": "x" * 65537}, INVALID, "description"),
    ({"more": 1}, UNKNOWN, "more"),
    ({"versions": 1}, UNKNOWN, "versions"),
]


@pytest.mark.parametrize("case", MODELS, ids=ids)
def test_model(refused, case):
    check(refused, "POST", "/models", {"model": "acme/new"}, case)


@pytest.mark.parametrize("model", ["acme/net", "acme/NET", "ACME/net"])
def test_model_that_exists(refused, model):
    refused("POST", "/models", {"model": model}, 409, "model-exists")


@pytest.mark.parametrize("path", [NET, NET + "/versions/1"])
@pytest.mark.parametrize("case", [
    *wrong("description", ["string", "null"]),
    ({"description": "x" * 65537}, INVALID, "description"),
    ({"name": "other"}, UNKNOWN, "name"),
    ({"model": "a/b"}, UNKNOWN, "model"),
    ({"files": []}, UNKNOWN, "files"),
], ids=ids)
def test_patch(refused, path, case):
    check(refused, "PATCH", path, {}, case)


@pytest.mark.parametrize("case", [
    *wrong("tags", ["object", "null"]),
    *[({"tags": {"t": value}}, INVALID, "tags.t") for value in (1, True, ["x"], {"a": "b"})],
    ({"tags": {"": "x"}}, INVALID, None),
    ({"tags": {"k" * 129: "x"}}, INVALID, None),
    ({"tags": {"t": "v" * 4097}}, INVALID, "tags.t"),
    ({"tags": {f"t{n}": "x" for n in range(257)}}, INVALID, "tags"),
    ({"metrics": {"m": 1}}, UNKNOWN, "metrics"),
    ({"params": {"p": 1}}, UNKNOWN, "params"),
    ({"aliases": []}, UNKNOWN, "aliases"),
], ids=ids)
def test_patch_version(refused, case):
    check(refused, "PATCH", NET + "/versions/1", {}, case)


def test_tags_together_over_the_limit(api, refused):
    version = api.publish("acme/tagged", {"w": DIGEST},
                          tags={f"t{n}": "x" for n in range(256)})
    path = f"/models/acme/tagged/versions/{version['version']}"
    refused("PATCH", path, {"tags": {"one-more": "x"}}, 422, INVALID)


# ---- evaluations, yank, aliases, tokens ---------------------------------------

EVALUATIONS = [
    ({"metrics": ...}, INVALID, "metrics"),
    ({"metrics": {}}, INVALID, "metrics"),
    *wrong("metrics", ["object"]),
    *[({"metrics": {"m": value}}, INVALID, "metrics.m")
      for value in (None, True, "0.5", "NAN", [], {})],
    ({"metrics": {"k" * 257: 1}}, INVALID, None),
    ({"metrics": {f"m{n}": n for n in range(1001)}}, INVALID, "metrics"),
    *wrong("dataset", ["object", "null"]),
    ({"dataset": {}}, INVALID, "dataset.uri"),
    ({"dataset": {"uri": "x", "sha256": "y"}}, INVALID, "dataset.sha256"),
    ({"dataset": {"uri": "x", "more": 1}}, UNKNOWN, "dataset.more"),
    *wrong("note", ["string", "null"]),
    ({"note": "x" * 4097}, INVALID, "note"),
    ({"at": TIME}, UNKNOWN, "at"),
]


@pytest.mark.parametrize("case", EVALUATIONS, ids=ids)
def test_evaluation(refused, case):
    changes, slug, field = case
    body = refused("POST", NET + "/versions/1/evaluations",
                   merge({"metrics": {"loss": 1}}, changes), 422, slug)
    assert fits(body.get("field"), field), body


@pytest.mark.parametrize("case", [
    ({"message": ...}, INVALID, "message"),
    *wrong("message", ["string"]),
    ({"message": ""}, INVALID, "message"),
    ({"message": "x" * 4097}, INVALID, "message"),
    ({"by": "me"}, UNKNOWN, "by"),
], ids=ids)
def test_yank(refused, case):
    check(refused, "POST", NET + "/versions/1/yank", {"message": "m"}, case)


@pytest.mark.parametrize("case", [
    ({"version": ...}, INVALID, "version"),
    *wrong("version", ["integer"]),
    ({"version": 0}, INVALID, "version"),
    ({"version": -1}, INVALID, "version"),
    ({"version": 1 << 40}, INVALID, "version"),
    ({"version": "1"}, INVALID, "version"),
    ({"more": 1}, UNKNOWN, "more"),
], ids=ids)
def test_alias(refused, case):
    check(refused, "PUT", NET + "/aliases/new", {"version": 1}, case)


@pytest.mark.parametrize("name", ["7", "latest", "-a", "a%20b", "x" * 97, "%C3%A4", "a@b"])
def test_alias_name(refused, name):
    refused("PUT", f"{NET}/aliases/{name}", {"version": 1}, 422, NAME)


def test_alias_to_what_is_not_there(refused):
    refused("PUT", NET + "/aliases/new", {"version": 99}, 422, INVALID, "version")
    refused("PUT", "/models/acme/none/aliases/new", {"version": 1}, 404, "model-not-found")


TOKENS = [
    ({"principal": ...}, INVALID, "principal"),
    ({"role": ...}, INVALID, "role"),
    *wrong("principal", ["string"]),
    ({"principal": ""}, None, "principal"),
    ({"principal": "x" * 129}, None, "principal"),
    ({"principal": "a\nb"}, None, "principal"),
    ({"principal": "a\0b"}, None, "principal"),
    *wrong("role", ["string"]),
    ({"role": "root"}, INVALID, "role"),
    ({"role": "none"}, INVALID, "role"),
    ({"role": "Admin"}, INVALID, "role"),
    *wrong("kind", ["string", "null"]),
    ({"kind": "robot"}, INVALID, "kind"),
    *wrong("description", ["string", "null"]),
    ({"description": "x" * 1025}, INVALID, "description"),
    *wrong("expires_at", ["string", "null"]),
    *[({"expires_at": value}, INVALID, "expires_at")
      for value in ("", "tomorrow", "2100-01-01", "2100-13-01T00:00:00Z", "4102444800",
                    "2100-02-30T00:00:00Z", "2000-01-01T00:00:00Z",
                    "2100-01-01T00:00:00")],
    ({"token": "mine"}, UNKNOWN, "token"),
]


@pytest.mark.parametrize("case", TOKENS, ids=ids)
def test_token(refused, case):
    check(refused, "POST", "/tokens", {"principal": "new", "role": "reader"}, case)


@pytest.mark.parametrize("at", ["", "now", "2026-01-01", "1700000000",
                                "2026-01-01T00:00:00", "2026-99-01T00:00:00Z"])
def test_alias_at_a_time_that_does_not_parse(api, problem, at):
    response = api.get(NET + "/aliases/prod", params={"at": at})
    problem(response, 400, "bad-query")


@pytest.mark.parametrize("force", ["maybe", "1x", "TRUE "])
def test_force_that_does_not_parse(refused, force):
    refused("DELETE", f"{NET}/versions/1?force={force}", None, 400, "bad-query")


@pytest.mark.parametrize("method, path, body", [
    ("POST", "/models", {"model": "acme/new"}),
    ("POST", "/uploads", {"size": 5}),
    ("POST", NET + "/versions", PUBLISH),
    ("POST", "/tokens", {"principal": "new", "role": "reader"}),
])
def test_json_nested_without_end(server, api, method, path, body):
    before = server.state()
    for member in list(body) + ["more"]:
        response = api.request(method, path, json={**body, member: too_deep(1)})
        assert response.status_code in (400, 422), response.text
    assert server.state() == before


def test_chain_of_the_right_length_is_taken(make_server):
    """The other side of the chain's cases."""
    api = make_server().api()
    assert api.upload(BIG, chained=True) == sha256(BIG)
    assert api.get(f"/blobs/{sha256(BIG)}/chain").json()["states"] == chain_of(BIG)
