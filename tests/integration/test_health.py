# SPDX-License-Identifier: Apache-2.0
"""What watches the server: /healthz, /readyz, /metrics, and its own description."""
import re

import pytest

from support.stratad import ROOT, wait_until

SAMPLE = re.compile(r'(strata_[a-z0-9_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"'
                    r'(?:,[a-z]+="(?:[^"\\]|\\.)*")*\})? (-?[0-9.e+]+|\+Inf|NaN)')


@pytest.fixture
def server(shared_server):
    return shared_server


def test_no_token_is_needed(anonymous):
    for path in ("//healthz", "//readyz"):
        assert anonymous.get(path, expect=200).json() == {"status": "ok"}


def test_ready_only_while_postgresql_answers(make_server, problem):
    server = make_server()
    caller = server.anonymous()
    caller.get("//readyz", expect=200)
    server.database.allow_connections(False)
    answer = caller.get("//readyz")
    problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    caller.get("//healthz", expect=200)
    server.database.allow_connections(True)
    wait_until(lambda: caller.get("//readyz").status_code == 200, what="it is ready")


def test_metrics_need_a_reader(anonymous, reader, problem):
    problem(anonymous.get("//metrics"), 401, "unauthenticated")
    answer = reader.get("//metrics", expect=200)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_metrics_are_prometheus_text(reader):
    reader.get("/whoami", expect=200)
    text = reader.get("//metrics", expect=200).text
    assert text.endswith("\n")
    described, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert kind in ("counter", "gauge", "histogram")
            described[name] = kind
        elif not line.startswith("# HELP "):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in described or described[family] == "histogram"
            samples[name + (labels or "")] = float(value)
    assert samples["strata_ready"] == 1
    assert samples["strata_process_anonymous_bytes"] > 1 << 19
    assert samples["strata_process_open_fds"] > 5
    assert samples["strata_http_requests_active"] >= 1
    key = 'strata_http_requests_total{route="/api/v1/whoami",status="200"}'
    assert samples[key] >= 1
    for name, kind in described.items():
        assert kind != "counter" or name.endswith("_total"), name


def test_metrics_count_requests_and_bytes(server, publisher, reader):
    def sample(name):
        text = reader.get("//metrics", expect=200).text
        found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)
        return int(found[1]) if found else 0

    received = sample("strata_http_received_bytes_total")
    unknown = sample('strata_http_requests_total{route="none",status="404"}')
    publisher.put_blob(b"x" * 100000)
    reader.get("/no/such/route", check=False, expect=404)
    assert sample("strata_http_received_bytes_total") >= received + 100000
    assert sample(
        'strata_http_requests_total{route="none",status="404"}') == unknown + 1


def test_openapi_is_the_file(anonymous):
    answer = anonymous.get("/openapi.yaml", expect=200)
    assert answer.headers["Content-Type"] == "application/yaml"
    assert answer.content == (ROOT / "docs" / "openapi.yaml").read_bytes()
