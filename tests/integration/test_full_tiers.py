# SPDX-License-Identifier: Apache-2.0
"""Warm and cold tiers on file systems of their own that really fill up or become
read-only under moves, uploads and removals: nothing is lost, what is read is read, and
with room or a writable file system all goes on by itself."""
import contextlib
import pathlib
import shutil
import subprocess
import sys

import pytest

from support import moves
from support.chain import make_bytes, sha256
from support.consistency import problems, settle
from support.stratad import wait_until

sys.path.append(str(pathlib.Path(__file__).parents[1] / "fault"))
from faults.disk_image import DiskImage, Refused  # noqa: E402

MIB = 1 << 20
SIZE = 300_000
LARGE = 20 * MIB  # more than one write, less than the file system
OPTIONS = {"policy_interval": "1h", "cold_delete_after": "0", "purge_after": "0"}
BOTH = pytest.mark.parametrize("name", ["warm", "cold"])
COPIES = """
    SELECT state FROM placements WHERE sha256 = decode(%s, 'hex') AND tier = %s"""


def call(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


class Disk:
    """A file system of 48 MiB at a tier's folder."""

    def __init__(self, folder):
        self.folder = folder
        self.filler = folder / "filler"
        shutil.rmtree(folder)
        folder.mkdir()
        done = call("mount", "-t", "tmpfs", "-o", "size=48m", "strata-test", folder)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")

    def fill(self):
        """To the last byte."""
        with contextlib.suppress(OSError), open(self.filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(64 << 10))

    def make_room(self):
        self.filler.unlink()

    def become(self, mode):
        """`ro` or `rw`. Not while a file on it is open to be written: waits."""
        wait_until(lambda: call("mount", "-o", f"remount,{mode}",
                                self.folder).returncode == 0, what=f"it is {mode}")

    def copies(self):
        """Files of blobs, whole or half."""
        return sorted(path for folder in ("incoming", "sha256", "quarantine")
                      for path in (self.folder / folder).rglob("*") if path.is_file())

    def unmount(self):
        wait_until(lambda: call("umount", self.folder).returncode == 0, what="unmounted")


@pytest.fixture
def on_disks(make_server):
    """`on_disks("warm", **options)`: a server, and the disks of these tiers by name."""
    with contextlib.ExitStack() as stack:
        def make(*names, **options):
            server = make_server(start=False, **{**OPTIONS, **options})
            disks = {}
            for name in names:
                disks[name] = Disk(server.tier_folder(name))
                stack.callback(disks[name].unmount)
            stack.callback(server.close)
            server.is_damaged = True  # its files go with the mounts
            return server.start(), disks

        yield make


@pytest.fixture
def on_image(make_server):
    """`on_image("warm", **options)`: a server, and an ext4 image that the tier lies on."""
    with contextlib.ExitStack() as stack:
        def make(name, **options):
            server = make_server(start=False, **{**OPTIONS, **options})
            try:
                image = DiskImage(server.folder, "image", 200)
            except Refused as why:
                pytest.skip(f"no ext4 can be mounted here: {why}")
            stack.callback(image.close)
            stack.callback(server.close)
            server.is_damaged = True  # its files go with the image
            server.options[f"{name}_dir"] = image.mount_point / name
            return server.start(), image

        yield make


def states(server, digest, name):
    return [state for (state,) in server.database.rows(COPIES, digest, name)]


def failed(server, move):
    """The words of the attempt that has failed last."""
    return wait_until(lambda: moves.show(server, move)["error"], 40, "an attempt failed")


def all_is_well(server, data, *tiers):
    digest = sha256(data)
    settle(server)
    assert moves.tiers_of(server, digest) == tiers
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    assert problems(server) == []


# ---- full -----------------------------------------------------------------------------


@BOTH
def test_a_tier_that_fills_up_in_the_middle_of_a_move(on_disks, name):
    server, disks = on_disks(name, move_bandwidth="8M")
    disk = disks[name]
    data = moves.weights(LARGE, f"full {name}")
    digest = server.api().put_blob(data)
    move = moves.begin(server, digest, name)
    wait_until(lambda: any(path.stat().st_size > 0 for path in disk.copies()),
               what="it is half there")
    disk.fill()
    why = failed(server, move)
    assert "No space left" in why and "make room" in why, why
    # What fails is half made; now the room that it freed is too little, which is seen
    # before anything is written.
    wait_until(lambda: "give the tier more room" in moves.show(server, move)["error"],
               what="it waits")
    assert disk.copies() == [] and states(server, digest, name) == []
    assert moves.show(server, move)["state"] == "queued"
    assert moves.tiers_of(server, digest) == ("hot",)
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    disk.make_room()
    assert moves.wait(server, move, 60)["state"] == "done"
    all_is_well(server, data, name)


def test_uploads_to_a_warm_tier_that_fills_up(on_disks, problem):
    """What is under way there is refused and goes on with room; new ones go elsewhere."""
    server, disks = on_disks("warm")
    api = server.api()
    begun, fresh = make_bytes(LARGE, "begun"), make_bytes(SIZE, "fresh")
    upload = api.begin_upload(begun, tier="warm")
    disks["warm"].fill()
    problem(api.put_part(upload, begun, 0), 507, "insufficient-storage")
    assert api.get(f"/uploads/{upload['id']}", expect=200).json()["received"] == []
    api.upload(fresh, tier="warm")
    assert moves.tiers_of(server, sha256(fresh)) == ("hot",)
    disks["warm"].make_room()
    for number in range(-(-LARGE // upload["part_size"])):
        api.put_part(upload, begun, number, expect=204)
    api.complete(upload, expect=201)
    all_is_well(server, begun, "warm")


def test_uploads_to_a_full_cold_tier(on_disks):
    """They are taken, and their move to it waits."""
    server, disks = on_disks("cold")
    data = moves.weights(LARGE, "to cold")
    disks["cold"].fill()
    digest = server.api().upload(data, tier="cold")
    assert moves.tiers_of(server, digest) == ("warm",)
    move = server.database.value("SELECT id FROM moves")
    assert "give the tier more room" in failed(server, move)
    assert disks["cold"].copies() == []
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    disks["cold"].make_room()
    assert moves.wait(server, move, 60)["state"] == "done"
    all_is_well(server, data, "cold")


# ---- read-only ------------------------------------------------------------------------


@BOTH
def test_a_move_to_a_tier_that_is_read_only(on_disks, name):
    server, disks = on_disks(name)
    data = moves.weights(SIZE, f"read-only {name}")
    digest = server.api().put_blob(data)
    disks[name].become("ro")
    move = moves.begin(server, digest, name)
    assert "read-only: mount it" in failed(server, move)
    assert states(server, digest, name) == []
    assert moves.tiers_of(server, digest) == ("hot",)
    assert disks[name].copies() == []
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    disks[name].become("rw")
    assert moves.wait(server, move, 60)["state"] == "done"
    all_is_well(server, data, name)


@BOTH
def test_an_upload_to_a_tier_that_is_read_only(on_disks, name):
    """It goes elsewhere; who asked for the cold tier gets the move."""
    server, disks = on_disks(name)
    disks[name].become("ro")
    data = moves.weights(SIZE, f"elsewhere {name}")
    digest = server.api().upload(data, tier=name)
    assert moves.tiers_of(server, digest) == ("hot" if name == "warm" else "warm",)
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    disks[name].become("rw")
    settle(server)
    if name == "cold":
        assert moves.wait(server, server.database.value("SELECT id FROM moves"))
    all_is_well(server, data, "hot" if name == "warm" else "cold")


def test_uploads_under_way_on_a_tier_that_becomes_read_only(on_disks):
    """What they are asked meanwhile is refused, and nothing of them is lost."""
    server, disks = on_disks("warm")
    api = server.api()
    blobs = empty, sent, unwanted = [make_bytes(SIZE, f"under way {n}") for n in range(3)]
    uploads = [api.begin_upload(data, tier="warm") for data in blobs]
    api.put_part(uploads[1], sent, 0, expect=204)
    server.restart()  # an open file keeps its file system from being remounted
    api = server.api()
    disks["warm"].become("ro")
    gone = f"/uploads/{uploads[2]['id']}"
    for refused in (api.put_part(uploads[0], empty, 0, check=False),
                    api.complete(uploads[1], check=False), api.delete(gone, check=False)):
        assert refused.status_code in (500, 503), refused.text
        assert "Read-only file system" in refused.json()["detail"]
    disks["warm"].become("rw")
    api.put_part(uploads[0], empty, 0, expect=204)
    for upload in uploads[:2]:
        api.complete(upload, expect=201)
    api.delete(gone, expect=204)
    all_is_well(server, empty, "warm")
    all_is_well(server, sent, "warm")
    assert len(disks["warm"].copies()) == 2


@BOTH
def test_read_only_while_a_copy_is_verified(on_disks, name):
    """Nothing is written any more: the move ends."""
    server, disks = on_disks(name, move_bandwidth="12M")
    data = moves.weights(LARGE, f"verified {name}")
    digest = server.api().put_blob(data)
    move = moves.begin(server, digest, name)
    become_read_only_while_it_verifies(server, move, disks[name])
    assert moves.wait(server, move, 60)["state"] == "done"
    all_is_well(server, data, name)


def become_read_only_while_it_verifies(server, move, disk):
    wait_until(lambda: moves.show(server, move)["state"] == "verifying", 40, "it verifies")
    disk.become("ro")
    assert moves.show(server, move)["state"] == "verifying"


def test_a_demotion_from_a_tier_that_is_read_only(on_disks):
    """The copy below is made; the one above stays until it can be removed."""
    server, disks = on_disks("warm", "cold")
    data = moves.weights(SIZE, "demoted")
    digest = server.api().put_blob(data)
    moves.bring(server, digest, "warm")
    disks["warm"].become("ro")
    move = moves.begin(server, digest, "cold")
    assert "Read-only file system" in failed(server, move)
    assert moves.tiers_of(server, digest) == ("cold",)
    assert states(server, digest, "warm") == ["dropping"]
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    disks["warm"].become("rw")
    assert moves.wait(server, move, 60)["state"] == "done"
    all_is_well(server, data, "cold")
    assert disks["warm"].copies() == []


@BOTH
def test_a_promotion_from_a_tier_that_is_read_only(on_disks, name):
    """Nothing is written there."""
    server, disks = on_disks(name)
    data = moves.weights(SIZE, f"promoted {name}")
    digest = server.api().put_blob(data)
    moves.bring(server, digest, name)
    disks[name].become("ro")
    moves.bring(server, digest, "hot")
    all_is_well(server, data, "hot", name)
    disks[name].become("rw")


@BOTH
def test_a_disk_that_breaks_in_the_middle_of_a_move(on_image, name):
    """The kernel makes it read-only under an open file. The half that is there waits; on
    the repaired disk the next start removes it and the move is done."""
    server, image = on_image(name, move_bandwidth="8M")
    there, data = make_bytes(SIZE, f"there {name}"), moves.weights(LARGE, f"breaks {name}")
    api = server.api()
    moves.bring(server, api.put_blob(there), name)
    digest = api.put_blob(data)
    move = moves.begin(server, digest, name)
    half = image.mount_point / name / "incoming"
    wait_until(lambda: any(path.stat().st_size > 0 for path in half.iterdir()),
               what="it is half there")
    if not image.break_down():
        pytest.skip("the kernel has no trigger_fs_error")
    assert "ead-only" in failed(server, move)
    assert moves.tiers_of(server, digest) == ("hot",)
    assert states(server, digest, name) == ["copying"]
    for blob in (there, data):
        assert api.get(f"/blobs/{sha256(blob)}", expect=200).content == blob
    server.stop()
    image.unmount()
    image.repair()
    image.mount()
    server.start()
    assert moves.wait(server, move, 60)["state"] == "done"
    all_is_well(server, data, name)
    all_is_well(server, there, name)
    assert list(half.iterdir()) == []


@BOTH
def test_garbage_on_a_tier_that_is_read_only(on_disks, name):
    """It waits; garbage of the other tiers goes, and what is named is read."""
    server, disks = on_disks(name, gc_interval="1s")
    api = server.api()
    kept, gone, other = (make_bytes(SIZE, f"{word} {name}") for word in ("k", "g", "o"))
    api.publish("acme/kept", {"w": kept})
    api.publish("acme/gone", {"w": gone, "other": other})
    for data in (kept, gone):
        moves.bring(server, sha256(data), name)
    settle(server)
    disks[name].become("ro")
    server.database.rows("UPDATE leases SET until = now() - interval '1 hour'")
    api.delete("/models/acme/gone/versions/1", expect=200)
    wait_until(lambda: "Read-only" in (api.get("/gc").json()["last"] or {}).get("error", ""),
               30, "GC says why")
    wait_until(lambda: not [path for path in server.tier_files() if sha256(other) in path],
               30, "other garbage goes")
    assert len(disks[name].copies()) == 2
    assert api.get(f"/blobs/{sha256(kept)}", expect=200).content == kept
    assert api.get(f"/blobs/{sha256(gone)}").status_code == 404
    # The same bytes once more are not taken for the garbage.
    assert api.put_blob(gone) == sha256(gone)
    assert api.get(f"/blobs/{sha256(gone)}", expect=200).content == gone
    disks[name].become("rw")
    wait_until(lambda: server.database.value("SELECT count(*) FROM garbage") == 0, 30,
               "it is gone")
    assert len(disks[name].copies()) == 1
    all_is_well(server, kept, name)


@BOTH
def test_a_start_while_a_tier_is_read_only(on_disks, name):
    """With something to remove there. What lies on it and elsewhere is read; writable, it
    is used again."""
    server, disks = on_disks(name)
    there, here = moves.weights(SIZE, f"there {name}"), moves.weights(SIZE, f"here {name}")
    api = server.api()
    api.put_blob(here)
    moves.bring(server, api.put_blob(there), name)
    disks[name].become("ro")
    move = moves.begin(server, sha256(here), name)
    failed(server, move)
    server.restart()
    api = server.api()
    assert api.get(f"/blobs/{sha256(here)}", expect=200).content == here
    assert api.get(f"/blobs/{sha256(there)}", expect=200).content == there
    disks[name].become("rw")
    assert moves.wait(server, move, 90)["state"] == "done"
    all_is_well(server, here, name)
    all_is_well(server, there, name)


@BOTH
def test_a_move_that_is_cancelled_while_its_tier_is_read_only(on_disks, name):
    """What it made is removed once the file system is writable."""
    server, disks = on_disks(name, move_bandwidth="12M", upload_expiry="10s")
    data = moves.weights(LARGE, f"cancelled {name}")
    api = server.api()
    digest = api.put_blob(data)
    move = moves.begin(server, digest, name)
    become_read_only_while_it_verifies(server, move, disks[name])
    api.delete(f"/moves/{move}", expect=204)
    assert moves.wait(server, move)["state"] == "cancelled"
    assert len(disks[name].copies()) == 1
    disks[name].become("rw")
    wait_until(lambda: disks[name].copies() == [], 30, "it is removed")
    all_is_well(server, data, "hot")


def test_a_start_with_something_to_remove_on_a_read_only_tier(on_disks):
    server, disks = on_disks("warm", upload_expiry="10s")
    data = moves.weights(SIZE, "demoted")
    digest = server.api().put_blob(data)
    moves.bring(server, digest, "warm")
    disks["warm"].become("ro")
    move = moves.begin(server, digest, "cold")
    failed(server, move)
    server.restart()
    assert server.api().get(f"/blobs/{digest}", expect=200).content == data
    disks["warm"].become("rw")
    assert moves.wait(server, move, 60)["state"] == "done"
    all_is_well(server, data, "cold")


def test_dropped_copies_of_a_read_only_tier_keep_those_of_others_from_nothing(on_disks):
    server, disks = on_disks("warm")
    api = server.api()
    blobs = [make_bytes(1000 + n, f"many {n}") for n in range(130)]
    for data in blobs:
        moves.bring(server, api.put_blob(data), "warm")
    disks["warm"].become("ro")
    for move in [moves.begin(server, sha256(data), "cold") for data in blobs]:
        failed(server, move)
    other = api.put_blob(make_bytes(3000, "other"))
    moves.bring(server, other, "cold")
    moves.bring(server, other, "hot")
    server.database.rows("UPDATE placements SET state = 'dropping' WHERE tier = 'hot'")
    wait_until(lambda: server.database.value(
        "SELECT count(*) FROM placements WHERE tier = 'hot'") == 0, 10, "it goes")
    disks["warm"].become("rw")
    settle(server, 90)
    assert problems(server) == []
