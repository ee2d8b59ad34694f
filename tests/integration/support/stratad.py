# SPDX-License-Identifier: Apache-2.0
"""A real stratad as a child process: its own data folder, database and ephemeral port."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import requests

from .api import Api

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("STRATA_BUILD_DIR", ROOT / "build")).resolve()
STRATAD = BUILD / "stratad"
STRATA = BUILD / "strata"
# What a sanitizer writes when it has found something.
SANITIZER = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error: |"
    r"Assertion .* failed")
TIERS = ("hot", "warm", "cold")
ROLES = ("reader", "publisher", "maintainer", "admin")


def sanitized():
    """True when stratad was built with a sanitizer: its memory says nothing then."""
    return re.search(rb"__[at]san_init", STRATAD.read_bytes()) is not None


def wait_until(condition, seconds=20, what="the condition"):
    """Polls until `condition()` is true and returns it; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.005)


class Stratad:
    """One server. `options` are command-line options without their dashes:
    `Stratad(folder, database, max_blob_size=1 << 20)`."""

    def __init__(self, folder, database, **options):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.database = database
        self.options = options
        self.listen = "127.0.0.1:0"
        self.environment = {}  # beyond the tests' own
        self.log_file = self.folder / "stratad.log"
        self.process = None
        self.port = None
        self.bucket = None  # the cold tier's (support/s3.py), its endpoint is an option
        self.is_damaged = False  # a test has broken data on purpose
        self._apis = {}

    # ---- life ---------------------------------------------------------------

    def command(self):
        command = [str(STRATAD), "--data", str(self.data), "--listen", self.listen,
                   "--port-file", str(self.folder / "port")]
        options = dict(self.options)
        if self.database is not None:
            options.setdefault("database_url", self.database.url)
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        return command

    def spawn(self):
        """Starts the process without waiting for it to be ready."""
        assert self.process is None, "it runs already"
        assert STRATAD.exists(), f"{STRATAD} is missing: run ./dev build"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "port").unlink(missing_ok=True)
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env={**os.environ, **self.environment})
        return self

    def start(self, seconds=30):
        """Starts it and waits until /readyz says 200."""
        self.spawn()
        self._apis.clear()
        wait_until(self._is_ready, seconds, "stratad is ready")
        return self

    def _is_ready(self):
        assert self.process.poll() is None, (
            f"stratad ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        try:
            text = (self.folder / "port").read_text()
        except FileNotFoundError:
            return False
        if not text.endswith("\n") and not text.strip().isdigit():
            return False
        self.port = int(text.strip().rpartition(":")[2])
        try:
            return requests.get(self.base + "/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def wait(self, seconds=40):
        """Waits for the process to end by itself; its exit status."""
        status = self.process.wait(seconds)
        self.process = None
        return status

    def stop(self, seconds=40):
        """SIGTERM; a clean end is exit status 0."""
        self.process.send_signal(signal.SIGTERM)
        status = self.wait(seconds)
        assert status == 0, f"stratad ended with {status}:\n{self.log()[-4000:]}"

    def kill(self):
        """SIGKILL: nothing is flushed, nothing is said."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def keep_port(self):
        """The next start listens where this one does: for clients that wait for it."""
        self.listen = f"127.0.0.1:{self.port}"

    def close(self):
        """End of a test: stops what runs and fails on what a sanitizer has found."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop()
        finally:
            if self.process is not None and self.process.poll() is None:
                self.kill()
        found = SANITIZER.search(self.log())
        assert not found, f"stratad's log has `{found[0]}`:\n{self.log()[-8000:]}"

    # ---- what a test asks ---------------------------------------------------

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def admin_token(self):
        return (self.data / "admin.token").read_text().strip()

    def api(self, role="admin"):
        """A caller with that role, each the only token of a principal named as it."""
        if role == "admin":
            return self._apis.setdefault(role, Api(self.base, self.admin_token()))
        if role not in self._apis:
            token = self.api().create_token(role, role)["token"]
            self._apis[role] = Api(self.base, token)
        return self._apis[role]

    def anonymous(self):
        return Api(self.base)

    def rss_anon(self):
        return rss_anon(self.process.pid)

    def tier_folder(self, tier):
        return pathlib.Path(self.options.get(f"{tier}_dir") or self.data / tier)

    def tier_files(self):
        """{"tier/name": size} of all files of the tiers, except who they belong to."""
        files = {}
        for tier in TIERS:
            folder = self.tier_folder(tier)
            for path in sorted(folder.rglob("*")):
                # Moves come and go while this looks.
                with contextlib.suppress(FileNotFoundError):
                    if path.is_file() and path.name != "strata-tier.json":
                        name = f"{tier}/{path.relative_to(folder)}"
                        files[name] = path.stat().st_size
        return files

    def tier_copies(self):
        """The same with the bucket's objects, where the cold tier is one."""
        copies = self.tier_files()
        if self.bucket is not None:
            prefix = self.options.get("s3_prefix", "")
            for key, size in self.bucket.sizes(prefix).items():
                name = key.removeprefix(prefix)
                if name != "strata-tier.json":
                    copies[f"cold/{name}"] = size
        return copies

    def tier_path(self, name):
        """Where a copy lies; None: in the bucket."""
        tier, _, below = name.partition("/")
        if tier == "cold" and self.bucket is not None:
            return None
        return self.tier_folder(tier) / below

    def read_copy(self, name):
        """The bytes that are stored, encoded or not."""
        path = self.tier_path(name)
        if path is not None:
            return path.read_bytes()
        prefix = self.options.get("s3_prefix", "")
        return self.bucket.get(prefix + name.partition("/")[2])

    def state(self):
        """All that a refused request must leave as it was."""
        return {"rows": self.database.counts(), "files": self.tier_files()}

    def watch_memory(self):
        return watch_memory(self.process.pid)


def rss_anon(pid):
    """Bytes of anonymous memory of a process that are resident now; 0 when it is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.M)
    return int(found[1]) << 10 if found else 0


@contextlib.contextmanager
def watch_memory(pid):
    """Samples RssAnon of a process meanwhile; gives a list of bytes that grows."""
    samples = [rss_anon(pid)]
    done = threading.Event()

    def sample():
        while not done.wait(0.02):
            samples.append(rss_anon(pid))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def copy_data(source, target):
    """Copies a stopped server's data folder."""
    shutil.copytree(source, target, symlinks=True, ignore=_only_files_and_folders)


def _only_files_and_folders(folder, names):
    paths = [(name, pathlib.Path(folder, name)) for name in names]
    return [name for name, path in paths if not path.is_file() and not path.is_dir()]
