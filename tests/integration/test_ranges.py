# SPDX-License-Identifier: Apache-2.0
"""Ranges and conditions of RFC 9110 over HTTP, on a blob and on a file of a version."""
import email
import email.policy

import pytest

from support.chain import CHUNK, make_bytes, sha256

SIZE = CHUNK + 12345
DATA = make_bytes(SIZE, "ranges")
DIGEST = sha256(DATA)
ETAG = f'"{DIGEST}"'
OTHER = '"' + "0" * 64 + '"'
BLOB = f"/blobs/{DIGEST}"
FILE = "/models/acme/ranges/versions/1/files/data/w.bin"


@pytest.fixture
def server(shared_server):
    if not hasattr(shared_server, "has_ranges"):
        shared_server.api().publish("acme/ranges", {
            "data/w.bin": DATA, "page.html": b"<script>", "empty": b"",
            "weights ü\".bin": b"weights"})
        shared_server.has_ranges = True
    return shared_server


@pytest.fixture(params=[BLOB, FILE], ids=["blob", "file"])
def path(request):
    return request.param


@pytest.mark.parametrize("value, first, last", [
    ("bytes=0-0", 0, 0),
    ("bytes=0-99", 0, 99),
    ("bytes=100-", 100, SIZE - 1),
    (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ("bytes=-1", SIZE - 1, SIZE - 1),
    ("bytes=-1000", SIZE - 1000, SIZE - 1),
    (f"bytes=-{SIZE + 5}", 0, SIZE - 1),
    (f"bytes=5-{SIZE * 2}", 5, SIZE - 1),
    (f"bytes={CHUNK - 3}-{CHUNK + 3}", CHUNK - 3, CHUNK + 3),
    ("bytes=0-9,10-19", 0, 19),
    ("bytes=15-30,0-20", 0, 30),
    (f"bytes=0-9,{SIZE}-", 0, 9),
])
def test_single_range(api, path, value, first, last):
    response = api.get(path, headers={"Range": value}, expect=206)
    assert response.content == DATA[first:last + 1]
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert response.headers["Content-Length"] == str(last - first + 1)
    assert response.headers["ETag"] == ETAG
    assert response.headers["Strata-Tier"] == "hot"
    assert "Repr-Digest" not in response.headers


def split(response):
    """[(Content-Range, body)] of a multipart/byteranges answer."""
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + response.content,
                                       policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges"
    boundary = message.get_boundary().encode()
    pieces = response.content.split(b"--" + boundary)
    assert pieces[0] in (b"", b"\r\n") and pieces[-1] == b"--\r\n"
    parts = []
    for piece in pieces[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        assert body.endswith(b"\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        assert lines["Content-Type"] == "application/octet-stream"
        parts.append((lines["Content-Range"], body[:-2]))
    return parts


def test_several_ranges(api, path):
    response = api.get(path, headers={"Range": "bytes=100-199,0-9,-5"}, expect=206)
    assert "Content-Range" not in response.headers
    assert response.headers["Content-Length"] == str(len(response.content))
    assert split(response) == [
        (f"bytes 100-199/{SIZE}", DATA[100:200]),
        (f"bytes 0-9/{SIZE}", DATA[:10]),
        (f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}", DATA[-5:]),
    ]


def test_64_ranges_and_one_more(api, path, problem):
    value = ",".join(f"{n * 10}-{n * 10 + 1}" for n in range(64))
    response = api.get(path, headers={"Range": "bytes=" + value}, expect=206)
    parts = split(response)
    assert b"".join(body for _, body in parts) == b"".join(
        DATA[n * 10:n * 10 + 2] for n in range(64))
    response = api.get(path, headers={"Range": f"bytes={value},700-701"})
    problem(response, 416, "range-not-satisfiable")


def test_boundaries_differ(api):
    types = {api.get(BLOB, headers={"Range": "bytes=0-1,9-9"}).headers["Content-Type"]
             for _ in range(5)}
    assert len(types) == 5


@pytest.mark.parametrize("value", [
    f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 1}", "bytes=-0", f"bytes={10 ** 30}-",
])
def test_no_range_is_satisfiable(api, path, problem, value):
    response = api.get(path, headers={"Range": value})
    problem(response, 416, "range-not-satisfiable")
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"
    assert "immutable" not in response.headers.get("Cache-Control", "")


@pytest.mark.parametrize("value", [
    "bytes=", "bytes=x", "bytes=9-1", "bytes=1", "chunks=0-1", "0-1", "bytes=0-1,x",
])
def test_unparsable_range_is_ignored(api, path, value):
    response = api.get(path, headers={"Range": value}, expect=200)
    assert len(response.content) == SIZE


def test_ranges_of_an_empty_file(api, problem):
    path = "/models/acme/ranges/versions/1/files/empty"
    response = api.get(path, headers={"Range": "bytes=0-"})
    problem(response, 416, "range-not-satisfiable")
    assert response.headers["Content-Range"] == "bytes */0"
    assert api.get(path, headers={"Range": "bytes=-1"}, expect=200).content == b""


# ---- conditions ----------------------------------------------------------------

@pytest.mark.parametrize("headers, status", [
    ({"If-None-Match": ETAG}, 304),
    ({"If-None-Match": f"W/{ETAG}"}, 304),
    ({"If-None-Match": f"{OTHER}, {ETAG}"}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": OTHER}, 200),
    ({"If-Match": ETAG}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": f"{OTHER}, {ETAG}"}, 200),
    ({"If-Match": OTHER}, 412),
    ({"If-Match": f"W/{ETAG}"}, 412),
    # RFC 9110, 13.2.2: If-Match first, then If-None-Match, Range last
    ({"If-Match": OTHER, "If-None-Match": ETAG}, 412),
    ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
    ({"If-None-Match": ETAG, "Range": "bytes=0-1"}, 304),
    ({"If-None-Match": OTHER, "Range": "bytes=0-1"}, 206),
    ({"If-Match": OTHER, "Range": f"bytes={SIZE}-"}, 412),
    ({"If-Range": ETAG, "Range": "bytes=0-1"}, 206),
    ({"If-Range": OTHER, "Range": "bytes=0-1"}, 200),
    ({"If-Range": f"W/{ETAG}", "Range": "bytes=0-1"}, 200),
    ({"If-Range": "Sun, 22 Nov 2026 20:35:51 GMT", "Range": "bytes=0-1"}, 200),
    ({"If-Range": OTHER, "Range": f"bytes={SIZE}-"}, 200),
    ({"If-Range": ETAG, "Range": f"bytes={SIZE}-"}, 416),
])
def test_conditions(api, path, headers, status):
    response = api.get(path, headers=headers, expect=status)
    if status == 304:
        assert response.content == b"" and response.headers["ETag"] == ETAG
    if status == 200:
        assert response.content == DATA
    head = api.head(path, headers=headers)
    assert head.content == b""
    # Range is for GET alone.
    assert head.status_code == (200 if status in (206, 416) else status)


def test_head_says_what_get_would(api, path):
    get, head = api.get(path), api.head(path, expect=200)
    for name in ("ETag", "Content-Length", "Content-Type", "Repr-Digest",
                 "Accept-Ranges", "Strata-Tier", "Content-Disposition"):
        assert head.headers[name] == get.headers[name]


# ---- names and types ---------------------------------------------------------------

def test_file_is_offered_under_its_name(api):
    headers = api.get(FILE).headers
    assert headers["Content-Disposition"] == 'attachment; filename="w.bin"'
    path = "/models/acme/ranges/versions/1/files/weights%20%C3%BC%22.bin"
    assert api.get(path, expect=200).headers["Content-Disposition"] == (
        'attachment; filename="weights ___.bin"; '
        "filename*=UTF-8''weights%20%C3%BC%22.bin")


def test_page_is_never_html(api):
    response = api.get("/models/acme/ranges/versions/1/files/page.html", expect=200)
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox"


def test_file_of_a_movable_ref_is_revalidated(api):
    path = "/models/acme/ranges/versions/latest/files/data/w.bin"
    assert "immutable" not in api.get(path).headers["Cache-Control"]
