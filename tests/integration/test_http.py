# SPDX-License-Identifier: Apache-2.0
"""HTTP itself: methods, paths, queries, media types, request ids, errors of every kind."""
import json

import pytest

from support import safetensors
from support.api import SLUG
from support.chain import make_bytes, sha256
from support.contract import contract as load_contract
from support.rawhttp import Connection

DATA = make_bytes(5000, "http")
DIGEST = sha256(DATA)
VERSION = "/models/acme/net/versions/1"
API = "/api/v1"
GETS = {
    "/api/v1/blobs/{sha256}": f"/blobs/{DIGEST}",
    "/api/v1/blobs/{sha256}/chain": f"/blobs/{DIGEST}/chain",
    "/api/v1/blobs/{sha256}/placements": f"/blobs/{DIGEST}/placements",
    "/api/v1/tiers": "/tiers",
    "/api/v1/moves": "/moves",
    "/api/v1/moves/{id}": "/moves/{move}",
    "/api/v1/pins": "/pins",
    "/api/v1/tier-rules": "/tier-rules",
    "/api/v1/tier-rules/history": "/tier-rules/history",
    "/api/v1/gc": "/gc",
    "/api/v1/scrub": "/scrub",
    "/api/v1/uploads/{id}": "/uploads/{upload}",
    "/api/v1/models": "/models",
    "/api/v1/models/{ns}/{name}": "/models/acme/net",
    "/api/v1/models/{ns}/{name}/versions": "/models/acme/net/versions",
    "/api/v1/models/{ns}/{name}/versions/{ref}": VERSION,
    "/api/v1/models/{ns}/{name}/versions/{ref}/manifest": VERSION + "/manifest",
    "/api/v1/models/{ns}/{name}/versions/{ref}/files/{path}": VERSION + "/files/a/b.bin",
    "/api/v1/models/{ns}/{name}/versions/{ref}/tensors": VERSION + "/tensors",
    "/api/v1/models/{ns}/{name}/versions/{ref}/tensors/{tensor}": VERSION + "/tensors/t/0",
    "/api/v1/models/{ns}/{name}/aliases": "/models/acme/net/aliases",
    "/api/v1/models/{ns}/{name}/aliases/{alias}": "/models/acme/net/aliases/prod",
    "/api/v1/models/{ns}/{name}/aliases/{alias}/history":
        "/models/acme/net/aliases/prod/history",
    "/api/v1/tokens": "/tokens",
    "/api/v1/whoami": "/whoami",
    "/api/v1/openapi.yaml": "/openapi.yaml",
    "/healthz": "//healthz",
    "/readyz": "//readyz",
    "/metrics": "//metrics",
}
GET_ROUTES = [p for m, p, _ in load_contract().routes if m == "GET"]


@pytest.fixture
def server(shared_server):
    if not hasattr(shared_server, "upload"):
        api = shared_server.api("admin")
        api.publish("acme/net", {
            "a/b.bin": DATA,
            "t.safetensors": safetensors.make({"t/0": ("U8", [1], b"t")})})
        api.put("/models/acme/net/aliases/prod", {"version": 1}, expect=201)
        shared_server.move = api.post(f"/blobs/{DIGEST}/move", {"tier": "hot"},
                                      expect=202).json()
        shared_server.upload = api.begin_upload(make_bytes(100, "open"))
    return shared_server


def concrete(server, pattern):
    return GETS[pattern].format(upload=server.upload["id"], move=server.move["id"])


def check_problem(answer, status, slug):
    assert answer.status == status, answer
    assert answer.header("content-type") == "application/problem+json"
    body = answer.json()
    assert body["type"] == SLUG + slug and body["status"] == status
    assert body["instance"] == answer.header("x-request-id")


# ---- routes and methods ------------------------------------------------------


@pytest.mark.parametrize("path", [
    "//", "//api", "//api/v1", "//api/v1/", "/none", "/models/a", "/models/a/b/c",
    "/whoami/", "//healthz/", "//api/v2/models", "/blobs", "/blobs/", "/uploads/x/y",
    "/models/a/b/versions/1/files", "/models/a/b/versions/1/files/", "/MODELS", "//x" * 50,
])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_no_such_route(api, problem, method, path):
    problem(api.request(method, path), 404, "not-found")


METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
WRONG_METHODS = [
    (method, pattern) for pattern, item in load_contract().document["paths"].items()
    for method in METHODS if method.lower() not in item
]


@pytest.mark.parametrize("method, pattern", WRONG_METHODS)
def test_method_that_a_path_has_not(api, problem, method, pattern):
    item = load_contract().document["paths"][pattern]
    path = pattern.removeprefix("/api/v1") if pattern.startswith("/api") else "/" + pattern
    response = api.request(method, path.replace("{", "").replace("}", ""))
    problem(response, 405, "method-not-allowed")
    allowed = {name.strip() for name in response.headers["Allow"].split(",")}
    expected = {name.upper() for name in item} & set(METHODS)
    assert allowed - {"OPTIONS"} == expected | ({"HEAD"} if "GET" in expected else set())


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X"])
def test_unknown_method(raw, bearer, method):
    raw.request(method, API + "/whoami", [bearer])
    check_problem(raw.answer(), 405, "method-not-allowed")


def test_get_entries_are_complete():
    assert set(GETS) == set(GET_ROUTES)


@pytest.mark.parametrize("pattern", GET_ROUTES)
def test_head(server, api, pattern):
    """HEAD answers as GET does, without a body."""
    path = concrete(server, pattern)
    get = api.get(path, expect=200)
    head = api.head(path, expect=200)
    assert head.content == b""
    same = set(get.headers) - {"X-Request-Id", "Date"}
    if pattern == "/metrics":
        same -= {"Content-Length"}
    assert {name: head.headers.get(name) for name in same} == {
        name: get.headers[name] for name in same}
    assert api.get(path, expect=200).content  # the connection is in step


def test_head_of_what_is_not_there(api):
    for path in ("/none", "/models/acme/none", f"/blobs/{'0' * 64}"):
        response = api.head(path, expect=404)
        assert response.content == b""
        assert response.headers["Content-Type"] == "application/problem+json"


# ---- query -------------------------------------------------------------------


@pytest.mark.parametrize("pattern", GET_ROUTES)
def test_unknown_query_parameter(server, api, problem, pattern):
    path = concrete(server, pattern)
    problem(api.get(path + "?none=1"), 400, "bad-query")
    problem(api.get(path + "?none"), 400, "bad-query")


@pytest.mark.parametrize("query", [
    "limit=1&limit=2", "limit=1&page_token=&limit=1", "limit=%zz", "limit=%", "limit=%2",
    "limit=%00", "limit=1%00", "limit=%ff", "%6cimit=1&limit=1", "page_token=%c0%80",
    "Limit=1", "=1", "limit=1;limit=2",
])
def test_query_that_does_not_parse(raw, bearer, query):
    raw.request("GET", f"{API}/models?{query}", [bearer])
    check_problem(raw.answer(), 400, "bad-query")


def test_query_is_percent_decoded(api):
    assert len(api.get("/models?%6cimit=%31", expect=200).json()["models"]) == 1
    api.get("/models?", expect=200)


# ---- paths -------------------------------------------------------------------


@pytest.mark.parametrize("target", [
    "/models/acme/net%", "/models/acme/net%2", "/models/acme/net%zz",
    "/models/acme/net%00", "/models/acme%00/net", "/models/acme/%ff%fe",
    "/models/acme/%c0%ae", "/models/acme/%ed%a0%80", "/models/acme/net%2Fversions",
    "/models/..%2f..%2fetc/net", "/models/%2e%2e/net", "/models/../net", "/models//net",
    "/models/acme/net%20", "/models/acme/" + "n" * 97, "/models/acme/" + "n" * 5000,
    "/models/acme/net/versions/1/files/%00", "/models/acme/net/versions/1/files/a%2",
    "/models/acme/net/versions/1/files/%ff", "/models/acme/net/versions/1/files/../b",
    "/models/acme/net/versions/1/files/a//b.bin",
    "/models/acme/net/versions/1/files/./a/b.bin",
    "/models/acme/net/versions/1/files/" + "x/" * 600 + "x",
    "/models/acme/net/versions/01", "/models/acme/net/versions/0",
    "/models/acme/net/versions/-1", "/models/acme/net/versions/+1",
    "/models/acme/net/versions/1.0", "/models/acme/net/versions/1%20",
    "/models/acme/net/versions/99999999999999999999999", "/models/acme/net/versions/v1",
    "/models/acme/net/versions/@", "/models/acme/net/versions/@@prod",
    "/models/acme/net/versions/@latest", "/models/acme/net/versions/@7",
    "/models/acme/net/versions/prod", "/models/acme/net/versions/sha256:",
    "/models/acme/net/versions/sha256:" + "A" * 64,
    "/models/acme/net/versions/sha256:" + "a" * 63, "/models/acme/net/aliases/7",
    "/models/acme/net/aliases/latest", "/models/acme/net/aliases/a%2Fb",
    "/blobs/" + "A" * 64, "/blobs/" + "a" * 63, "/blobs/" + "a" * 65,
    "/blobs/" + "g" * 64, "/blobs/.." , "/uploads/x", "/uploads/%00",
    "/uploads/00000000-0000-0000-0000-00000000000g", "/uploads/..",
])
def test_bad_path(raw, bearer, target):
    """Refused with a 4xx that says so, never more than `not there`."""
    raw.request("GET", API + target, [bearer])
    answer = raw.answer()
    assert answer.status in (400, 404, 414, 422), answer
    body = answer.json()
    assert body["type"].startswith(SLUG) and body["status"] == answer.status
    raw.request("GET", "/healthz")  # and the connection or the server goes on
    assert raw.answer().status == 200


@pytest.mark.parametrize("target", [
    "/models/acme/net%", "/models/acme/net%zz", "/models/acme/net%00",
    "/models/acme/%ff%fe", "/models/acme/%c0%ae", "/models/acme/net/versions/1/files/%ff",
    "/models/acme/net/versions/1/files/a%00b",
])
def test_path_that_does_not_decode(raw, bearer, target):
    raw.request("GET", API + target, [bearer])
    check_problem(raw.answer(), 400, "bad-request")


def test_encoded_slash_is_no_separator(api):
    """%2F is part of a parameter, and no name may have a slash. In a file's path, which
    is the rest of the URL, it stands for a slash."""
    assert api.get("/models/acme%2Fnet/versions", check=False).status_code in (404, 422)
    encoded = api.get(VERSION + "/files/a%2Fb.bin", check=False)
    assert encoded.status_code == 404 or encoded.content == DATA


def test_percent_encoded_path_is_the_same(api):
    assert api.get("/models/%61cme/n%65t", expect=200).json()["model"] == "acme/net"
    assert api.get(VERSION + "/files/%61/b%2ebin", expect=200).content == DATA


def test_dot_segments_are_not_resolved(raw, bearer):
    for target in ("/api/v1/models/../whoami", "/api/v1/./whoami", "/x/../healthz",
                   "/api/v1/models/%2e%2e/whoami", "//healthz", "/../../etc/passwd"):
        raw.request("GET", target, [bearer])
        assert raw.answer().status in (400, 404, 422), target


# ---- bodies ------------------------------------------------------------------


JSON_ROUTES = [
    ("POST", "/uploads"), ("POST", "/models"), ("PATCH", "/models/acme/net"),
    ("POST", "/models/acme/net/versions"), ("PATCH", VERSION),
    ("POST", "/models/acme/net/versions/1/yank"), ("POST", VERSION + "/evaluations"),
    ("PUT", "/models/acme/net/aliases/prod"), ("POST", "/tokens"),
]
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("method, path", JSON_ROUTES)
@pytest.mark.parametrize("body", [
    b"", b"{", b"}", b"{}x", b"{} {}", b"nul", b"{'a':1}", b'{"a":1,}', b'{"a":01}',
    b'{"a":"\xff"}', b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\\ud800"}',
    b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\x01"}', b'\xef\xbb\xbf{}',
    b'{"a":1,"a":2}', b'{"x":{"b":1,"b":1}}', b"/* */{}", b"{\0}", b'{"a":1}\0',
    b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
], ids=lambda body: repr(body)[2:24])
def test_json_that_does_not_parse(server, api, problem, method, path, body):
    before = server.state()
    problem(api.request(method, path, data=body, headers=JSON), 400, "bad-json")
    assert server.state() == before


def test_json_nested_too_deep(api, problem):
    """The deepest that is parsed is not allowed here, one more is not even parsed."""
    for depth, status, kind in [(63, 422, "invalid-field"), (64, 400, "bad-json")]:
        body = b'{"model":' + b"[" * depth + b"]" * depth + b"}"
        problem(api.request("POST", "/models", data=body, headers=JSON), status, kind)


def test_json_brackets_in_strings_are_not_nesting(api):
    text = '["\\' * 500
    answer = api.post("/models", {"model": "acme/brackets", "description": text},
                      expect=201)
    assert answer.json()["description"] == text


@pytest.mark.parametrize("method, path", JSON_ROUTES)
@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true"])
def test_json_that_is_no_object(api, method, path, body):
    response = api.request(method, path, data=body, headers=JSON)
    assert response.status_code in (400, 422), response.text


@pytest.mark.parametrize("method, path", JSON_ROUTES)
@pytest.mark.parametrize("media", [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/jsonx", "application/xml", "", "application",
])
def test_wrong_media_type(api, problem, method, path, media):
    response = api.request(method, path, data=b"{}", headers={"Content-Type": media})
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("media", [
    "application/json", "application/json; charset=utf-8", "Application/JSON",
    "application/json;charset=UTF-8",
])
def test_media_type_with_parameters(api, media):
    api.patch("/models/acme/net", data=b'{"description":"x"}', expect=200,
              headers={"Content-Type": media})


def test_merge_patch_media_type(api, problem):
    merge = {"Content-Type": "application/merge-patch+json"}
    api.patch("/models/acme/net", data=b'{"description":"y"}', headers=merge, expect=200)
    problem(api.post("/models", data=b'{"model":"a/b"}', headers=merge), 415,
            "unsupported-media-type")


@pytest.mark.parametrize("method, path", JSON_ROUTES)
def test_json_body_over_its_limit(server, api, problem, method, path):
    before = server.state()
    body = b'{"description":"' + b"x" * (64 << 20) + b'"}'
    problem(api.request(method, path, data=body, headers=JSON), 413, "body-too-large")
    assert server.state() == before


def test_body_where_none_belongs(server, api):
    """A body on a route that takes none is refused or ignored, and never desynchronises."""
    for path in ("/whoami", "/models"):
        response = api.get(path, data=b"GET /api/v1/none HTTP/1.1\r\n\r\n")
        assert response.status_code in (200, 400, 413, 422)
        assert api.get("/whoami", expect=200).json()["role"] == "admin"


# ---- request ids -------------------------------------------------------------


def test_request_ids_differ(api):
    ids = {api.get("/whoami").headers["X-Request-Id"] for _ in range(50)}
    assert len(ids) == 50


def test_request_id_of_the_client_is_taken(server, api):
    response = api.get("/none", headers={"X-Request-Id": "job-4711.a_b"})
    assert response.headers["X-Request-Id"] == "job-4711.a_b"
    assert response.json()["instance"] == "job-4711.a_b"
    assert "job-4711.a_b" in server.log()


@pytest.mark.parametrize("value", [
    "", "x" * 5000, "a b", "a\tb", 'a"b', "\xe9", "<script>", "a=b", "a\\nb",
])
def test_request_id_that_is_not_fit_for_a_log(server, api, value):
    """Such an id is replaced: it ends up in log lines and headers."""
    response = api.get("/none", headers={"X-Request-Id": value.encode("latin-1")})
    assert response.headers["X-Request-Id"] not in ("", value)
    assert response.json()["instance"] == response.headers["X-Request-Id"]


def test_problem_has_no_inside_views(server, api):
    """No path of the server, no SQL, no token in what an error says."""
    texts = [
        api.get(path).text for path in ("/none", "/models/acme/none", "/blobs/x",
                                        "/models?limit=x", "/uploads/x")
    ]
    for text in texts:
        for secret in (str(server.data), server.admin_token(), "SELECT", "postgres"):
            assert secret not in text


def test_problem_is_json_whatever_is_accepted(api, problem):
    problem(api.get("/none", headers={"Accept": "text/html"}), 404, "not-found")


def test_openapi_is_served_as_it_is_in_the_source(api):
    from support.contract import FILE
    assert api.get("/openapi.yaml", expect=200).content == FILE.read_bytes()


def test_health(anonymous):
    assert anonymous.get("//healthz", expect=200).json() == {"status": "ok"}
    assert anonymous.get("//readyz", expect=200).json() == {"status": "ok"}


def test_metrics_count_requests(api):
    def count():
        text = api.get("//metrics", expect=200).text
        names = [line for line in text.splitlines() if not line.startswith("#")]
        assert names and all(line.startswith("strata_") for line in names)
        return sum(float(line.rpartition(" ")[2]) for line in names
                   if line.startswith("strata_http_requests_total{") and "whoami" in line)
    before = count()
    for _ in range(3):
        api.get("/whoami", expect=200)
    assert count() == before + 3


def test_log_lines_are_one_per_request_and_hide_tokens(server, api):
    response = api.get("/whoami", headers={"X-Request-Id": "find-me-in-the-log"})
    assert response.status_code == 200
    lines = [line for line in server.log().splitlines() if "find-me-in-the-log" in line]
    assert len(lines) == 1 and "status=200" in lines[0]
    assert server.admin_token() not in server.log()


@pytest.mark.parametrize("header", [
    "Content-Length : 5", "Transfer-Encoding\t: chunked", "X A: b", "X(): b"])
def test_malformed_header_name_ends_the_connection(server, header):
    """A space before the colon hides a body from one reader and shows it to another."""
    with Connection(server.address) as connection:
        connection.send(
            f"GET /healthz HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n"
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.answer().status == 400
        assert connection.is_closed()


def test_a_log_line_that_is_cut_still_ends(server, api):
    api.get("/models/a/b/" + "=" * 9000)
    api.get("/models/a/c/none")
    lines = server.log().splitlines()
    assert any("/none" in line and len(line) < 1000 for line in lines)


def test_json_text_is_utf8(api):
    text = "größer als 日本 \N{GRINNING FACE}"
    api.patch("/models/acme/net", {"description": text}, expect=200)
    assert api.get("/models/acme/net").json()["description"] == text
    sent = json.dumps({"description": text}).encode()  # with \\u escapes
    response = api.patch("/models/acme/net", data=sent, headers=JSON, expect=200)
    assert response.json()["description"] == text
