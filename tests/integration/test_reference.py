# SPDX-License-Identifier: Apache-2.0
"""docs/REFERENCE.md is what the programs print of their own tables."""
import subprocess

import pytest

from support.stratad import ROOT, STRATA, STRATAD

TABLES = [(STRATAD, "options"), (STRATAD, "errors"), (STRATAD, "metrics"),
          (STRATA, "reference")]


@pytest.mark.parametrize("program, table", TABLES)
def test_reference_is_current(program, table):
    printed = subprocess.run([program, f"--print-{table}"], capture_output=True,
                             text=True, check=True, timeout=30).stdout
    text = (ROOT / "docs" / "REFERENCE.md").read_text()
    assert printed and printed in text, "run ./dev docs"
