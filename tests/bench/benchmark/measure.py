# SPDX-License-Identifier: Apache-2.0
"""What is measured around a lane: wall time, CPU of client and server, memory."""
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.1


def _stat(pid):
    """(parent, CPU seconds with those of reaped children) of a process, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), sum(int(field) for field in fields[11:15]) / TICK


def process_tree(root):
    """{pid: CPU seconds} of a process and all below it."""
    stats = {int(name): _stat(name) for name in os.listdir("/proc") if name.isdigit()}
    children = {}
    for pid, stat in stats.items():
        if stat:
            children.setdefault(stat[0], []).append(pid)
    tree, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if stats.get(pid):
            tree[pid] = stats[pid][1]
            todo += children.get(pid, [])
    return tree


def anonymous_bytes(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            found = re.search(r"^RssAnon:\s+(\d+) kB", text, re.M)
            total += int(found[1]) << 10 if found else 0
    return total


class Meter:
    """Watches servers during a lane; `result` has the figures when it is left."""

    def __init__(self, *servers):
        self.servers = servers
        self.result = {}
        self.client_cpu = 0.0

    def __enter__(self):
        self._before = self._server_cpu()
        self._peak = 0
        self._done = threading.Event()
        self._pids = [pid for server in self.servers if server.watch_memory
                      for pid in process_tree(server.pid)]
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_):
        seconds = time.monotonic() - self._began
        self._done.set()
        self._thread.join()
        self.result.setdefault("seconds", seconds)
        self.result["client_cpu"] = self.client_cpu
        if self.servers:
            self.result["server_cpu"] = self._server_cpu() - self._before
        if self._pids:
            self.result["rss_anon"] = self._peak

    def _server_cpu(self):
        return sum(sum(process_tree(server.pid).values()) for server in self.servers)

    def _sample(self):
        while True:
            self._peak = max(self._peak, anonymous_bytes(self._pids))
            if self._done.wait(SAMPLE_SECONDS):
                return

    def run(self, *command, env=None, stdin=None):
        """Runs a client to its end; its output. Its CPU counts as the client's."""
        process = subprocess.Popen(
            [str(word) for word in command], stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        output = process.stdout.read().decode(errors="replace")
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.client_cpu += usage.ru_utime + usage.ru_stime
        if process.returncode != 0:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: "
                               f"{output[-2000:]}")
        return output

    def load(self, program, *arguments):
        """Runs the load client; what it measured."""
        return json.loads(self.run(program, *arguments))


def warm(path):
    """Brings a file into the page cache, and the disk to rest."""
    os.sync()
    buffer = bytearray(8 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def sync_tree(folder):
    """Makes files and folders below `folder` durable: what a peer left undone."""
    for base, _, names in os.walk(folder):
        for path in [base, *(os.path.join(base, name) for name in names)]:
            if os.path.islink(path) or not (os.path.isfile(path) or os.path.isdir(path)):
                continue
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)


def spread(values):
    """(median, smallest, largest)."""
    return statistics.median(values), min(values), max(values)
