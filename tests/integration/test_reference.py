# SPDX-License-Identifier: Apache-2.0
"""docs/REFERENCE.md is what stratad prints of its own tables."""
import subprocess

import pytest

from support.stratad import ROOT, STRATAD

TABLES = ["options", "errors", "metrics"]


@pytest.mark.parametrize("table", TABLES)
def test_reference_is_current(table):
    printed = subprocess.run([STRATAD, f"--print-{table}"], capture_output=True,
                             text=True, check=True, timeout=30).stdout
    text = (ROOT / "docs" / "REFERENCE.md").read_text()
    assert printed and printed in text, "run ./dev docs"
