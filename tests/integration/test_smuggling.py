# SPDX-License-Identifier: Apache-2.0
"""Requests that a proxy in front of stratad could read in another way than stratad does.

Each is followed by, or carries, a hidden request: what is not known for certain to be a
request of its own is never answered as one.
"""
import itertools
import socket
import time

import pytest

from support.rawhttp import Closed, Connection

API = "/api/v1"
JSON = "Content-Type: application/json"
MODEL = b'{"model":"raw/smuggled"}'
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
NUMBERS = itertools.count(1)


@pytest.fixture
def server(shared_server):
    return shared_server


@pytest.fixture
def hidden(server, bearer):
    """What a smuggler wants to have answered as a request of its own; it never is."""
    name = f"smuggled-{next(NUMBERS)}-"
    yield (f"DELETE {API}/models/raw/victim HTTP/1.1\r\nHost: x\r\n{bearer}\r\n"
           f"X-Request-Id: {name}\r\n\r\n").encode("latin-1")
    assert f"request={name}" not in server.log()


def exchange(server, data):
    """Sends the bytes, ends the sending side's interest, and collects all answers."""
    answers = []
    with Connection(server.address, timeout=3) as raw:
        try:
            raw.send(data)
            while True:
                answers.append(raw.answer())
        except (Closed, ConnectionResetError, BrokenPipeError):
            return answers, True
        except TimeoutError:
            return answers, False


def post(bearer, lines, body, version="HTTP/1.1", target=API + "/models"):
    head = "\r\n".join([f"POST {target} {version}", "Host: x", bearer, JSON, *lines])
    return head.encode("latin-1") + b"\r\n\r\n" + body


def check_refused(answers, closed, status=(400, 411, 413, 414, 431, 501, 505)):
    """One refusal or none, and the connection is over."""
    assert closed and len(answers) <= 1, answers
    assert all(answer.status in status for answer in answers), answers


# ---- lengths ------------------------------------------------------------------------

@pytest.mark.parametrize("line", [
    "Content-Length : {n}", "Content-Length\t: {n}", " Content-Length: {n}",
    "Content-Length:\r\n {n}", "Content-Length:\r\n\t{n}", "Content\r\n -Length: {n}",
    "Content: {n}\r\n -Length", "X: y\r\n Content-Length: {n}", "X: y\nContent-Length: {n}",
    "X: y\rContent-Length: {n}", "Content-Length: {n}\nX: y", "Content-Length\0: {n}",
    "Content-Length: {n}\0", "Content-Length: \0{n}", "Content-Length: {n}\0\0\0",
    "X: y\0\r\nContent-Length: {n}", "Content-Length: +{n}", "Content-Length: -{n}",
    "Content-Length: 0x{n}", "Content-Length: {n},{n}", "Content-Length: {n}, {n}",
    "Content-Length: {n} {n}", "Content-Length: {n};", "Content-Length: {n}.0",
    "Content-Length: \x0b{n}", "Content-Length: {n}\x0b", "Content-Length: \x0c{n}",
    "Content-Length: '{n}'", 'Content-Length: "{n}"', "Content-Length: {n}e0",
    "Content-Length: 18446744073709551616", "Content-Length: 99999999999999999999{n}",
    "Content-Length: {n}\r\nContent-Length: {n}", "Content-Length: 0\r\nContent-Length: {n}",
    "Content-Length: {n}\r\ncontent-length: 0", "Content-Length:",
])
def test_length_that_can_be_read_in_two_ways(server, bearer, hidden, line):
    line = line.replace("{n}", str(len(hidden)))
    check_refused(*exchange(server, post(bearer, [line], hidden)))


@pytest.mark.parametrize("line", [
    "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: x\r\n chunked", "Transfer: chunked\r\n -Encoding",
    "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked",
    "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: \x0cchunked", "Transfer-Encoding: \0chunked",
    "Transfer-Encoding: chunked\0", "Transfer-Encoding: chun\0ked",
    "Transfer-Encoding\0: chunked", "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked;q=1", 'Transfer-Encoding: "chunked"',
    "Transfer-Encoding: 'chunked'", "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunke", "Transfer-Encoding: \xffchunked", "Transfer-Encoding:",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
])
@pytest.mark.parametrize("before", [b"", b"0\r\n\r\n"], ids=["body", "after"])
def test_encoding_that_can_be_read_in_two_ways(server, bearer, hidden, line, before):
    check_refused(*exchange(server, post(bearer, [line], before + hidden)))


@pytest.mark.parametrize("first", ["length", "encoding"])
@pytest.mark.parametrize("coding", ["chunked", "Chunked", "\tchunked", "identity", "x"])
@pytest.mark.parametrize("length", ["0", "5", "{n}"])
def test_length_beside_an_encoding(server, bearer, hidden, first, coding, length):
    lines = [f"Content-Length: {length.replace('{n}', str(len(hidden)))}",
             f"Transfer-Encoding:{coding}"]
    if first == "encoding":
        lines.reverse()
    body = b"0\r\n\r\n" + hidden
    check_refused(*exchange(server, post(bearer, lines, body)))


# ---- chunks ---------------------------------------------------------------------------

@pytest.mark.parametrize("coding", ["chunked", "CHUNKED", "\t chunked"])
def test_chunked_body_ends_its_connection(server, bearer, hidden, coding):
    """Where the last chunk ends is read in more than one way: what follows is left."""
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(MODEL), MODEL)
    answers, closed = exchange(server, post(
        bearer, [f"Transfer-Encoding: {coding}"], chunks + hidden))
    assert [answer.status for answer in answers] in ([201], [409])
    assert answers[0].header("connection") == "close" and closed


@pytest.mark.parametrize("chunks", [
    b"0;x=y\r\n\r\n", b"0;\r\n\r\n", b"0;a\nb\r\n\r\n", b"0\n\n", b"0\r\n\n", b"00000000\r\n\r\n",
    b"0\r\nContent-Length: 40\r\n\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"2\n{}\n0\n\n", b"2\r\n{}0\r\n\r\n", b"2\r\n{}\n0\r\n\r\n", b"2;\n{}\r\n0\r\n\r\n", b"\r\n0\r\n\r\n",
    b"2 \r\n{}\r\n0\r\n\r\n", b" 2\r\n{}\r\n0\r\n\r\n", b"+2\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n",
    b"-2\r\n{}\r\n0\r\n\r\n", b"2\0\r\n{}\r\n0\r\n\r\n", b"g\r\n{}\r\n0\r\n\r\n", b"1\r\n{}\r\n0\r\n\r\n",
    b"3\r\n{}\r\n0\r\n\r\n", b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    b"ffffffffffffffff1\r\n{}\r\n0\r\n\r\n",
])
def test_chunks_that_can_be_read_in_two_ways(server, bearer, hidden, chunks):
    answers, closed = exchange(server, post(
        bearer, ["Transfer-Encoding: chunked"], chunks + hidden))
    assert closed and len(answers) <= 1
    assert all(answer.status in (400, 413, 422) for answer in answers), answers


@pytest.mark.parametrize("size", [
    b"ffffffffffffffff", b"fffffffffffffffe", b"8000000000000002", b"7fffffffffffffff"])
def test_chunk_that_is_longer_than_any(server, bearer, hidden, size):
    """All that follows is in it."""
    with Connection(server.address, timeout=3) as raw:
        raw.send(post(bearer, ["Transfer-Encoding: chunked"],
                      size + b"\r\n{}\r\n0\r\n\r\n" + hidden))
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.rest() == b""


@pytest.mark.parametrize("connection", [[], ["Connection: keep-alive"]])
def test_chunks_in_http_1_0_end_the_connection(server, bearer, hidden, connection):
    answers, closed = exchange(server, post(
        bearer, ["Transfer-Encoding: chunked", *connection], b"2\r\n{}\r\n0\r\n\r\n" + hidden,
        version="HTTP/1.0"))
    assert closed and len(answers) <= 1


# ---- where a request ends ---------------------------------------------------------------

@pytest.mark.parametrize("garbage", [
    b"garbage\r\n\r\n", b"0\r\n\r\n", b"\r\nx\r\n", b"GET / HTTP/1.1\n\0"])
def test_garbage_behind_a_body_ends_the_connection(server, bearer, hidden, garbage):
    body = b'{"model":"raw/net"}'
    answers, closed = exchange(server, post(
        bearer, [f"Content-Length: {len(body)}"], body + garbage + hidden))
    assert closed and answers[0].status in (201, 409)
    assert all(answer.status in (400, 404, 405) for answer in answers[1:]), answers


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_body_where_none_is_expected_is_read(server, bearer, hidden, method):
    """It is the request's, whatever it looks like; the next request is answered."""
    with Connection(server.address, timeout=3) as raw:
        raw.request(method, API + "/models/raw/none",
                    [bearer, f"Content-Length: {len(hidden)}"], hidden)
        assert raw.answer(head=method == "HEAD").status == 400
        raw.request("GET", API + "/whoami", [bearer])
        assert raw.answer().status == 200


@pytest.mark.parametrize("lines", [
    ["Expect: 100-continue"], ["Expect: 100-Continue"], ["Expect: x"], ["Expect:"],
    ["Expect: 100-continue", "Expect: 100-continue"], ["Expect: 100-continue, x"],
    ["Expect: x", "Expect: 100-continue"], ["Expect : 100-continue"],
    ["Expect:\r\n 100-continue"],
])
@pytest.mark.parametrize("token", [True, False])
def test_expect_and_a_body_that_does_not_wait(server, bearer, hidden, lines, token):
    """The body comes at once, and is a body whether the answer is early or not."""
    length = f"Content-Length: {len(hidden)}"
    data = post(bearer if token else "X: y", [length, *lines], hidden + LAST)
    answers, closed = exchange(server, data)
    final = [answer.status for answer in answers if answer.status != 100]
    assert closed and final in ([400], [401], [400, 200], [401, 200]), answers


# ---- versions, hosts, targets -------------------------------------------------------------

@pytest.mark.parametrize("line", [
    b"GET /healthz\r\n", b"GET /healthz \r\n", b"GET /healthz HTTP\r\n", b"GET /healthz HTTP/0.9\r\n",
    b"GET /healthz HTTP/1\r\n", b"GET /healthz HTTP/01.1\r\n", b"GET /healthz http/1.1\r\n",
    b"GET /healthz HTTP/1.1 \r\n", b"GET  /healthz HTTP/1.1\r\n", b"GET /healthz  HTTP/1.1\r\n",
    b"GET\t/healthz HTTP/1.1\r\n", b"GET /healthz\tHTTP/1.1\r\n", b"GET /healthz HTTP/1.1\n",
    b"GET /healthz\0 HTTP/1.1\r\n", b"GET /healthz\0/x HTTP/1.1\r\n", b"GET\0 /healthz HTTP/1.1\r\n",
    b"GET /healthz x HTTP/1.1\r\n", b"GET /healthz\x0b HTTP/1.1\r\n", b"GET /healthz#x HTTP/1.1\r\n",
    b"GET /healthz\x7f HTTP/1.1\r\n", b" GET /healthz HTTP/1.1\r\n", b"GET healthz HTTP/1.1\r\n",
    b"GET @x/healthz HTTP/1.1\r\n", b"get /healthz HTTP/1.1\r\n", b"GET http:/healthz HTTP/1.1\r\n",
])
def test_request_line_that_is_none(server, line):
    with Connection(server.address, timeout=3) as raw:
        raw.send(line + b"Host: x\r\nConnection: close\r\n\r\n")
        data = raw.rest()
    assert data == b"" or data.startswith((
        b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 405", b"HTTP/1.1 505", b"HTTP/1.0 400",
        b"HTTP/1.0 505")), data


@pytest.mark.parametrize("lines, statuses", [
    ([], [400]), (["Host: a", "Host: b"], [400]), (["Host: a", "Host: a"], [400]),
    (["Host:"], [200]), (["Host: a", "Connection: close"], [200]), (["Host : a"], [400]),
    (["Host: a\r\n b"], [400]), (["Host: a\0b"], [400]), (["Host: a", "X: \x01"], [400]),
    (["Host: a", "X: \x7f"], [400]), (["Host: a", "X: \xe9"], [200]),
    (["Host: a", 'Cookie: a=b; c="d e"; f', "X: y"], [200]),
    (["X: " + "y" * 20_000, "Host: a", "Z: " + "z" * 8000], [200]),
    (["Host: a", "X:  \t y z \t"], [200]), (["X:", "Host: a"], [200]),
])
def test_host_and_other_lines(server, lines, statuses):
    with Connection(server.address, timeout=3) as raw:
        raw.send("\r\n".join(["GET /healthz HTTP/1.1", *lines, "", ""]))
        assert [raw.answer().status] == statuses


def test_large_heads_in_pieces_are_plain(server, bearer):
    """libmicrohttpd's room for a head grows meanwhile; nothing in it moves."""
    lines = "".join(f"X-{n}: {'v' * 300}\r\n" for n in range(80))
    request = f"GET {API}/whoami?x HTTP/1.1\r\n{lines}Host: x\r\n{bearer}\r\n\r\n".encode()
    with Connection(server.address, timeout=3) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for size in (997, 8000, len(request)):
            for start in range(0, len(request), size):
                raw.send(request[start:start + size])
                time.sleep(0.001)
            answer = raw.answer()
            assert answer.status == 400 and answer.slug() == "bad-query"
        raw.send(request.replace(b"?x", b"") * 2)
        assert [raw.answer().status for _ in range(2)] == [200, 200]


def test_no_host_ends_the_connection(server, bearer, hidden):
    """Also where its length is one that is refused later than its host."""
    for lines in (["Content-Length: 0", f"Content-Length: {len(hidden)}"], []):
        head = "\r\n".join([f"POST {API}/models HTTP/1.1", bearer, JSON, *lines, "", ""])
        check_refused(*exchange(server, head.encode() + hidden))


def test_another_host_in_the_target_leads_to_the_same(server):
    for target in ("http://elsewhere/healthz", "HTTPS://elsewhere:1/healthz", "/healthz"):
        with Connection(server.address, timeout=3) as raw:
            raw.request("GET", target)
            assert raw.answer().json() == {"status": "ok"}


def test_http_1_0_and_keep_alive(server):
    one = b"GET /healthz HTTP/1.0\r\n\r\n"
    answers, closed = exchange(server, one + one)
    assert closed and [answer.status for answer in answers] == [200]
    kept = b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answers, closed = exchange(server, kept + kept + one)
    assert closed and [answer.status for answer in answers] == [200] * 3


# ---- floods ---------------------------------------------------------------------------------

def test_flood_of_pipelined_requests(server, bearer):
    """All are answered in their order, however many wait in the pipe."""
    count = 2000
    request = f"GET {API}/none HTTP/1.1\r\nHost: x\r\n{bearer}\r\nX-Request-Id: f%d\r\n\r\n"
    with Connection(server.address) as raw:
        for start in range(0, count, 100):
            raw.send("".join(request % n for n in range(start, start + 100)))
            for number in range(start, start + 100):
                answer = raw.answer()
                assert answer.status == 404
                assert answer.header("x-request-id") == f"f{number}"


def test_flood_that_nobody_reads_the_answers_of(server, bearer):
    """The pipe fills up, and the server stops reading; it takes no memory for it."""
    one = f"GET {API}/none HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n".encode() * 100
    before = server.rss_anon()
    with Connection(server.address, timeout=1, receive_buffer=4096) as raw:
        with pytest.raises((TimeoutError, ConnectionError)):
            for _ in range(20_000):
                raw.send(one)
        assert server.rss_anon() - before < 8 << 20
        server.anonymous().get("//healthz", expect=200)


@pytest.mark.parametrize("lines", [
    ["X-A: b"] * 3000, [f"X-{n}: " + "v" * 400 for n in range(110)], ["A:"] * 101,
    ["Cookie: " + "a=b; " * 9000], ["X" * 50_000 + ": y"], ["X: " + "y" * 50_000],
], ids=["many", "many long", "one too many", "cookie", "long name", "long value"])
def test_flood_of_headers(server, bearer, lines):
    """431, and the room for a head is bounded, not that of each line."""
    answers, closed = exchange(server, post(bearer, lines, b""))
    assert closed and [answer.status for answer in answers] in ([431], [])
    server.anonymous().get("//healthz", expect=200)
