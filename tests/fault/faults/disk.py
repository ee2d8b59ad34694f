# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, read-only, or fail a chosen call.

Each call that a life makes on the tier fails once, with EIO, ENOSPC and EROFS: the
answer says so, nothing half is left or visible, and the repeat succeeds on the server
that met it. Then real file systems: full, full under PostgreSQL too, and remounted
read-only by the kernel.
"""
import contextlib
import errno
import re
import shutil
import threading

import requests
from support import lives
from support.chain import CHUNK, make_bytes, sha256
from support.consistency import problems
from support.faults import Faults
from support.stratad import wait_until

from .disk_image import disk_image
from .load import Load
from .private import Server

CALLS = ("openat", "ftruncate", "pwrite", "fdatasync", "fsync", "fchmod", "renameat",
         "unlinkat", "pread", "sendfile")
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)
STATUSES = (500, 503, 507)


def run(run):
    failing_calls(run)
    if not run.is_over():
        failing_starts(run)
    if not run.is_over():
        full_tier(run)
    if not run.is_over() and not run.tiny:
        full_under_load(run)
    if not run.is_over():
        read_only(run)
    if not run.is_over() and not run.tiny:
        first_starts(run)


# ---- one call fails ------------------------------------------------------------------


class Whole(lives.Whole):
    """`check` as for a fault that the server lives through."""

    def again(self, api):
        api.put_blob(self.data)


class Parts(lives.Parts):
    """Of more bytes than a buffer holds, with a part that comes twice."""

    def __init__(self, tag):
        super().__init__(tag)
        self.data = make_bytes(CHUNK + 5000, tag)

    def run(self, api):
        self.upload = api.begin_upload(self.data, sha256=False)
        self.said.add("begun")
        api.put_part(self.upload, self.data, 0, expect=204, check=False)
        self.said.add("part")
        api.put_part(self.upload, self.data, 0, expect=204, check=False)
        api.complete(self.upload, expect=201, check=False)
        self.said.add("stored")

    def again(self, api):
        """Goes on where it is, or anew where the upload was discarded."""
        if "begun" in self.said:
            shown = api.get(f"/uploads/{self.upload['id']}")
            if shown.status_code == 200 and shown.json()["state"] != "open":
                return api.complete(self.upload, expect=201)
            if shown.status_code == 200:
                api.put_part(self.upload, self.data, 0, expect=204)
                return api.complete(self.upload, expect=201)
            assert shown.status_code == 404, shown.text
        return api.upload(self.data)


class GivenUp(Parts):
    def run(self, api):
        self.upload = api.begin_upload(self.data)
        self.said.add("begun")
        api.put_part(self.upload, self.data, 0, expect=204, check=False)
        api.delete(f"/uploads/{self.upload['id']}", expect=204, check=False)
        self.said = set()


class Read(lives.Whole):
    """Bytes are cut, never padded or changed; the repeat has them all."""

    def __init__(self, tag):
        super().__init__(tag)
        self.data = make_bytes(CHUNK + 5000, tag)

    def prepare(self, api):
        api.put_blob(self.data)
        self.said.add("stored")

    def run(self, api):
        try:
            response = api.get(f"/blobs/{sha256(self.data)}", check=False)
        except requests.RequestException:
            return
        assert response.status_code != 200 or response.content == self.data
        assert response.status_code == 200, response.status_code

    again = lives.Whole.prepare


def failing_calls(run):
    kinds = run.pick((Whole, Parts, GivenUp, Read), (Parts,))
    for code in run.pick(ERRORS, ERRORS[:1]):
        for life in kinds:
            with run.servers() as servers:
                server = servers.make(start=False)
                faults = Faults(run.folder)
                server.environment = faults.environment
                server.start()
                for call in CALLS if not run.tiny else CALLS[3:5]:
                    failing_call(run, server, faults, life, call, code)


def failing_call(run, server, faults, life, call, code):
    for number in range(1, 12):
        name = f"{life.__name__} {call} {number} {errno.errorcode[code]}"
        with run.trial(name, server) as outcome:
            api = server.api()
            one = life(f"{run.seed} {name}")
            one.prepare(api)
            with faults(f"fail {call} {number} {code}"):
                refused = fails(one, api)
                hit = faults.hit() is not None
            response = api.head(f"/blobs/{sha256(one.data)}")
            assert response.status_code in (200, 404)
            assert response.status_code == 200 or "stored" not in one.said
            one.again(api)
            shown = api.get(f"/blobs/{sha256(one.data)}", expect=200).content
            assert shown == one.data
            assert problems(server) == []
            if hit:
                run.hit(f"{name} {'refused' if refused else 'passed'}")
        if not outcome.fine or not hit:
            return


def fails(one, api):
    """True when a request was refused, with a status that says so."""
    try:
        one.run(api)
    except AssertionError as error:
        text = str(error)
        assert re.search(r'(^|: |-> |"status":)(500|503|507)\b', text), text
        return True
    return False


def failing_starts(run):
    """A start that meets an error ends with words, or comes up; the next one is well."""
    with run.servers() as servers:
        server = servers.make()
        faults = Faults(run.folder)
        data = make_bytes(3000, "start")
        api = server.api()
        upload = api.begin_upload(data)
        api.put_part(upload, data, 0, expect=204)
        other = api.put_blob(make_bytes(2000, "start too"))
        server.environment = faults.environment
        for call in ("openat", "write", "fsync", "renameat"):
            for number in range(1, run.pick(9, 2)):
                name = f"start {call} {number}"
                with run.trial(name, server):
                    if server.process is not None:
                        server.stop()
                    server.database.rows("UPDATE uploads SET state = 'completing',"
                                         " sha256 = %s", bytes.fromhex(sha256(data)))
                    with faults(f"fail {call} {number} {errno.EIO}"):
                        failing_start(server)
                        hit = faults.hit()
                    if server.process is None:
                        server.start()
                    elif hit:
                        server.restart()
                    api = server.api()
                    api.get(f"/blobs/{other}", expect=200)
                    shown = api.get(f"/uploads/{upload['id']}", expect=200).json()
                    assert (shown["state"], shown["received"]) == ("open", [0])
                    assert problems(server) == []
                    if hit:
                        run.hit(name)


def failing_start(server):
    server.spawn()
    server._apis.clear()
    ends_or_comes_up(server)


# ---- real disks ----------------------------------------------------------------------


@contextlib.contextmanager
def server_on(run, image, **options):
    """Its tier lies on the image, its PostgreSQL elsewhere."""
    with run.servers() as servers:
        server = servers.make(start=False, **options)
        hot = image.mount_point / "hot"
        shutil.copytree(server.data / "hot", hot)
        shutil.rmtree(server.data / "hot")
        (server.data / "hot").symlink_to(hot)
        try:
            yield server.start()
        finally:
            server.is_damaged = True  # its files go with the image
            if server.process is not None:
                server.kill()


def full_tier(run):
    """Room is left for less and less of what is sent."""
    with disk_image(run, "full", 400) as image:
        if image is None:
            return
        with server_on(run, image) as server:
            for number in range(run.pick(30, 2)):
                left = run.random.choice((0, 4096, 1 << 20, 3 << 20, 20 << 20))
                with run.trial(f"full but for {left}", server):
                    full_once(run, server, image, f"{run.seed} {number}", left)


def full_once(run, server, image, tag, left):
    api = server.api()
    size = run.random.choice((4096, 1 << 20, 9 << 20, 40 << 20))
    first, second = make_bytes(size, tag), make_bytes(size, tag + "b")
    upload = None
    if run.random.random() < 0.5:
        upload = api.begin_upload(first)
    with image.filled(left):
        whole = api.put(f"/blobs/{sha256(second)}", data=second).status_code
        part = api.put_part(upload, first, 0).status_code if upload else 201
        assert whole in (201, 507) and part in (201, 204, 507), (whole, part)
        shown = api.head(f"/blobs/{sha256(second)}").status_code
        assert shown == (200 if whole == 201 else 404)
        name = f"tier full: {left >> 10} KiB left, {whole} {part}"
        if run.random.random() < 0.3:
            # What fills it can be removed only on a server that starts.
            server.kill()
            server.start()
            api = server.api()
            name += ", killed and started"
    if upload:
        for number in range(-(-size // upload["part_size"])):
            api.put_part(upload, first, number, expect=204)
        api.complete(upload, expect=201)
        assert api.get(f"/blobs/{sha256(first)}").content == first
    api.put_blob(second)
    assert api.get(f"/blobs/{sha256(second)}").content == second
    assert problems(server) == []
    run.hit(name)
    # Room for the next: nothing removes blobs yet, so the rows and files go here.
    drop_blobs(server)


def drop_blobs(server):
    server.stop()
    for table in ("leases", "chains", "uploads", "placements", "blobs"):
        server.database.rows(f"DELETE FROM {table}")
    for tier in ("hot", "warm", "cold"):
        root = (server.data / tier).resolve()
        for path in (*root.glob("sha256/*/*"), *root.glob("incoming/*")):
            path.unlink()
    server.start()


def full_under_load(run):
    """PostgreSQL on the disk that fills up: it may stop; service comes back by itself."""
    with disk_image(run, "full-database", 1500) as image:
        if image is None:
            return
        server = Server(image.mount_point, database_fsync="true")
        server.log_file = run.folder / "full.log"
        load = None
        with run.trial("full under load", server):
            try:
                server.start()
                load = Load(server, f"f{run.seed}", errors=(500, 507), discards=True,
                            large=False)
                for number in range(10):
                    load.go()
                    threading.Event().wait(run.random.uniform(0.2, 0.8))
                    with image.filled(0):
                        threading.Event().wait(run.random.uniform(0.2, 2.0))
                    wait_until(lambda: is_ready(server), 60, "service is back")
                    threading.Event().wait(0.2)
                    load.hold()
                    load.check(rest=False)
                    run.hit("disk full under load and PostgreSQL")
                load.finish()
                server.restart()
                assert problems(server) == []
            finally:
                end(load, server, image)


def is_ready(server):
    assert server.process.poll() is None, "stratad has ended"
    with contextlib.suppress(requests.RequestException):
        return requests.get(server.base + "/readyz", timeout=5).status_code == 200


def end(load, server, image):
    if load is not None:
        load.abandon()
    if server.process is not None:
        server.kill_all()
    shutil.rmtree(image.mount_point / "data", ignore_errors=True)


def read_only(run):
    """The kernel meets an error on the disk and makes it read-only: reads go on, what
    is written is refused; after fsck and a restart all is there."""
    with disk_image(run, "read-only", 800) as image:
        if image is None:
            return
        with server_on(run, image) as server:
            load = Load(server, f"r{run.seed}", errors=(500,), discards=True,
                        large=False)
            with run.trial("read-only", server):
                try:
                    for number in range(run.pick(10, 1)):
                        if not read_only_once(run, image, server, load):
                            break
                    load.finish()
                finally:
                    load.abandon()


def read_only_once(run, image, server, load):
    api = server.api()
    data = make_bytes(1 << 20, "kept")
    digest = api.put_blob(data)
    load.go()
    threading.Event().wait(run.random.uniform(0.1, 0.8))
    if not image.break_down():
        run.skip("read-only", "the kernel has no trigger_fs_error")
        return False
    threading.Event().wait(0.2)
    assert api.get(f"/blobs/{digest}", expect=200).content == data
    fresh = make_bytes(5000, f"{run.seed} {run.counts.total()}")
    refused = api.put(f"/blobs/{sha256(fresh)}", data=fresh, check=False)
    assert refused.status_code in STATUSES, refused.status_code
    assert api.head(f"/blobs/{sha256(fresh)}").status_code == 404
    server.kill()
    load.hold()
    image.unmount()
    image.repair()
    image.mount()
    server.start()
    load.check()
    run.hit("read-only under load")
    return True


def first_starts(run):
    """The very first start meets a full disk: it ends with words, and the next one, with
    room, comes up."""
    for number, left in enumerate((0, 64 << 10, 2 << 20, 20 << 20, 40 << 20, 60 << 20)):
        with disk_image(run, f"first-{number}", 300) as image:
            if image is None:
                return
            server = Server(image.mount_point, database_fsync="true")
            server.log_file = run.folder / f"first-{number}.log"
            with run.trial(f"first start with {left} bytes left", server):
                try:
                    with image.filled(left):
                        server.spawn()
                        came_up = ends_or_comes_up(server)
                    if not came_up:
                        server.start()
                    wait_until(lambda: is_ready(server), 60, "it is ready")
                    server.api().put_blob(b"first")
                    server.stop()
                    run.hit(f"first start, {left >> 10} KiB left")
                finally:
                    end(None, server, image)


def ends_or_comes_up(server):
    def settled():
        if server.process.poll() is not None:
            return "ended"
        with contextlib.suppress(AssertionError):
            return server._is_ready()

    if wait_until(settled, 60, "it is ready, or has ended") != "ended":
        return True
    assert server.process.returncode == 1 and "level=error" in server.log()
    server.process = None
    return False
