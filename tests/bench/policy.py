#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pass of the tier policy: over everything, and after a few changes.

Fills a database with --blobs blobs in versions of four files, each blob with a copy on
the hot tier, runs a pass over all of it, then again and again changes aliases of
--changes versions and runs the pass that follows. The bar: 1,000 changes among 1 million
blobs cost less than 1 % of the pass over everything. Run by `./dev bench policy`.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from benchmark.servers import ROOT, Postgres  # noqa: E402

FILES = 4
VERSIONS_OF_A_MODEL = 250
RULES = {"rules": [
    {"name": "served", "when": {"alias": ["prod", "canary-*"]}, "tier": "hot"},
    {"name": "newest", "when": {"newest_n": 3}, "tier": "hot"},
    {"name": "kept", "when": {"tag": "keep=*"}, "tier": "hot"},
    {"name": "old", "when": {"idle_longer_than": "3650d", "has_children": False},
     "tier": "cold"},
    {"name": "rest", "when": {"older_than": "1d"}, "tier": "hot"}]}

FILL = """
INSERT INTO principals (name, kind) VALUES ('bench', 'service');
INSERT INTO namespaces (name) VALUES ('bench');
INSERT INTO models (namespace_id, full_name, created_by, last_version, live_versions)
    SELECT 1, 'bench/m' || m, 1, {of_a_model}, {of_a_model}
    FROM generate_series(1, {models}) m;
INSERT INTO blobs (sha256, size, chain_root)
    SELECT sha256(int8send(b)), 1000000, sha256(int8send(b))
    FROM generate_series(1, {blobs}) b;
INSERT INTO placements (sha256, tier, node_id, state, stored_size)
    SELECT sha256(int8send(b)), 'hot', 1, 'ready', 1000000
    FROM generate_series(1, {blobs}) b;
INSERT INTO versions (model_id, number, digest, origins, size, files_count, created_at,
        created_by, token_id)
    SELECT (v - 1) / {of_a_model} + 1, (v - 1) % {of_a_model} + 1, sha256(int8send(-v)),
        '{{}}', {files} * 1000000, {files}, now() - interval '30 days', 1, 'bench'
    FROM generate_series(1, {versions}) v;
INSERT INTO version_files (version_id, path, sha256, size, media_type)
    SELECT v, 'f' || f, sha256(int8send((v - 1) * {files} + f)), 1000000, 'x'
    FROM generate_series(1, {versions}) v, generate_series(1, {files}) f;
INSERT INTO version_tags (version_id, key, value)
    SELECT v, 'keep', 'y' FROM generate_series(1, {versions}, 50) v;
VACUUM ANALYZE;
"""

# An alias for versions spread over all models, of another name each time.
CHANGE = """
WITH chosen AS (SELECT v.id, v.model_id FROM versions v
        WHERE v.id % greatest({versions} / {changes}, 1) = {round} LIMIT {changes}),
    history AS (INSERT INTO alias_history (model_id, alias, version_id, set_at, set_by,
            token_id)
        SELECT model_id, 'canary-' || id, id, now(), 1, 'bench' FROM chosen
        RETURNING id, model_id, alias, version_id)
INSERT INTO aliases (model_id, alias, version_id, history_id)
    SELECT model_id, alias, version_id, id FROM history
    ON CONFLICT (model_id, alias) DO NOTHING;
"""


class Passes:
    """bench-policy over a database of its own."""

    def __init__(self, url, folder, program=ROOT / "build/tests/bench/bench-policy"):
        self.process = subprocess.Popen(
            [program, url, folder], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("bench-policy has ended")
        return json.loads(line)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def put(self, rules):
        return self.ask("put " + json.dumps(rules))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def fill(blobs):
    versions = blobs // FILES
    return FILL.format(blobs=versions * FILES, versions=versions, files=FILES,
                       models=-(-versions // VERSIONS_OF_A_MODEL),
                       of_a_model=VERSIONS_OF_A_MODEL)


def measure(passes, sql, blobs, changes, rounds):
    """[(what, answer of the pass)], the pass over everything first."""
    sql(fill(blobs))
    passes.put(RULES)
    results = [("everything", passes.ask("pass"))]
    sql("VACUUM ANALYZE")
    results.append(("nothing changed", passes.ask("pass")))
    for round_ in range(rounds):
        sql(CHANGE.format(versions=blobs // FILES, changes=changes, round=round_))
        results.append((f"{changes} changes", passes.ask("pass")))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blobs", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strata-bench-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        postgres = Postgres(folder / "postgres").start()
        try:
            url = postgres.create()
            (folder / "data").mkdir()
            passes = Passes(url, folder / "data")

            def sql(text):
                subprocess.run(
                    [postgres.bin / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", url],
                    input=text, text=True, check=True, user=postgres.user, cwd="/")
            results = measure(passes, sql, options.blobs, options.changes, options.rounds)
            passes.close()
        finally:
            postgres.stop()
    for what, result in results:
        print(f"{what:>18}: {result['seconds']:9.3f} s, {result['versions']:>8} versions, "
              f"{result['blobs']:>8} blobs, {result['moves']} moves")
    whole = results[0][1]["seconds"]
    part = statistics.median(result["seconds"] for _, result in results[2:])
    print(f"after {options.changes} changes among {options.blobs} blobs: "
          f"{100 * part / whole:.3f} % of the pass over everything")


if __name__ == "__main__":
    main()
