# SPDX-License-Identifier: Apache-2.0
"""An ext4 file system in a file, whose power can be cut. Needs root."""
import contextlib
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import time

# _IOR('X', 125, __u32) of the kernel's ext4.h; NOLOGFLUSH: the journal in memory is lost.
SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
NOLOGFLUSH = 2


class Refused(Exception):
    """File systems cannot be mounted here."""


def call(*command):
    return subprocess.run(command, capture_output=True, text=True)


class DiskImage:
    def __init__(self, folder, name, megabytes):
        self.file = pathlib.Path(folder) / f"{name}.img"
        self.mount_point = pathlib.Path(folder) / name
        self.mount_point.mkdir()
        self.is_mounted = False
        if os.geteuid() != 0:
            raise Refused("not root")
        for tool in ("mkfs.ext4", "e2fsck", "mount", "losetup"):
            if shutil.which(tool) is None:
                raise Refused(f"{tool} is not installed")
        with open(self.file, "wb") as file:
            file.truncate(megabytes << 20)
        made = call("mkfs.ext4", "-q", "-F", "-m", "0", str(self.file))
        if made.returncode != 0:
            raise Refused(made.stderr.strip())
        self.mount()
        self.mount_point.chmod(0o755)

    def mount(self, options="loop,errors=remount-ro"):
        done = call("mount", "-o", options, str(self.file), str(self.mount_point))
        if done.returncode != 0:
            raise Refused(done.stderr.strip())
        self.is_mounted = True

    def unmount(self, seconds=20):
        deadline = time.monotonic() + seconds
        while (done := call("umount", str(self.mount_point))).returncode != 0:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.05)
        self.is_mounted = False

    def cut_power(self):
        """From here on every call fails, and what was not synced is gone."""
        folder = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(folder)

    def repair(self):
        """fsck while it is not mounted, as a machine does when it starts."""
        done = call("e2fsck", "-fy", str(self.file))
        assert done.returncode in (0, 1), done.stdout + done.stderr

    def device(self):
        found = call("losetup", "-j", str(self.file), "-O", "NAME", "-n").stdout.split()
        return pathlib.Path(found[0]).name

    def break_down(self):
        """The kernel meets an error and makes it read-only; False: it cannot be told."""
        trigger = pathlib.Path("/sys/fs/ext4", self.device(), "trigger_fs_error")
        try:
            trigger.write_text("broken by a test\n")
        except OSError:
            return False
        return True

    @contextlib.contextmanager
    def filled(self, left_bytes):
        """Full but for so many bytes."""
        filler = self.mount_point / "filler"
        try:
            with open(filler, "wb") as file:
                status = os.statvfs(self.mount_point)
                size = status.f_bavail * status.f_frsize - left_bytes
                while size > 0:
                    try:
                        os.posix_fallocate(file.fileno(), file.tell(), size)
                        break
                    except OSError:  # taken by others meanwhile
                        size //= 2
            if left_bytes == 0:
                fill_up(filler)
            yield
        finally:
            filler.unlink(missing_ok=True)

    def close(self):
        with contextlib.suppress(AssertionError):
            if self.is_mounted:
                self.unmount()
        self.file.unlink(missing_ok=True)


def fill_up(path):
    """The last blocks too."""
    with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
        while True:
            file.write(bytes(1024))


@contextlib.contextmanager
def disk_image(run, name, megabytes):
    """Gives one, or None after the run has noted why it is skipped."""
    image = None
    try:
        image = DiskImage.__new__(DiskImage)
        image.is_mounted = False
        image.__init__(run.folder, name, megabytes)
    except Refused as why:
        run.skip(name, f"no ext4 can be mounted here: {why}")
        shutil.rmtree(image.mount_point, ignore_errors=True)
        yield None
        return
    try:
        yield image
    finally:
        image.close()
        with contextlib.suppress(OSError):
            image.mount_point.rmdir()
