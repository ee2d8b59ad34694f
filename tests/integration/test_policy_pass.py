# SPDX-License-Identifier: Apache-2.0
"""A pass of the tier policy looks at what changed or is due, and at nothing else. What it
costs at a million blobs is measured by `./dev bench policy`."""
import importlib.util
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("STRATA_BUILD_DIR", ROOT / "build"))
BLOBS = 20000
VERSIONS = BLOBS // 4


def _load_bench():
    sys.path.insert(0, str(ROOT / "tests/bench"))
    spec = importlib.util.spec_from_file_location("bench_policy",
                                                  ROOT / "tests/bench/policy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bench = _load_bench()


@pytest.fixture(scope="module")
def filled(postgres, tmp_path_factory):
    """Passes over a database of 20,000 blobs in 5,000 versions, the first one done."""
    program = BUILD / "tests/bench/bench-policy"
    assert program.exists(), "bench-policy is not built: run make check"
    database = postgres.create()
    passes = bench.Passes(database.url, tmp_path_factory.mktemp("policy"), program)
    passes.sql = lambda text: [database.rows(part) for part in text.split(";\n")
                               if part.strip()]
    passes.sql(bench.fill(BLOBS))
    passes.put(bench.RULES)
    passes.first = passes.ask("pass")
    passes.database = database
    yield passes
    passes.close()
    database.disconnect()


def test_the_first_pass_looks_at_everything(filled):
    assert filled.first["blobs"] == BLOBS
    assert filled.first["versions"] >= VERSIONS
    matched = dict(filled.database.rows(
        "SELECT rule, count(*) FROM version_policy GROUP BY rule"))
    # 20 models of 250 versions, of which the newest three; each 50th has the tag.
    assert matched == {"newest": 60, "kept": 100, "rest": VERSIONS - 160}


def test_a_pass_after_nothing_looks_at_nothing(filled):
    result = filled.ask("pass")
    assert (result["versions"], result["blobs"], result["moves"]) == (0, 0, 0)


def test_a_pass_looks_at_what_changed_alone(filled):
    filled.sql(bench.CHANGE.format(versions=VERSIONS, changes=100, round=7))
    result = filled.ask("pass")
    assert (result["versions"], result["blobs"]) == (100, 400)
    assert filled.ask("pass")["versions"] == 0


def test_a_new_version_pushes_one_out_of_the_newest(filled):
    model = "(SELECT id FROM models WHERE full_name = 'bench/m5')"
    before = filled.database.rows(
        "SELECT number FROM version_policy JOIN versions ON id = version_id"
        f" WHERE newest > 0 AND versions.model_id = {model} ORDER BY number")
    assert before == [(248,), (249,), (250,)]
    filled.sql("INSERT INTO versions (model_id, number, digest, origins, size, files_count,"
               f" created_at, created_by, token_id) SELECT {model}, 251, sha256('251'),"
               " '{}', 0, 0, now(), 1, 'bench'")
    assert filled.ask("pass")["versions"] == 2
    after = filled.database.rows(
        "SELECT number FROM version_policy JOIN versions ON id = version_id"
        f" WHERE newest > 0 AND versions.model_id = {model} ORDER BY number")
    assert after == [(249,), (250,), (251,)]


@pytest.mark.parametrize("change, versions", [
    ("INSERT INTO version_tags VALUES (777, 'keep', 'x')", 1),
    ("UPDATE version_tags SET value = 'z' WHERE version_id = 777 AND key = 'keep'", 1),
    ("DELETE FROM version_tags WHERE version_id = 777 AND key = 'keep'", 1),
    ("INSERT INTO parents (version_id, position, relation, parent_version_id)"
     " VALUES (900, 0, 'merge', 901)", 1),
    # A child that is deleted is its parent's loss.
    ("UPDATE versions SET deleted_at = now() WHERE id = 900", 2),
    ("UPDATE versions SET deleted_at = NULL WHERE id = 900", 2),
    ("UPDATE versions SET yanked_at = now() WHERE id = 902", 1),
    ("UPDATE version_policy SET next_at = now() WHERE version_id = 903", 1),
])
def test_each_change_is_looked_at(filled, change, versions):
    filled.sql(change)
    assert filled.ask("pass")["versions"] == versions
    assert filled.ask("pass")["versions"] == 0


def test_other_rules_concern_everything_once(filled):
    live = filled.database.value("SELECT count(*) FROM versions WHERE deleted_at IS NULL")
    filled.put({"rules": [{"name": "all", "tier": "hot"}]})
    assert filled.ask("pass")["versions"] == live
    assert filled.ask("pass")["versions"] == 0
