# SPDX-License-Identifier: Apache-2.0
"""Requests that no library sends, and what becomes of their connections."""
import socket

import pytest

from support.chain import make_bytes, sha256
from support.rawhttp import Closed, Connection
from support.stratad import wait_until

API = "/api/v1"
DATA = make_bytes(1000, "connections")
BLOB = f"{API}/blobs/{sha256(DATA)}"
JSON = "Content-Type: application/json"
MODEL = b'{"model":"raw/model"}'


@pytest.fixture
def server(shared_server):
    return shared_server


def is_alive(connection, bearer):
    connection.request("GET", API + "/whoami", [bearer])
    return connection.answer().status == 200


def refused(connection, *statuses):
    """The answer is one of these, or the connection just ends."""
    try:
        answer = connection.answer()
    except (Closed, ConnectionResetError):
        return None
    assert answer.status in statuses, answer
    return answer


# ---- lengths -----------------------------------------------------------------


def test_streamed_body_without_length(raw, bearer):
    raw.request("PUT", BLOB, [bearer])
    answer = raw.answer()
    assert answer.status == 411 and answer.slug() == "length-required"


def test_streamed_body_in_chunks(raw, bearer):
    raw.request("PUT", BLOB, [bearer, "Transfer-Encoding: chunked"],
                b"3e8\r\n" + DATA + b"\r\n0\r\n\r\n")
    answer = raw.answer()
    assert answer.status == 411 and answer.slug() == "length-required"


def test_json_body_in_chunks(server, raw, bearer):
    """Chunked JSON is read, or refused with 411: never taken for something else."""
    raw.request("POST", API + "/models", [bearer, JSON, "Transfer-Encoding: chunked"],
                b"5\r\n" + MODEL[:5] + b"\r\n10\r\n" + MODEL[5:] + b"\r\n0\r\n\r\n")
    assert raw.answer().status in (201, 411)


def test_chunked_json_over_its_limit(raw, bearer):
    raw.request("POST", API + "/models", [bearer, JSON, "Transfer-Encoding: chunked"])
    piece = b"x" * (1 << 20)
    try:
        raw.send(b'5\r\n{"a":\r\n1\r\n"\r\n')
        for _ in range(64):
            raw.send(b"100000\r\n" + piece + b"\r\n")
        raw.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    refused(raw, 411, 413)


@pytest.mark.parametrize("length", [
    "-1", "+5", "0x10", "5 5", "5,5", "5, 6", "abc", "", "99999999999999999999999",
    "18446744073709551616", "1e3", "5.0",
])
def test_length_that_is_none(server, raw, bearer, length):
    raw.request("PUT", BLOB, [bearer, f"Content-Length: {length}"], b"hello")
    answer = refused(raw, 400, 411, 413)
    assert answer is None or answer.status != 413 or len(length) > 18
    server.anonymous().get("//healthz", expect=200)


def test_two_different_lengths(raw, bearer):
    """RFC 9112 section 6.3: an unrecoverable error; the second request is not read."""
    raw.request("POST", API + "/models",
                [bearer, JSON, "Content-Length: 2", "Content-Length: 40"],
                b"{}GET /api/v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = refused(raw, 400)
    assert answer is None or raw.rest() == b""


@pytest.mark.parametrize("encoding", [
    "chunked", "Chunked", "identity, chunked", "chunked, chunked", "xchunked", "gzip",
    "chunked\r\nTransfer-Encoding: identity", "\x0bchunked", "chunked;q=1",
])
def test_length_and_transfer_encoding(raw, bearer, encoding):
    """Both at once is a smuggler's tool: refused, and nothing after it is read."""
    hidden = b"GET /api/v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n"
    raw.request("POST", API + "/models",
                [bearer, JSON, "Content-Length: 4", f"Transfer-Encoding: {encoding}"],
                b"0\r\n\r\n" + hidden)
    answer = refused(raw, 400, 411, 501)
    assert answer is None or raw.rest() == b""


@pytest.mark.parametrize("body", [
    b"zz\r\nhello\r\n0\r\n\r\n", b"-1\r\n", b"ffffffffffffffffff\r\nx\r\n", b"5\r\nhelloXX0\r\n",
])
def test_chunks_that_are_none(server, raw, bearer, body):
    raw.request("POST", API + "/models", [bearer, JSON, "Transfer-Encoding: chunked"], body)
    raw.socket.shutdown(socket.SHUT_WR)
    refused(raw, 400, 411, 413)
    server.anonymous().get("//healthz", expect=200)


def test_body_shorter_than_announced(server, raw, bearer):
    before = server.state()
    raw.request("PUT", BLOB, [bearer, "Content-Length: 1000", "X-Request-Id: cut.short"],
                DATA[:500])
    raw.socket.shutdown(socket.SHUT_WR)
    refused(raw, 400)
    wait_for_state(server, before)
    wait_until(lambda: "request=cut.short" in server.log(), what="the log line")
    line = next(line for line in server.log().splitlines() if "cut.short" in line)
    assert "status=499" in line


def wait_for_state(server, before):
    wait_until(lambda: server.state() == before, what="all is as it was")


# ---- expect ------------------------------------------------------------------


def test_expect_continue(server, raw, bearer):
    raw.request("PUT", BLOB, [bearer, "Content-Length: 1000", "Expect: 100-continue"])
    assert raw.answer().status == 100
    raw.send(DATA)
    assert raw.answer().status in (200, 201)
    assert is_alive(raw, bearer)


@pytest.mark.parametrize("token, status", [(None, 401), ("x", 401)])
def test_expect_continue_is_refused_before_the_body(raw, token, status):
    headers = [f"Authorization: Bearer {token}"] if token else []
    raw.request("PUT", BLOB, [*headers, f"Content-Length: {1 << 30}",
                              "Expect: 100-continue"])
    answer = raw.answer()
    assert answer.status == status and answer.slug() == "unauthenticated"


def test_blob_over_the_limit_is_refused_before_the_body(make_server):
    server = make_server(max_blob_size="1M")
    with Connection(server.address) as raw:
        raw.request("PUT", BLOB, [
            f"Authorization: Bearer {server.admin_token()}",
            f"Content-Length: {(1 << 20) + 1}", "Expect: 100-continue"])
        answer = raw.answer()
        assert answer.status == 413 and answer.slug() == "body-too-large"
    data = make_bytes(1 << 20, "limit")
    server.api().put_blob(data, expect=201)


# ---- early answers -----------------------------------------------------------


@pytest.mark.parametrize("size", [100_000, 8 << 20, 64 << 20, 512 << 20])
def test_early_answer_arrives_whole(server, size):
    """The server says no after the headers while the client is still sending: its answer
    can be read, whether or not the client may send all of its body."""
    for _ in range(5):
        with Connection(server.address) as raw:
            raw.request("PUT", BLOB, [f"Content-Length: {size}"])
            try:
                for start in range(0, size, 1 << 20):
                    raw.send(bytes(min(1 << 20, size - start)))
            except (BrokenPipeError, ConnectionResetError):
                assert size > 64 << 20, "a body of this size is read to its end"
            answer = raw.answer()
            assert answer.status == 401 and answer.slug() == "unauthenticated"


def test_early_answers_to_common_clients(server, problem, anonymous, reader):
    big = bytes(32 << 20)
    for _ in range(3):
        problem(anonymous.put(f"/blobs/{'0' * 64}", data=big), 401, "unauthenticated")
        problem(reader.put(f"/blobs/{'0' * 64}", data=big), 403, "forbidden")


# ---- keep-alive --------------------------------------------------------------


def test_keep_alive_after_errors(raw, bearer):
    for _ in range(20):
        raw.request("GET", API + "/none", [bearer])
        assert raw.answer().status == 404
        raw.request("GET", API + "/whoami")
        assert raw.answer().status == 401
        raw.request("POST", API + "/models", [bearer, JSON, "Content-Length: 1"], b"{")
        assert raw.answer().status == 400
    assert is_alive(raw, bearer)


def test_pipelined_requests_are_answered_in_order(raw, bearer):
    raw.send("".join(
        f"GET {API}{path} HTTP/1.1\r\nHost: x\r\n{bearer}\r\nX-Request-Id: p{i}\r\n\r\n"
        for i, path in enumerate(["/whoami", "/none", "/models", "/whoami"])))
    answers = [raw.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 404, 200, 200]
    assert [a.header("x-request-id") for a in answers] == ["p0", "p1", "p2", "p3"]


def test_http_1_0(server):
    with Connection(server.address) as raw:
        raw.send("GET /healthz HTTP/1.0\r\n\r\n")
        assert raw.answer().status == 200
        assert raw.rest() == b""


def test_connection_close_is_obeyed(raw, bearer):
    raw.request("GET", API + "/whoami", [bearer, "Connection: close"])
    assert raw.answer().status == 200
    assert raw.is_closed()


def test_request_that_comes_byte_by_byte(raw, bearer):
    raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = (f"POST {API}/models HTTP/1.1\r\nHost: x\r\n{bearer}\r\n{JSON}\r\n"
               f"Content-Length: 22\r\n\r\n").encode() + b'{"model":"slow/model"}'
    for position in range(len(request)):
        raw.send(request[position:position + 1])
    assert raw.answer().status == 201


# ---- heads -------------------------------------------------------------------


def test_huge_header(server):
    for size in (100_000, 4 << 20):
        with Connection(server.address) as raw:
            try:
                raw.request("GET", API + "/whoami", ["X-Big: " + "x" * size])
            except (BrokenPipeError, ConnectionResetError):
                continue
            refused(raw, 431)
    server.anonymous().get("//healthz", expect=200)


def test_header_that_just_does_not_fit_gets_431(raw):
    raw.request("GET", API + "/whoami", ["X-Big: " + "x" * 60_000])
    assert raw.answer().status == 431


def test_many_headers(server, raw):
    raw.request("GET", API + "/whoami", [f"X-{n}: {n}" for n in range(5000)])
    refused(raw, 431)
    server.anonymous().get("//healthz", expect=200)


def test_header_of_8_kib_is_fine(raw, bearer):
    raw.request("GET", API + "/whoami", [bearer, "X-Big: " + "x" * 8192])
    assert raw.answer().status == 200


def test_huge_target(server, raw):
    raw.request("GET", "/" + "x" * 200_000)
    refused(raw, 414, 431)
    server.anonymous().get("//healthz", expect=200)


@pytest.mark.parametrize("head", [
    "GET\r\n\r\n", "GET /healthz\r\n\r\n", "\0\0\0\0\r\n\r\n", "GET /healthz HTTP/9.9\r\n\r\n",
    "GET /healthz XXXX/1.1\r\nHost: x\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
    "GET /healthz HTTP/1.1\r\n: x\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00",
    "GET /healthz HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET  /healthz  HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
    "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
])
def test_malformed_head(server, raw, head):
    """No such head takes the server down or gets at more than the health page."""
    raw.send(head)
    raw.socket.shutdown(socket.SHUT_WR)
    answer = refused(raw, 200, 400, 404, 405, 501, 505)
    if answer is not None and answer.status == 200:
        assert answer.json() == {"status": "ok"}
    server.anonymous().get("//healthz", expect=200)


def test_header_injection_by_a_file_name(server, api):
    """What comes back in Content-Disposition cannot end the header."""
    name = 'a"; x="%0d%0aX-Evil: 1.bin'
    api.publish("raw/names", {name: DATA})
    quoted = name.replace("%", "%25").replace('"', "%22").replace(" ", "%20")
    response = api.get(f"/models/raw/names/versions/1/files/{quoted}", expect=200)
    assert response.content == DATA and "X-Evil" not in response.headers
    assert response.headers["Content-Disposition"].startswith("attachment")


def test_many_idle_connections(server, api):
    idle = [Connection(server.address) for _ in range(100)]
    try:
        api.get("/whoami", expect=200)
    finally:
        for connection in idle:
            connection.socket.close()


def test_problem_of_a_cut_connection_is_not_an_error_of_the_server(server, bearer):
    for _ in range(10):
        with Connection(server.address) as raw:
            raw.request("GET", API + "/whoami", [bearer])
    server.anonymous().get("//healthz", expect=200)
    assert "level=error" not in server.log()
