# SPDX-License-Identifier: Apache-2.0
"""A bad publish gets a clear 4xx that names the field, and changes nothing: not a row of any
table, not a file of any tier."""
import urllib.parse

import pytest

from support.bad_input import (  # noqa: F401 (fixtures)
    DATA, DIGEST, FILE, INVALID, NAME, NET, PATH, PUBLISH, TWICE, UNKNOWN, fits, ids,
    merge, not_a, refused, server, wrong)


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
