# SPDX-License-Identifier: Apache-2.0
"""Each kind of ./dev fault once, small and with a fixed seed (tests/fault/README.md)."""
import contextlib
import importlib
import pathlib
import sys
import tempfile

import pytest

from support.servers import Servers
from support.stratad import sanitized

sys.path.append(str(pathlib.Path(__file__).parents[1] / "fault"))
from faults.run import Run  # noqa: E402


@pytest.fixture
def folder():
    """One that PostgreSQL's user may pass through."""
    with tempfile.TemporaryDirectory(prefix="strata-fault-") as folder:
        pathlib.Path(folder).chmod(0o755)
        yield folder


@pytest.mark.parametrize("kind", ["crash", "kill", "power", "disk", "postgres", "network",
                                  "moves", "move_kills"])
def test_survives(kind, postgres, work_folder, template, folder, request):
    if sanitized() and kind in ("crash", "disk", "moves"):
        pytest.skip("a sanitizer's runtime must be the first that is loaded")

    @contextlib.contextmanager
    def servers():
        made = Servers(postgres, work_folder, template)
        try:
            yield made
        finally:
            made.close()

    run = Run(kind, 1, folder, servers, tiny=True,
              s3=lambda: request.getfixturevalue("s3_server"))
    importlib.import_module(f"faults.{kind}").run(run)
    print(run.summary())
    if not run.counts and run.skipped:
        pytest.skip(f"no {kind}: file systems cannot be mounted here")
    assert run.counts and not run.found
