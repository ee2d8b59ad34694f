# SPDX-License-Identifier: Apache-2.0
"""Power cuts under load, moves between tiers among it: data folder and PostgreSQL, with
fsync, on one ext4 that loses all it has not been made to keep."""
import shutil
import threading

from .disk_image import disk_image
from .load import Load
from .private import Server

BATCH = 10  # cuts of one file system
MEGABYTES = 3000


def run(run):
    left = run.only or run.pick(50, 1)
    batch = 0
    while left > 0 and not run.is_over():
        batch += 1
        count = min(left, BATCH)
        left -= count
        with disk_image(run, f"power-{batch}", MEGABYTES) as image:
            if image is None:
                return
            one_batch(run, image, f"p{run.seed}-{batch}", count)
    for number in range(run.pick(run.only or 15, 0)):
        with disk_image(run, f"first-{number}", 400) as image:
            if image is None or run.is_over():
                return
            first_start(run, image, f"first start {number}")


def one_batch(run, image, tag, count):
    server = Server(image.mount_point, database_fsync="true")
    # The log is the test's: on the disk that is cut it would be lost with it.
    server.log_file = run.folder / f"{tag}.log"
    load = None
    with run.trial(tag, server):
        try:
            server.start(60)
            load = Load(server, tag, errors=(500,), large=not run.tiny, moves=True)
            for number in range(count):
                load.go()
                threading.Event().wait(run.random.uniform(0.1, 2.0))
                one_cut(image, server, load)
                run.hit("power cut under load")
                load.check()
                if run.is_over():
                    break
            load.finish()
            server.stop()
            run.say(f"power: {tag}: {load.answers} answers, {load.waits} repeats")
        finally:
            if load is not None:
                load.abandon()
            if server.process is not None and image.is_mounted:
                server.kill_all()
            shutil.rmtree(image.mount_point / "data", ignore_errors=True)


def one_cut(image, server, load):
    # The requests that run fail on the dead disk; none of them may be acknowledged.
    load.gate.clear()
    image.cut_power()
    threading.Event().wait(0.02)
    server.kill_all()
    load.hold()
    remount(image)
    server.start(60)


def first_start(run, image, name):
    """Cut at some moment of the very first start, and once more of the second: the next
    one comes up, and its administrator's token is good for ever."""
    server = Server(image.mount_point, database_fsync="true")
    server.log_file = run.folder / "first.log"
    with run.trial(name, server):
        try:
            for limit in (4.0, 1.5):
                server.spawn()
                threading.Event().wait(run.random.uniform(0.02, limit))
                assert server.process.poll() is None, server.log()[-3000:]
                server.session = server.postmaster()
                power_off(image, server)
                run.hit("power cut in a first start")
            server.start(60)
            api = server.api()
            digest = api.put_blob(b"first")
            power_off(image, server)
            server.start(60)
            assert server.api().get(f"/blobs/{digest}", expect=200).content == b"first"
            server.stop()
        finally:
            if server.process is not None and image.is_mounted:
                server.kill_all()
            shutil.rmtree(image.mount_point / "data", ignore_errors=True)


def power_off(image, server):
    image.cut_power()
    server.kill_all()
    remount(image)


def remount(image):
    image.unmount()
    image.repair()
    image.mount()
