# SPDX-License-Identifier: Apache-2.0
"""The tier store of a bucket through a proxy that fails: what heals is got over, what
does not ends within the deadline and says why, and no byte is ever wrong."""
import hashlib
import subprocess
import time

import pytest

from support.stratad import BUILD
from support.tier_driver import Failed, TierDriver

SUITE = BUILD / "tests/unit/test_tier_store"
MIB = 1 << 20
TIMEOUT_S = 6  # one try that hangs is given up after a quarter of it
SLACK_S = 2

PASSING = [
    ("status", {"status": 500, "code": "InternalError"}),
    ("status", {"status": 503, "code": "SlowDown"}),
    ("status", {"status": 503, "code": "ServiceUnavailable"}),
    ("status", {"status": 429, "code": "TooManyRequests"}),
    ("reset", {}),
    ("lose_answer", {}),
    ("hang", {}),
]
NAMES = [f"{kind}-{more.get('code', '')}".rstrip("-") for kind, more in PASSING]


@pytest.fixture
def tier(bucket, s3_proxy):
    with TierDriver(bucket, s3_proxy.endpoint, timeout_ms=TIMEOUT_S * 1000) as tier:
        yield tier


@pytest.mark.parametrize("kind, more", PASSING, ids=NAMES)
@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET", "DELETE"])
def test_gets_over_what_passes(tier, s3_proxy, bucket, method, kind, more):
    fault = s3_proxy.fault(kind, count=2, method=method, **more)
    key, sha256 = tier.write(1, 100000)
    assert tier.stat(1) == 100000
    assert tier.read(1, 0, 100000) == sha256
    assert hashlib.sha256(bucket.get(key)).hexdigest() == sha256
    tier.run("remove", 1)
    assert bucket.keys() == []
    assert fault.struck == 2
    # libcurl itself repeats what fails on a connection that it kept.
    if kind in ("status", "hang"):
        assert tier.counters()["retries"] == 2


@pytest.mark.parametrize("kind, more", PASSING, ids=NAMES)
@pytest.mark.parametrize("match, method", [
    ("uploads=", "POST"), ("partNumber=2", "PUT"), ("uploadId=", "POST")])
def test_gets_over_what_passes_in_parts(tier, s3_proxy, bucket, match, method, kind, more):
    """Create, a part, and complete: also when it was done and only its answer is lost."""
    fault = s3_proxy.fault(kind, count=1, method=method, match=match, **more)
    key, sha256 = tier.write(1, 20 * MIB, 30 * MIB)
    assert fault.struck == 1
    assert hashlib.sha256(bucket.get(key)).hexdigest() == sha256


@pytest.mark.parametrize("completed", [True, False])
def test_completion_that_finds_no_upload(tier, s3_proxy, bucket, completed):
    """Its answer was lost and the server has forgotten the upload: the object decides."""
    if completed:
        s3_proxy.fault("lose_answer", method="POST", match="uploadId=")
    s3_proxy.fault("status", method="POST", match="uploadId=", status=404,
                   code="NoSuchUpload")
    if completed:
        key, sha256 = tier.write(1, 20 * MIB, 30 * MIB)
        assert hashlib.sha256(bucket.get(key)).hexdigest() == sha256
    else:
        with pytest.raises(Failed, match="unavailable .*is not there"):
            tier.write(1, 20 * MIB, 30 * MIB)
        assert b"<UploadId>" not in bucket.call("GET", query="uploads=")[1]


@pytest.mark.parametrize("kind, more, why", [
    ("status", {"status": 500}, "500 InternalError.*tries"),
    ("status", {"status": 503, "code": "SlowDown"}, "503 SlowDown.*tries"),
    ("status", {"status": 403, "code": "AccessDenied"}, "403 AccessDenied"),
    ("status", {"status": 301, "code": "PermanentRedirect"}, "301 PermanentRedirect"),
    ("reset", {}, "tries"),
    ("hang", {}, "tries"),
], ids=lambda value: str(value) if isinstance(value, str) else None)
def test_what_does_not_pass_ends_within_the_deadline(tier, s3_proxy, kind, more, why):
    tier.write(1, 1000)
    s3_proxy.fault(kind, count=None, **more)
    with pytest.raises(Failed, match=f"unavailable .*{why}"):
        tier.read(1, 0, 1000)
    assert tier.seconds < TIMEOUT_S + SLACK_S
    s3_proxy.heal()


def test_refusal_is_not_repeated(tier, s3_proxy):
    s3_proxy.fault("status", count=None, status=403, code="AccessDenied")
    with pytest.raises(Failed):
        tier.write(1, 1000)
    assert len(s3_proxy.requests) == 1
    assert tier.counters()["refused"] == 1


def test_full_bucket_is_told_apart(tier, s3_proxy):
    s3_proxy.fault("status", status=403, code="QuotaExceeded")
    with pytest.raises(Failed, match="insufficient-storage"):
        tier.write(1, 1000)


def test_read_goes_on_where_it_was_cut(tier, s3_proxy):
    """The connection ends cleanly in the middle of the body, again and again."""
    size = 4 * MIB
    _, sha256 = tier.write(1, size)
    before = s3_proxy.sent.total()
    s3_proxy.fault("cut", count=5, method="GET", after=700000)
    assert tier.read(1, 0, size) == sha256
    assert s3_proxy.count("GET") == 6
    # Not a byte twice but what was on its way when the connection ended.
    assert s3_proxy.sent.total() - before <= size


def test_body_that_never_comes_whole_is_no_success(tier, s3_proxy):
    tier.write(1, 5000)
    s3_proxy.fault("cut", count=None, method="GET", after=0)
    with pytest.raises(Failed, match="unavailable"):
        tier.read(1, 0, 5000)
    assert tier.seconds < TIMEOUT_S + SLACK_S


def test_bits_flipped_on_the_way_are_seen_when_read_back(tier, s3_proxy):
    """Not every server holds a body against its signed hash: this one does not, and the
    move that wrote the copy has to."""
    s3_proxy.fault("flip_request", method="PUT", at=4321)
    _, sha256 = tier.write(1, 3 * MIB)
    assert tier.read(1, 0, 3 * MIB) != sha256
    tier.run("remove", 1)
    _, sha256 = tier.write(2, 3 * MIB)
    s3_proxy.fault("flip", method="GET", at=1234567)
    assert tier.read(2, 0, 3 * MIB) != sha256
    assert tier.read(2, 0, 3 * MIB) == sha256


def test_object_that_was_acknowledged_and_lost_is_noticed(tier, s3_proxy):
    s3_proxy.fault("lose_object", method="PUT")
    with pytest.raises(Failed, match="unavailable .*was acknowledged, and is not there"):
        tier.write(1, 1000)
    assert tier.stat(1) is None


def test_part_that_was_acknowledged_and_lost_is_noticed(tier, s3_proxy, bucket):
    s3_proxy.fault("lose_object", method="PUT", match="partNumber=2")
    with pytest.raises(Failed, match="unavailable"):
        tier.write(1, 20 * MIB, 30 * MIB)
    assert tier.stat(1) is None
    assert b"<UploadId>" not in bucket.call("GET", query="uploads=")[1]


def test_late_deletion_meets_no_later_copy(tier, s3_proxy, bucket):
    """Invariant 4: the next copy of the blob has another name."""
    tier.write(1, 1000)
    s3_proxy.fault("late", method="DELETE", delay=1.0)
    tier.run("remove", 1)
    key, _ = tier.write(2, 1000)
    s3_proxy.finish_late()
    assert bucket.keys() == [key]


def test_late_put_is_seen_as_an_orphan(tier, s3_proxy):
    """A PUT that timed out everywhere and is executed after the copy was given up."""
    s3_proxy.fault("late", method="PUT", delay=TIMEOUT_S + 1.0)
    s3_proxy.fault("reset", count=None, method="PUT")
    with pytest.raises(Failed, match="unavailable"):
        tier.write(1, 1000)
    s3_proxy.heal()
    tier.run("remove", 1)
    assert tier.run("list") == ["0"]
    s3_proxy.finish_late()
    assert tier.run("list") == ["1"]
    tier.run("remove", 1)
    assert tier.run("list") == ["0"]


@pytest.mark.parametrize("status, code, words", [
    (202, "", "was asked to bring it back"),
    (409, "RestoreAlreadyInProgress", "was asked to bring it back"),
    (403, "AccessDenied", "does not bring it back: .*403 AccessDenied"),
])
def test_archived_copy_is_asked_back(tier, s3_proxy, status, code, words):
    tier.write(1, 1000)
    s3_proxy.fault("archived", count=None, method="GET", match="sha256/")
    s3_proxy.fault("status", count=None, method="POST", status=status, code=code)
    with pytest.raises(Failed, match=f"archived .*InvalidObjectState.*{words}"):
        tier.read(1, 0, 1000)
    assert s3_proxy.count("GET", "sha256/") == 1
    assert s3_proxy.count("POST", "?restore=") == 1


def test_breaker_opens_and_closes(bucket, s3_proxy):
    """While the bucket is away its callers are told at once; when it is back, it is used."""
    with TierDriver(bucket, s3_proxy.endpoint, timeout_ms=2500) as tier:
        _, sha256 = tier.write(1, 1000)
        assert tier.counters()["breaker"] == 0
        s3_proxy.fault("status", count=None, status=500)
        for _ in range(4):
            with pytest.raises(Failed, match="500 InternalError|nothing is sent"):
                tier.read(1, 0, 1000)
            if tier.counters()["breaker"] == 2:
                break
        assert tier.counters()["breaker"] == 2
        before = len(s3_proxy.requests)
        with pytest.raises(Failed, match="unavailable .*nothing is sent for"):
            tier.read(1, 0, 1000)
        assert tier.seconds < 0.5
        assert len(s3_proxy.requests) == before
        s3_proxy.heal()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                assert tier.read(1, 0, 1000) == sha256
                break
            except Failed as failed:
                assert "nothing is sent" in str(failed)
                time.sleep(0.1)
        assert tier.counters()["breaker"] == 0
        assert tier.read(1, 0, 1000) == sha256


def test_throttling_does_not_open_the_breaker(bucket, s3_proxy):
    with TierDriver(bucket, s3_proxy.endpoint, timeout_ms=8000) as tier:
        _, sha256 = tier.write(1, 1000)
        s3_proxy.fault("status", count=5, status=503, code="SlowDown")
        assert tier.read(1, 0, 1000) == sha256
        counters = tier.counters()
        assert counters["breaker"] == 0
        assert counters["throttled"] == 5


def test_counts_what_happened(tier, s3_proxy):
    tier.write(1, 1000)
    s3_proxy.fault("cut", count=1, method="GET", after=10)
    s3_proxy.fault("status", count=1, method="GET", status=500)
    tier.read(1, 0, 1000)
    counters = tier.counters()
    assert counters["requests"] == len(s3_proxy.requests) == 5
    assert counters["retries"] == 2
    assert counters["network"] == 1
    assert counters["server"] == 1
    assert counters["sent"] == 1000
    assert counters["received"] >= 1000


def test_given_up_copy_is_aborted(tier, s3_proxy, bucket):
    """A part fails for good: the upload goes, at once or with the removal."""
    s3_proxy.fault("status", count=None, method="PUT", match="partNumber=3", status=403,
                   code="AccessDenied")
    with pytest.raises(Failed, match="403 AccessDenied"):
        tier.write(1, 40 * MIB, 50 * MIB)
    assert b"<UploadId>" not in bucket.call("GET", query="uploads=")[1]
    assert bucket.keys() == []


def test_keeps_the_promises_under_steady_faults(bucket, s3_proxy):
    """The whole suite of the tier store, while every few requests fail."""
    faults = [
        s3_proxy.fault("status", count=None, every=11),
        s3_proxy.fault("reset", count=None, every=13),
        s3_proxy.fault("status", count=None, every=17, status=503, code="SlowDown"),
        s3_proxy.fault("lose_answer", count=None, every=19),
        s3_proxy.fault("cut", count=None, every=5, method="GET", match="sha256/",
                       after=3000),
    ]
    done = subprocess.run([SUITE], env=bucket.environment(s3_proxy.endpoint),
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(fault.struck > 5 for fault in faults)
