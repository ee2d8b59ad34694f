# SPDX-License-Identifier: Apache-2.0
"""What start-up finds after a crash between any two steps, on a tier that is not ours,
and beside a database that was restored from a backup."""
import json
import os
import shutil

import pytest

from support.chain import CHUNK, chain_of, make_bytes, sha256
from support.stratad import wait_until

DATA = make_bytes(CHUNK + 100, "repair")
DIGEST = sha256(DATA)


class Tier:
    """The hot tier of a stopped server."""

    def __init__(self, server):
        self.root = server.data / "hot"
        self.identity = self.root / "strata-tier.json"

    def final(self, digest, number):
        return self.root / "sha256" / digest[:2] / f"{digest}.{number}"

    def incoming(self, number):
        return self.root / "incoming" / str(number)

    def quarantined(self):
        return sorted(path.name for path in (self.root / "quarantine").iterdir())


@pytest.fixture
def tier(server):
    return Tier(server)


def placement_of(server, upload):
    return server.database.value(
        "SELECT placement_id FROM uploads WHERE id = %s", upload["id"])


def make_full_upload(server, **fields):
    api = server.api()
    upload = api.begin_upload(DATA, **fields)
    api.put_part(upload, DATA, 0, expect=204)
    return upload


def crash_in_complete(server, upload, tier, final):
    """The state after a crash: the row says completing, the file is here or there."""
    number = placement_of(server, upload)
    server.kill()
    server.database.rows(
        "UPDATE uploads SET state = 'completing', sha256 = decode(%s, 'hex'),"
        " chain = decode(%s, 'hex') WHERE id = %s",
        DIGEST, "".join(chain_of(DATA)), upload["id"])
    path = tier.incoming(number)
    path.chmod(0o440)
    if final:
        path.rename(tier.final(DIGEST, number))
    return number


# ---- crashes between two steps ---------------------------------------------------

@pytest.mark.parametrize("final", [False, True], ids=["before", "after"])
def test_crash_around_the_rename(server, tier, final):
    upload = make_full_upload(server)
    number = crash_in_complete(server, upload, tier, final)
    server.start()
    api = server.api()
    shown = api.get(f"/uploads/{upload['id']}", expect=200).json()
    assert shown["state"] == "open" and shown["received"] == [0]
    assert tier.incoming(number).exists() and not tier.final(DIGEST, number).exists()
    assert api.complete(upload, expect=201).json()["sha256"] == DIGEST
    assert api.get(f"/blobs/{DIGEST}").content == DATA
    assert tier.quarantined() == []


def test_crash_after_the_commit_of_a_second_copy(server, tier):
    """Done, with another upload's placement: the file that is left is removed."""
    upload = make_full_upload(server)
    number = placement_of(server, upload)
    api = server.api()
    api.put_blob(DATA)
    api.complete(upload, expect=201)
    server.kill()
    shutil.copy(next(tier.root.glob(f"sha256/*/{DIGEST}.*")), tier.final(DIGEST, number))
    server.start()
    assert not tier.final(DIGEST, number).exists()
    assert tier.quarantined() == []
    assert server.api().complete(upload, expect=201).json()["sha256"] == DIGEST


def test_crash_before_the_file_was_made(server, tier, problem):
    upload = server.api().begin_upload(DATA)
    number = placement_of(server, upload)
    server.kill()
    tier.incoming(number).unlink()
    server.start()
    problem(server.api().get(f"/uploads/{upload['id']}"), 404, "upload-not-found")
    assert server.database.value("SELECT count(*) FROM uploads") == 0


def test_crash_in_a_single_body(server, tier):
    """Nobody can go on with the body of PUT /blobs: its row and file go."""
    upload = server.api().begin_upload(DATA)
    number = placement_of(server, upload)
    server.kill()
    server.database.rows("UPDATE uploads SET resumable = false")
    server.start()
    assert not tier.incoming(number).exists()
    assert server.database.value("SELECT count(*) FROM uploads") == 0


def test_repair_twice_is_repair_once(server, tier):
    upload = make_full_upload(server, sha256=False)
    crash_in_complete(server, upload, tier, True)
    server.start()
    first = server.state()
    server.kill()
    server.start()
    assert server.state() == first
    server.api().complete(upload, expect=201)


# ---- what nothing names, what is missing -----------------------------------------

def test_unknown_files_go_to_quarantine(server, tier):
    digest = server.api().put_blob(DATA)
    server.kill()
    number = int(next(tier.root.glob(f"sha256/*/{digest}.*")).name.partition(".")[2])
    strays = [tier.incoming(number + 100), tier.incoming("name"),
              tier.final(digest, number + 101), tier.final("ab" * 32, 7),
              tier.final(digest, number).with_name("notes.txt")]
    for path in strays:
        path.write_text(path.name)
    server.start()
    assert not any(path.exists() for path in strays)
    kept = [(tier.root / "quarantine" / name).read_text()
            for name in tier.quarantined()]
    assert sorted(kept) == sorted(path.name for path in strays)
    assert server.api().get(f"/blobs/{digest}").content == DATA
    server.is_damaged = True  # files in quarantine have no row


def test_invariant_4_a_name_is_never_used_twice(server, tier):
    """Also when the database has forgotten numbers that files bear."""
    api = server.api()
    number = placement_of(server, api.begin_upload(DATA))
    server.kill()
    tier.incoming(number + 1000).write_text("from a later time")
    server.start()
    assert placement_of(server, server.api().begin_upload(DATA)) > number + 1000
    server.is_damaged = True  # a file is in quarantine


def test_invariant_4_a_second_copy_has_a_name_of_its_own(server, tier):
    """Deleting the one late can never meet the other."""
    api = server.api()
    first, second = make_full_upload(server), make_full_upload(server)
    numbers = [placement_of(server, upload) for upload in (first, second)]
    assert numbers[0] != numbers[1]
    api.complete(first, expect=201)
    api.complete(second, expect=201)
    assert tier.final(DIGEST, numbers[0]).exists()
    assert not tier.final(DIGEST, numbers[1]).exists()


def test_lost_file_is_503_and_an_upload_heals_it(server, tier, problem):
    api = server.api()
    digest = api.put_blob(DATA)
    server.kill()
    path = next(tier.root.glob(f"sha256/*/{digest}.*"))
    path.unlink()
    server.start()
    assert "is missing" in server.log()
    api = server.api()
    problem(api.get(f"/blobs/{digest}"), 503, "unavailable")
    upload = api.begin_upload(DATA)  # not "here": the caller is asked for the bytes
    api.put_part(upload, DATA, 0, expect=204)
    api.complete(upload, expect=201)
    assert api.get(f"/blobs/{digest}", expect=200).content == DATA
    assert server.database.value("SELECT count(*) FROM placements") == 1


def test_file_of_another_size_is_not_served_and_an_upload_heals_it(
        server, tier, problem):
    digest = server.api().put_blob(DATA)
    server.kill()
    path = next(tier.root.glob(f"sha256/*/{digest}.*"))
    path.chmod(0o640)
    path.write_bytes(DATA[:-1])
    server.start()
    api = server.api()
    problem(api.get(f"/blobs/{digest}"), 503, "unavailable")
    api.put_blob(DATA)
    assert api.get(f"/blobs/{digest}", expect=200).content == DATA
    assert server.database.value("SELECT count(*) FROM placements") == 1
    server.restart()
    assert not path.exists()  # what nothing names any more is in quarantine
    assert server.api().get(f"/blobs/{digest}", expect=200).content == DATA


def test_file_that_is_cut_while_it_is_open_is_not_served(server, tier, problem):
    """sendfile would send what is there and then wait for the rest, busily."""
    api = server.api()
    digest = api.put_blob(DATA)
    assert api.get(f"/blobs/{digest}", expect=200).content == DATA
    path = next(tier.root.glob(f"sha256/*/{digest}.*"))
    os.truncate(path, len(DATA) - 1)
    problem(api.get(f"/blobs/{digest}"), 503, "unavailable")
    api.put_blob(DATA, expect=201)
    assert api.get(f"/blobs/{digest}", expect=200).content == DATA
    server.restart()


# ---- whose tier it is ---------------------------------------------------------------

def touch_nothing(server, tier, problem):
    """The server is up, the tier is offline: not a file of it changes, and what comes in
    goes to the next one."""
    before = {path: path.stat().st_mtime_ns for path in tier.root.rglob("*")}
    server.start()
    api = server.api()
    problem(api.get(f"/blobs/{DIGEST}"), 503, "unavailable")
    upload = api.begin_upload(b"12345")
    api.put_part(upload, b"12345", 0, expect=204)
    api.complete(upload, expect=201)
    assert api.get(f"/blobs/{api.put_blob(b'x')}").content == b"x"
    assert "offline" in server.log()
    server.stop()
    assert before == {path: path.stat().st_mtime_ns for path in tier.root.rglob("*")}


def test_invariant_7_a_foreign_tier_is_offline(server, tier, problem):
    upload = make_full_upload(server)
    server.api().put_blob(DATA)
    server.stop()
    ours = tier.identity.read_text()
    foreign = {**json.loads(ours), "cluster": "00000000-0000-4000-8000-000000000000"}
    tier.identity.write_text(json.dumps(foreign))
    tier.incoming(999).write_text("somebody's")
    touch_nothing(server, tier, problem)
    tier.incoming(999).unlink()
    tier.identity.write_text(ours)
    server.start()
    assert server.api().get(f"/blobs/{DIGEST}", expect=200).content == DATA
    server.api().complete(upload, expect=201)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cluster": 1}'])
def test_invariant_7_an_identity_that_does_not_parse_is_foreign(server, tier, problem,
                                                                content):
    server.api().put_blob(DATA)
    server.stop()
    ours = tier.identity.read_text()
    tier.identity.write_text(content)
    touch_nothing(server, tier, problem)
    tier.identity.write_text(ours)


def test_invariant_7_a_missing_mount_is_offline(server, tier, problem):
    """The folder is there and empty, as a mount point without its mount is."""
    server.api().put_blob(DATA)
    server.stop()
    away = tier.root.with_name("away")
    tier.root.rename(away)
    tier.root.mkdir()
    touch_nothing(server, tier, problem)
    assert list(tier.root.iterdir()) == []
    tier.root.rmdir()
    away.rename(tier.root)
    server.start()
    assert server.api().get(f"/blobs/{DIGEST}", expect=200).content == DATA


def test_invariant_7_a_missing_identity_on_a_used_tier_is_offline(server, tier, problem):
    server.api().put_blob(DATA)
    server.stop()
    ours = tier.identity.read_text()
    tier.identity.unlink()
    touch_nothing(server, tier, problem)
    tier.identity.write_text(ours)


def test_invariant_7_an_empty_tier_is_claimed(make_server):
    server = make_server(fresh=True)
    tier = Tier(server)
    identity = json.loads(tier.identity.read_text())
    assert identity["cluster"] == server.database.value("SELECT id::text FROM cluster")
    assert identity["tier"] == "hot/1"
    assert identity["epoch"] == server.database.value("SELECT epoch FROM cluster")
    assert len(list((tier.root / "sha256").iterdir())) == 256


def test_invariant_7_beside_a_restored_database_nothing_is_removed(server, tier):
    """The tier has seen a later epoch than the database: what the database does not name
    may be newer than the backup."""
    digest = server.api().put_blob(DATA)
    server.stop()
    server.database.rows("UPDATE cluster SET epoch = epoch - 1")
    stray = tier.final("ab" * 32, 5000)
    stray.write_text("acknowledged after the backup")
    orphan = tier.incoming(5001)
    orphan.write_text("begun after the backup")
    server.start()
    assert stray.exists() and orphan.exists() and tier.quarantined() == []
    assert "backup" in server.log()
    api = server.api()
    assert api.get(f"/blobs/{digest}", expect=200).content == DATA
    assert placement_of(server, api.begin_upload(b"new")) > 5001
    server.restart()
    assert stray.exists() and orphan.exists()
    server.is_damaged = True


# ---- what time undoes -----------------------------------------------------------------

def test_expired_uploads_are_swept(make_server):
    """The open with its file, the finished alone: its blob stays."""
    server = make_server(upload_expiry="2s")
    api = server.api()
    tier = Tier(server)
    uploads = [make_full_upload(server), api.begin_upload(b"never sent")]
    api.complete(uploads[0], expect=201)
    number = placement_of(server, uploads[1])
    assert tier.incoming(number).exists()
    wait_until(lambda: server.database.value("SELECT count(*) FROM uploads") == 0)
    assert not tier.incoming(number).exists()
    assert api.get(f"/blobs/{DIGEST}", expect=200).content == DATA


def test_many_expired_uploads_go_in_one_sweep(make_server):
    """A batch a minute would be less than a busy day leaves behind."""
    server = make_server(upload_expiry="1s")
    server.database.rows(
        "INSERT INTO uploads (principal_id, node_id, tier, size, part_size, sha256,"
        " state, expires_at) SELECT 1, 1, 'hot', 1, 4194304, sha256('x'), 'done', now()"
        " FROM generate_series(1, 1100)")
    wait_until(lambda: "uploads removed" in server.log(), what="a sweep")
    assert "count=1100" in server.log()
    assert server.database.value("SELECT count(*) FROM uploads") == 0


def test_upload_that_goes_on_does_not_expire(server):
    data = DATA
    upload = server.api().begin_upload(data)
    server.stop()
    server.database.rows("UPDATE uploads SET expires_at = now() + interval '1 minute'")
    server.start()
    server.api().put_part(upload, data, 0, expect=204)
    assert server.database.value(
        "SELECT expires_at > now() + interval '10 minutes' FROM uploads")
    server.api().complete(upload, expect=201)


def test_old_leases_are_dropped(make_server):
    server = make_server(upload_expiry="5s")
    server.api().put_blob(DATA)
    server.database.rows("UPDATE leases SET until = now() - interval '2 days'")
    wait_until(lambda: server.database.value("SELECT count(*) FROM leases") == 0)
