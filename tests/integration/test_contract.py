# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml names the errors that the program has, and no others."""
import re
import subprocess

from support.contract import contract
from support.stratad import ROOT, STRATAD


def descriptions(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "description" and isinstance(value, str):
                yield value
            else:
                yield from descriptions(value)
    elif isinstance(node, list):
        for value in node:
            yield from descriptions(value)


def test_every_error_is_in_the_contract():
    printed = subprocess.run([STRATAD, "--print-errors"], capture_output=True, text=True,
                             check=True, timeout=30).stdout
    slugs = set(re.findall(r"^\| `([a-z-]+)` \| \d{3} ", printed, re.MULTILINE))
    assert len(slugs) > 40
    quoted = set()
    for text in descriptions(contract().document):
        quoted.update(re.findall(r"`([a-z-]+)`", text))
    assert slugs - quoted == set()
    # And the other way round: what the examples say is in the table.
    text = (ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"urn:strata:error:([a-z-]+)$", text, re.MULTILINE)) <= slugs
