# SPDX-License-Identifier: Apache-2.0
"""Crashes and failures at chosen system calls of stratad, through a preloaded library."""
import pathlib
import subprocess

import requests

SOURCE = pathlib.Path(__file__).with_name("faults.c")


def build(folder):
    """Compiles the library; its path."""
    library = folder / "faults.so"
    if not library.exists():
        subprocess.run(["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-o",
                        str(library), str(SOURCE), "-ldl"], check=True)
    return library


class Faults:
    """What happens in the servers that have `environment` (see Stratad.environment)."""

    def __init__(self, folder):
        self.plan = folder / "fault-plan"
        self.hit_file = folder / "fault-plan.hit"
        self.plan.unlink(missing_ok=True)
        self.environment = {"LD_PRELOAD": str(build(folder)),
                            "STRATA_FAULT_PLAN": str(self.plan)}

    def __call__(self, plan):
        """Sets a plan for a `with` block: "before N", "after N", or lines of
        "fail NAME" and "fail NAME N ERRNO"."""
        self.text = plan
        return self

    def __enter__(self):
        # Whole at once: the server reads it at any moment.
        self.hit_file.unlink(missing_ok=True)
        temporary = self.plan.with_suffix(".new")
        temporary.write_text(self.text)
        temporary.rename(self.plan)
        return self

    def __exit__(self, *_):
        self.plan.unlink()

    def hit(self):
        """The call that the last plan has struck; None when there was none."""
        return self.hit_file.read_text() if self.hit_file.exists() else None


def is_dead(server):
    """True when the server was killed by the plan; it can then be started again."""
    try:
        requests.get(server.base + "/healthz", timeout=5)
    except requests.ConnectionError:
        server.process.wait(10)
    if server.process.poll() is None:
        return False
    assert server.process.returncode == -9, server.log()[-4000:]
    server.process = None
    return True
