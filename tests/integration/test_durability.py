# SPDX-License-Identifier: Apache-2.0
"""Invariant 1, the part that `kill -9` cannot show: what was synced before an answer.

A preloaded library (support/syncs.c) notes each sync, rename and COMMIT of stratad in
their order, and can let a sync fail.
"""
import os
import pathlib
import subprocess

import pytest

from support.chain import CHUNK, make_bytes, sha256
from support.stratad import STRATA, sanitized

SOURCE = pathlib.Path(__file__).parent / "support" / "syncs.c"


@pytest.fixture(scope="module")
def library(work_folder):
    path = work_folder / "syncs.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, SOURCE, "-ldl"],
                   check=True)
    return path


class Syncs:
    """A server whose syncs are noted."""

    def __init__(self, server):
        self.server = server
        self.fail = server.folder / "fail"
        self.log = server.folder / "syncs"

    def events(self):
        """What was noted since the last call, as (what, path below the data folder)."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        root = str(self.server.data) + "/"
        return [(what, path.removeprefix(root)) for what, _, path in
                (line.partition(" ") for line in text.splitlines())]


@pytest.fixture
def make_syncs(make_server, library):
    if sanitized():
        pytest.skip("a sanitizer wants to be the first library")

    def make(**options):
        server = make_server(start=False, **options)
        syncs = Syncs(server)
        server.environment = {"LD_PRELOAD": str(library), "SYNCS_LOG": str(syncs.log),
                              "SYNCS_FAIL": str(syncs.fail)}
        server.start()
        return syncs

    return make


@pytest.fixture
def syncs(make_syncs):
    syncs = make_syncs()
    syncs.server.api().get("/whoami", expect=200)
    syncs.events()
    return syncs


def position(events, what, path, after=-1):
    """Index of the first such event behind `after`; fails when there is none."""
    for index, event in enumerate(events):
        if index > after and event == (what, path):
            return index
    raise AssertionError(f"no `{what} {path}` behind {after} in {events}")


def check_blob(events, digest):
    """file, rename, both folders, COMMIT: each durable before the next."""
    folder = f"hot/sha256/{digest[:2]}"
    renames = [path for what, path in events if what == "rename"]
    assert len(renames) == 1 and renames[0].startswith(folder[4:] + "/" + digest), events
    number = renames[0].rpartition(".")[2]
    file = position(events, "sync", f"hot/incoming/{number}")
    rename = position(events, "rename", renames[0], file)
    last = max(position(events, "sync", folder, rename),
               position(events, "sync", "hot/incoming", rename))
    position(events, "commit", "", last)


@pytest.mark.parametrize("size", [0, 1000, CHUNK + 1])
def test_invariant_1_blob_is_synced_before_its_answer(syncs, size):
    data = make_bytes(size, "durable")
    syncs.server.api().put_blob(data, expect=201)
    check_blob(syncs.events(), sha256(data))


@pytest.mark.parametrize("chained", [False, True])
def test_invariant_1_part_and_blob_are_synced_before_their_answers(syncs, chained):
    api = syncs.server.api()
    data = make_bytes(CHUNK + 1, "parts")
    upload = api.begin_upload(data, chained=chained)
    syncs.events()
    api.put_part(upload, data, 0, expect=204)
    (number,) = syncs.server.database.rows("SELECT placement_id FROM uploads")[0]
    position(syncs.events(), "sync", f"hot/incoming/{number}")
    assert syncs.server.database.value("SELECT count(*) FROM upload_parts") == 1
    api.complete(upload, expect=201)
    check_blob(syncs.events(), sha256(data))


def test_invariant_1_publish_is_committed_before_its_answer(syncs):
    api = syncs.server.api()
    digest = api.put_blob(make_bytes(10, "publish"))
    syncs.events()
    api.publish("a/b", {"f": digest})
    position(syncs.events(), "commit", "")


def test_invariant_1_folders_of_a_new_tier_are_synced(make_syncs):
    syncs = make_syncs(fresh=True)
    events = syncs.events()
    data = str(syncs.server.data)
    for folder in ("hot", "hot/sha256", data, str(syncs.server.data.parent)):
        position(events, "sync", folder)
    assert any(path.startswith("hot/strata-tier.json") for what, path in events
               if what == "sync"), events
    assert any("admin.token" in path for what, path in events if what == "sync"), events


def test_invariant_1_failed_sync_of_a_part_is_final(syncs):
    """The upload whose sync failed is discarded, its file never synced again."""
    api = syncs.server.api()
    data = make_bytes(5000, "failing part")
    upload = api.begin_upload(data)
    syncs.fail.touch()
    response = api.put_part(upload, data, 0, check=False)
    assert response.status_code in (500, 503, 507), response.text
    assert not syncs.fail.exists()
    failed = {path for what, path in syncs.events() if what == "failed"}
    assert len(failed) == 1
    again = api.put_part(upload, data, 0, check=False)
    assert again.status_code in (404, 409, 500, 503), again.text
    assert api.upload(data) == sha256(data)
    assert not failed & {path for what, path in syncs.events() if what == "sync"}
    assert failed.isdisjoint(syncs.server.tier_files())


def test_invariant_1_failed_sync_of_a_blob_is_final(syncs):
    api = syncs.server.api()
    data = make_bytes(5000, "failing blob")
    before = syncs.server.database.value("SELECT count(*) FROM blobs")
    syncs.fail.touch()
    response = api.put(f"/blobs/{sha256(data)}", data=data, check=False)
    assert response.status_code in (500, 503, 507), response.text
    assert not syncs.fail.exists()
    assert syncs.server.database.value("SELECT count(*) FROM blobs") == before
    failed = {path for what, path in syncs.events() if what == "failed"}
    assert failed
    api.put_blob(data, expect=201)
    assert not failed & {path for what, path in syncs.events() if what == "sync"}
    assert api.get(f"/blobs/{sha256(data)}", expect=200).content == data


def test_invariant_1_a_pull_is_synced_before_it_says_done(server, api, library, tmp_path):
    """The file, its folder, and the folders above that the pull has made."""
    if sanitized():
        pytest.skip("a sanitizer wants to be the first library")
    api.publish("org/pulled", {"sub/weights.bin": make_bytes(100)})
    target, log = tmp_path / "made" / "target", tmp_path / "log"
    environment = {**os.environ, "STRATA_URL": server.base,
                   "STRATA_TOKEN": api.token, "HOME": str(tmp_path),
                   "XDG_STATE_HOME": str(tmp_path / "state"), "LD_PRELOAD": str(library),
                   "SYNCS_LOG": str(log), "SYNCS_FAIL": str(tmp_path / "never")}
    subprocess.run([STRATA, "pull", "org/pulled@1", target], env=environment, check=True)
    synced = {path for what, _, path in
              (line.partition(" ") for line in log.read_text().splitlines())
              if "sync" in what}
    for folder in (tmp_path, target.parent, target, target / "sub"):
        assert str(folder) in synced, f"{folder} is not in {synced}"
    assert any("strata-partial" in path or path.endswith("weights.bin")
               for path in synced)
