# SPDX-License-Identifier: Apache-2.0
"""Garbage collection: what can still be named stays, the rest goes with its files."""
import os
import threading
import time

import pytest

from support.chain import make_bytes, sha256
from support.cli import Cli
from support.consistency import problems
from support.stratad import wait_until

OPTIONS = {"lease": "1s", "purge_after": "0", "upload_expiry": "7d"}


@pytest.fixture
def quick(make_server):
    """Leases end after a second, deleted versions are purged at once."""
    return make_server(**OPTIONS)


def collect(server):
    """A whole run, after the leases that have ended were noticed; what it did."""
    api = server.api()
    number = api.post("/gc", expect=202).json()["run"]

    def ended():
        shown = api.get("/gc", expect=200).json()
        last = shown["last"]
        return last if last and last["run"] >= number and shown["state"] == "idle" else None

    last = wait_until(ended, 30, "the run has ended")
    assert last["error"] == ""
    return last


def end_leases(server):
    """As if they had been given long ago."""
    server.database.rows("UPDATE leases SET until = now() - interval '1 hour'")
    server.database.rows(
        "WITH gone AS (DELETE FROM leases RETURNING sha256) INSERT INTO gc_candidates"
        " (sha256) SELECT DISTINCT sha256 FROM gone ON CONFLICT DO NOTHING")


def publish(api, model, *blobs, **fields):
    files = [{"path": f"f{n}", "sha256": api.put_blob(data)} for n, data in enumerate(blobs)]
    return api.post(f"/models/{model}/versions", {"files": files, **fields},
                    expect=201).json()["version"]


def count(server, digest):
    return server.database.value("SELECT count(*) FROM blobs WHERE sha256 = decode(%s, 'hex')",
                                 digest)


def test_a_deleted_version_goes_with_what_only_it_had(quick, problem):
    api = quick.api()
    own, shared = make_bytes(5000, "own"), make_bytes(6000, "shared")
    first = publish(api, "acme/net", own, shared, tags={"a": "b"}, metrics={"m": 1})
    publish(api, "acme/net", shared)
    digest = api.get(f"/models/acme/net/versions/{first}").json()["digest"]
    api.delete(f"/models/acme/net/versions/{first}", expect=200)
    end_leases(quick)
    last = collect(quick)
    assert (last["versions_purged"], last["blobs_deleted"], last["bytes_deleted"]) == (1, 1, 5000)
    assert (last["copies_removed"], last["bytes_freed"]) == (1, 5000)
    problem(api.get(f"/blobs/{sha256(own)}"), 404, "blob-not-found")
    problem(api.get(f"/blobs/{sha256(own)}/chain"), 404, "blob-not-found")
    assert api.get(f"/blobs/{sha256(shared)}").content == shared
    problem(api.get(f"/models/acme/net/versions/{first}"), 410, "version-deleted")
    problem(api.post(f"/models/acme/net/versions/{first}/restore"), 409, "conflict")
    # The tombstone: number and digest.
    assert quick.database.rows(
        "SELECT number, 'sha256:' || encode(digest, 'hex'), manifest FROM versions"
        " WHERE purged_at IS NOT NULL") == [(first, digest, None)]
    assert publish(api, "acme/net", shared) == 3
    assert not [path for path in quick.tier_files() if sha256(own) in path]
    assert problems(quick) == []
    # The same bytes again are new bytes.
    assert api.get(f"/blobs/{api.put_blob(own)}").content == own


def test_a_lease_keeps_a_blob(server):
    digest = server.api().put_blob(b"leased")
    server.database.rows("INSERT INTO gc_candidates (sha256) VALUES (decode(%s, 'hex'))", digest)
    assert collect(server)["blobs_deleted"] == 0
    assert server.api().get(f"/blobs/{digest}", expect=200).content == b"leased"


def test_a_lease_that_ends_lets_its_blob_go(make_server):
    server = make_server(lease="1s", upload_expiry="10s")  # which paces the sweep
    digest = server.api().put_blob(b"soon gone")
    wait_until(lambda: server.database.value("SELECT count(*) FROM gc_candidates"), 30,
               "the sweep saw that the lease has ended")
    assert collect(server)["blobs_deleted"] == 1
    assert count(server, digest) == 0


def test_the_walk_finds_what_was_no_candidate(server):
    digest = server.api().put_blob(b"forgotten")
    server.database.rows("DELETE FROM leases")
    assert collect(server)["blobs_deleted"] == 1
    assert count(server, digest) == 0


def test_a_dry_run_changes_nothing(quick):
    api = quick.api()
    number = publish(api, "acme/net", b"named")
    api.delete(f"/models/acme/net/versions/{number}", expect=200)
    loose = api.put_blob(b"loose")
    end_leases(quick)
    before = quick.state()
    shown = api.post("/gc", {"dry_run": True}, expect=200).json()
    assert shown == {"dry_run": True, "versions_due": 1, "blobs": 1, "bytes": 5,
                     "sha256": [loose]}
    assert quick.state() == before


def test_a_reader_ends_whole_while_its_blob_goes(quick):
    data = make_bytes(48 << 20, "long")
    api = quick.api()
    digest = api.put_blob(data)
    with api.get(f"/blobs/{digest}", stream=True, check=False) as answer:
        first = answer.raw.read(1 << 20)
        end_leases(quick)
        assert collect(quick)["blobs_deleted"] == 1
        assert first + answer.raw.read() == data
    assert problems(quick) == []


def test_all_copies_go(quick):
    """Also the one on the cold tier, once its time is over."""
    api = quick.api()
    digest = api.put_blob(b"copied " * 1000)
    move = api.post(f"/blobs/{digest}/move", {"tier": "cold"}, expect=202).json()
    wait_until(lambda: api.get(f"/moves/{move['id']}").json()["state"] == "done", 20, "moved")
    end_leases(quick)
    assert collect(quick)["blobs_deleted"] == 1
    shown = api.get("/gc").json()
    assert shown["copies_waiting"] == 1, "the cold copy waits for those who read it"
    assert problems(quick) == []
    quick.database.rows("UPDATE garbage SET since = now() - interval '1 day'")
    assert collect(quick)["copies_removed"] == 1
    assert quick.tier_files() == {}


def test_publishing_against_collection(quick):
    """Nobody is told that a version is there whose bytes are not."""
    contents = [make_bytes(2000 + n, f"racing {n}") for n in range(3)]
    stopping = threading.Event()
    failures, published = [], []

    def publisher(name):
        api = quick.api().clone()
        try:
            for number in range(40):
                files = []
                for n, data in enumerate(contents):
                    response = api.put(f"/blobs/{sha256(data)}", data=data)
                    assert response.status_code in (200, 201), response.text
                    files.append({"path": f"f{n}", "sha256": sha256(data)})
                response = api.post(f"/models/race/{name}/versions", {"files": files})
                if response.status_code == 409:
                    assert "blobs-missing" in response.text
                    continue
                assert response.status_code == 201, response.text
                version = response.json()["version"]
                for n, data in enumerate(contents):
                    shown = api.get(f"/models/race/{name}/versions/{version}/files/f{n}")
                    assert shown.status_code == 200 and shown.content == data, shown.text
                published.append(version)
                api.delete(f"/models/race/{name}/versions/{version}", expect=200)
        except Exception as error:
            failures.append(repr(error))

    def collector():
        while not stopping.is_set():
            end_leases(quick)
            try:
                collect(quick)
            except Exception as error:
                failures.append(repr(error))
                return

    threads = [threading.Thread(target=publisher, args=(f"m{n}",)) for n in range(4)]
    collecting = threading.Thread(target=collector)
    collecting.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stopping.set()
    collecting.join()
    assert failures == []
    assert published
    end_leases(quick)
    collect(quick)
    assert quick.database.value("SELECT count(*) FROM blobs") == 0
    assert problems(quick) == []


def test_a_kill_between_rows_and_files_is_made_good(quick):
    """The rows are gone, the file is not yet: the garbage row names it."""
    api = quick.api()
    digest = api.put_blob(b"half collected")
    quick.stop()
    quick.database.rows(
        "INSERT INTO garbage (id, sha256, tier, node_id, stored_size)"
        " SELECT id, sha256, tier, node_id, stored_size FROM placements")
    for table in ("leases", "placements", "chains", "blobs"):
        quick.database.rows(f"DELETE FROM {table}")
    quick.start()
    assert problems(quick) == []
    assert len(quick.tier_files()) == 1
    assert collect(quick)["copies_removed"] == 1
    assert quick.tier_files() == {}
    assert quick.api().put_blob(b"half collected") == digest


def test_what_no_row_names_goes_to_quarantine(make_server):
    server = make_server(orphan_age="1h")
    api = server.api()
    kept = api.put_blob(b"kept")
    hex_ = sha256(b"nobody's")
    strange = [server.data / "warm/sha256" / hex_[:2] / f"{hex_}.987654",
               server.data / "hot/sha256/00/notes.txt", server.data / "cold/incoming/77777"]
    for path in strange:
        path.write_text("nobody's")
    assert collect(server)["orphans_quarantined"] == 0, "too young"
    assert all(path.exists() for path in strange)
    for path in strange:
        os.utime(path, (0, time.time() - 7200))
    assert collect(server)["orphans_quarantined"] == 3
    assert not any(path.exists() for path in strange)
    aside = [path for tier in ("hot", "warm", "cold")
             for path in (server.data / tier / "quarantine").iterdir()]
    assert [path.read_text() for path in aside] == ["nobody's"] * 3
    assert api.get(f"/blobs/{kept}").content == b"kept"
    for path in aside:
        path.unlink()


def test_a_restored_database_deletes_nothing(quick):
    """The tiers have seen a later epoch: what is unknown may be a newer blob."""
    api = quick.api()
    digest = api.put_blob(b"from before the backup")
    quick.stop()
    quick.database.rows("UPDATE cluster SET epoch = 1")
    unknown = quick.data / "hot/sha256/00" / f"{'00' * 32}.900000"
    unknown.write_text("newer")
    quick.start()
    end_leases(quick)
    last = collect(quick)
    assert (last["blobs_deleted"], last["orphans_quarantined"]) == (0, 0)
    assert unknown.exists() and count(quick, digest) == 1
    unknown.unlink()


def test_the_command(quick, tmp_path):
    api = quick.api()
    cli = Cli(tmp_path, quick.base, quick.admin_token())
    digest = api.put_blob(b"loose")
    end_leases(quick)
    assert cli.text("gc", "--dry-run").splitlines() == [
        "would purge 0 versions and delete 1 blobs of 5 bytes", digest]
    assert cli.json("gc", "--wait")["blobs_deleted"] == 1
    assert cli.text("gc").startswith("run ")
