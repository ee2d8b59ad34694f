# SPDX-License-Identifier: Apache-2.0
"""The tier store of a bucket, against a real S3 server that checks signatures."""
import hashlib
import os
import subprocess

import pytest

from support.s3 import ACCESS_KEY, SECRET_KEY
from support.s3proxy import S3Proxy
from support.stratad import BUILD
from support.tier_driver import Failed, TierDriver

SUITE = BUILD / "tests/unit/test_tier_store"
MIB = 1 << 20


@pytest.fixture
def tier(bucket):
    with TierDriver(bucket, prefix="strata/") as tier:
        yield tier


def run_suite(bucket, endpoint, **settings):
    done = subprocess.run([SUITE], env=bucket.environment(endpoint, **settings),
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("prefix", ["", "a/b c+ü/"])
def test_keeps_the_promises_of_a_tier_store(bucket, prefix):
    run_suite(bucket, None, prefix=prefix)
    assert all(key.startswith(prefix) for key in bucket.keys())


def test_keeps_them_through_tls(bucket, s3_server):
    """Parts are then sent unsigned, in what TLS protects."""
    run_suite(bucket, s3_server.https_endpoint, ca_file=s3_server.certificate)


def test_keeps_them_when_the_bucket_is_the_host(bucket, s3_server):
    run_suite(bucket, f"http://localhost:{s3_server.port}", style="virtual")


def test_certificate_that_nobody_vouches_for_is_refused(bucket, s3_server):
    with TierDriver(bucket, s3_server.https_endpoint, timeout_ms=1000) as tier:
        with pytest.raises(Failed, match="unavailable .*certificate"):
            tier.write(1, 1)
    assert bucket.keys() == []


def test_keeps_to_its_prefix(bucket, tier):
    """What others have in the bucket, finished or not, is neither listed nor swept."""
    begun = bucket.call("POST", "others/big", "uploads=")[1]
    assert b"<UploadId>" in begun
    for key in ("others/sha256/00/x", "sha256/00/x", "strata", "strata/other", "strata2/y"):
        bucket.put(key, b"theirs")
    tier.write(1, 10)
    assert tier.run("list") == ["1"]
    assert tier.run("sweep", 3600) == ["0"]
    uploads = bucket.call("GET", query="uploads=")[1]
    assert b"others/big" in uploads
    assert len(bucket.keys()) == 6


def test_object_is_named_by_blob_and_placement(bucket, tier):
    key, sha256 = tier.write(77, 5000)
    assert bucket.keys() == [f"strata/{key}"]
    assert key.endswith(".77")
    assert hashlib.sha256(bucket.get(f"strata/{key}")).hexdigest() == sha256


def test_large_copy_is_sent_in_parts(bucket, s3_proxy):
    with TierDriver(bucket, s3_proxy.endpoint) as tier:
        key, sha256 = tier.write(1, 37 * MIB + 5, 40 * MIB)
    assert hashlib.sha256(bucket.get(key)).hexdigest() == sha256
    assert s3_proxy.count("PUT", "partNumber=") == 5
    assert s3_proxy.count("PUT") == 5


def test_copy_within_its_part_is_one_put(bucket, s3_proxy):
    with TierDriver(bucket, s3_proxy.endpoint) as tier:
        tier.write(1, 8 * MIB, 100 * MIB)
    assert s3_proxy.count("PUT") == 1
    assert s3_proxy.count("POST") == 0


def test_list_goes_over_several_pages(bucket, tier):
    keys = [f"strata/sha256/{n % 256:02x}/{n:064x}.{n + 1}" for n in range(1203)]
    for key in keys:
        bucket.put(key, b"x")
    assert tier.run("list") == ["1203"]


def begin_uploads(bucket, *keys):
    for key in keys:
        assert bucket.call("POST", key, "uploads=")[0] == 200


def test_removal_takes_an_unfinished_write_with_it(bucket, tier):
    """What a killed server left of this very copy, and of no other."""
    key, _ = tier.write(5, 10)
    begin_uploads(bucket, f"strata/{key}", f"strata/{key}", f"strata/{key}0")
    tier.run("remove", 5)
    assert bucket.keys() == []
    uploads = bucket.call("GET", query="uploads=")[1].decode()
    assert uploads.count("<UploadId>") == 1
    assert f"<Key>strata/{key}0</Key>" in uploads


def test_sweep_takes_stale_uploads(bucket, tier):
    begin_uploads(bucket, "strata/sha256/00/a.1", "strata/sha256/ff/b.2")
    assert tier.run("sweep", -3600) == ["0"]
    assert tier.run("sweep", 3600) == ["2"]
    assert b"<UploadId>" not in bucket.call("GET", query="uploads=")[1]


def test_wrong_secret_is_refused_at_once(bucket, tmp_path):
    wrong = tmp_path / "credentials"
    wrong.write_text(f"access_key = {ACCESS_KEY}\nsecret_key = wrong\n")
    with TierDriver(bucket, credentials=wrong) as tier:
        with pytest.raises(Failed, match="unavailable .*403 SignatureDoesNotMatch"):
            tier.write(1, 1)
        assert tier.seconds < 5


def test_changed_credentials_are_read_again(bucket, tmp_path):
    """Those that stratad started with expire; the file then holds others."""
    credentials = tmp_path / "credentials"
    credentials.write_text("access_key = gone\nsecret_key = gone\n")
    with TierDriver(bucket, credentials=credentials) as tier:
        with pytest.raises(Failed, match="403"):
            tier.write(1, 1)
        new = tmp_path / "new"
        new.write_text(f"access_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\n")
        os.replace(new, credentials)
        tier.write(1, 1)


def test_missing_credentials_are_named(bucket, tmp_path):
    with TierDriver(bucket, credentials=tmp_path / "none") as tier:
        with pytest.raises(Failed, match="unavailable no credentials for the bucket: .*none"):
            tier.stat(1)


def test_missing_bucket_is_no_missing_copy(bucket):
    """A copy is missing only when its bucket says so."""
    bucket.name = "bucket-that-is-not-there"
    with TierDriver(bucket) as tier:
        for command in (("stat", 1), ("read", 1, 0, 1), ("list",), ("identity",)):
            with pytest.raises(Failed, match="unavailable .*NoSuchBucket"):
                tier.run(*command)


def test_unreachable_endpoint_ends_with_the_deadline(bucket, s3_proxy):
    endpoint = s3_proxy.endpoint
    s3_proxy.go_away()
    with TierDriver(bucket, endpoint, timeout_ms=2000) as tier:
        with pytest.raises(Failed, match="unavailable .*tries"):
            tier.read(1, 0, 1)
        assert tier.seconds < 3


def test_range_costs_what_the_link_costs(bucket, s3_server):
    """One request, and no byte more than the range has; 15 ms and 10 MB/s."""
    with TierDriver(bucket) as direct:
        key, _ = direct.write(1, 8 * MIB)
        sha256 = direct.read(1, MIB, 4 * MIB)
    with S3Proxy(s3_server, latency=0.015, rate=10e6) as proxy:
        with TierDriver(bucket, proxy.endpoint) as tier:
            assert tier.read(1, MIB, 4 * MIB) == sha256
            assert tier.seconds >= 4 * MIB / 10e6 + 0.015
        assert proxy.requests == [("GET", f"/{bucket.name}/{key}")]
        assert dict(proxy.sent) == {f"/{bucket.name}/{key}": 4 * MIB}
