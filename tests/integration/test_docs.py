# SPDX-License-Identifier: Apache-2.0
"""What the documents say of the source holds."""
import re

from support.stratad import ROOT

TEST = re.compile(r"`(test_\w+\.(?:py|c)): (\w+)`")


def exists(file, name):
    if file.endswith(".py"):
        path, marks = ROOT / "tests" / "integration" / file, rf"^def {name}\("
    else:
        path, marks = ROOT / "tests" / "unit" / file, rf"cmocka_unit_test\w*\(\s*{name}\b"
    return path.exists() and re.search(marks, path.read_text(), re.MULTILINE)


def test_every_test_that_security_names_exists():
    text = (ROOT / "docs" / "SECURITY.md").read_text()
    named = TEST.findall(text)
    assert len(named) > 60
    missing = [f"{file}: {name}" for file, name in named if not exists(file, name)]
    assert missing == []
    assert "test_" not in TEST.sub("", text), "a test is named in another form"
