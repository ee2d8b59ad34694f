# SPDX-License-Identifier: Apache-2.0
"""What must hold between tables, files and objects whenever a server is at rest (DESIGN
section 5).

Run after every test on every server that it used; a test that damages data on purpose
sets `server.is_damaged = True`. `settle` waits until a server that runs is at rest.
"""
import hashlib
import stat
import subprocess
import tempfile

from .chain import sha256
from .stratad import STRATA, wait_until

HASHED_BYTES = 64 << 20  # copies together larger than this are checked by size alone

PLACEMENTS = """
    SELECT p.tier, encode(p.sha256, 'hex'), p.id, p.state, p.stored_size, p.encoding
    FROM placements p"""
TWICE = """
    SELECT encode(sha256, 'hex'), tier, node_id, count(*) FROM placements
    WHERE state <> 'dropping' GROUP BY sha256, tier, node_id HAVING count(*) > 1"""
# A copy that is under way belongs to a move; otherwise nobody ever removes it.
ABANDONED = """
    SELECT p.id, p.tier, p.state FROM placements p
    WHERE p.state IN ('copying', 'verifying') AND NOT EXISTS (
        SELECT FROM moves m WHERE m.placement_id = p.id AND m.finished_at IS NULL)"""
# After a clean end, and at rest, no move runs.
RUNNING = "SELECT id, state FROM moves WHERE state IN ('copying', 'verifying')"
BUSY = """
    SELECT (SELECT count(*) FROM moves WHERE finished_at IS NULL
            AND (state <> 'queued' OR error = '' OR not_before <= now()))
         + (SELECT count(*) FROM placements WHERE state IN ('copying', 'verifying')
            OR state = 'dropping' AND node_id > 0)"""
GARBAGE = "SELECT tier, encode(sha256, 'hex'), id FROM garbage"
UPLOADS = "SELECT tier, encode(sha256, 'hex'), placement_id, state FROM uploads"
BLOBS_NOWHERE = """
    SELECT encode(sha256, 'hex') FROM blobs b WHERE NOT EXISTS (
        SELECT FROM placements p WHERE p.sha256 = b.sha256 AND p.state = 'ready')"""
CHAINS = """
    SELECT encode(b.sha256, 'hex'), b.size, encode(b.chain_root, 'hex'), c.states
    FROM blobs b LEFT JOIN chains c USING (sha256)"""
NUMBERS = """
    SELECT m.full_name, m.last_version, m.live_versions,
           coalesce(array_agg(v.number ORDER BY v.number)
                    FILTER (WHERE v.id IS NOT NULL), '{}'),
           count(*) FILTER (WHERE v.id IS NOT NULL AND v.deleted_at IS NULL)
    FROM models m LEFT JOIN versions v ON v.model_id = m.id GROUP BY m.id"""
MANIFESTS = """
    SELECT v.id, encode(v.digest, 'hex'), v.manifest, v.size,
           coalesce((SELECT sum(f.size) FROM version_files f WHERE f.version_id = v.id), 0)
    FROM versions v WHERE v.manifest IS NOT NULL"""
BAD_ALIASES = """
    SELECT a.alias FROM aliases a JOIN alias_history h ON h.id = a.history_id
    JOIN versions v ON v.id = a.version_id
    WHERE h.version_id IS DISTINCT FROM a.version_id OR h.alias <> a.alias
       OR h.model_id <> a.model_id OR v.model_id <> a.model_id
       OR v.deleted_at IS NOT NULL
       OR h.id < (SELECT max(n.id) FROM alias_history n
                  WHERE n.model_id = a.model_id AND n.alias = a.alias)"""


def problems(server, quarantine=False):
    """A line for each thing that is not as it must be. `quarantine`: something may have
    been set aside."""
    database = server.database
    found = check_copies(server, quarantine) + check_moves(database)
    found += [f"invariant 3: blob {digest} has no ready placement"
              for (digest,) in database.rows(BLOBS_NOWHERE)]
    for digest, size, root, states in database.rows(CHAINS):
        count = max(1, -(-size // (4 << 20)))
        if states is None or len(states) != 32 * count:
            found.append(f"blob {digest} has no chain of {count} values")
        elif states[-32:].hex() != digest or sha256(states) != root:
            found.append(f"the chain of blob {digest} does not fit its root")
    for name, last, counted, numbers, live in database.rows(NUMBERS):
        if list(numbers) != list(range(1, last + 1)):
            found.append(f"versions of {name} up to {last} have gaps: {numbers}")
        if counted != live:
            found.append(f"{name} counts {counted} live versions, there are {live}")
    for version, digest, manifest, size, files in database.rows(MANIFESTS):
        if sha256(manifest.encode()) != digest:
            found.append(f"the manifest of version {version} does not hash to {digest}")
        if size != files:
            found.append(f"version {version} says {size} bytes, its files are {files}")
    found += [f"alias {alias} differs from its history or names a deleted version"
              for (alias,) in database.rows(BAD_ALIASES)]
    return found


def settle(server, seconds=60):
    """Waits until no move runs or could run, and nothing more is removed on this node's
    tiers; a move that failed and is tried later stays."""
    wait_until(lambda: server.database.value(BUSY) == 0, seconds, "moves have ended")


def check_moves(database):
    found = [f"blob {digest} has {count} copies on {tier} of node {node}"
             for digest, tier, node, count in database.rows(TWICE)]
    found += [f"placement {number} on {tier} is {state} and no move makes it"
              for number, tier, state in database.rows(ABANDONED)]
    found += [f"move {number} is {state} and nobody runs it"
              for number, state in database.rows(RUNNING)]
    return found


def check_copies(server, quarantine):
    """Invariants 3 and 4: each file and object has a row that names it, each placement
    a copy that holds the blob."""
    found = []
    named = set()
    ready = []
    for row in server.database.rows(PLACEMENTS):
        tier, digest, number, state = row[:4]
        path = name_of(tier, digest, number)
        named |= {path, f"{tier}/incoming/{number}"}
        if state == "ready":
            ready.append((path, digest, *row[4:]))
    for tier, digest, number, state in server.database.rows(UPLOADS):
        named.add(f"{tier}/incoming/{number}")
        if digest is not None:
            named.add(name_of(tier, digest, number))
    named |= {name_of(*row) for row in server.database.rows(GARBAGE)}
    copies = server.tier_copies()
    for name in copies:
        aside = "/quarantine/" in name
        if name not in named and not (aside and quarantine):
            found.append(f"invariant 4: no row names {name}")
    is_hashed = sum(copy[2] for copy in ready) <= HASHED_BYTES
    for copy in ready:
        found += check_copy(server, copies, copy, is_hashed)
    return found


def name_of(tier, digest, number):
    return f"{tier}/sha256/{digest[:2]}/{digest}.{number}"


def check_copy(server, copies, copy, is_hashed):
    name, digest, size, encoding = copy
    if name not in copies:
        return [f"invariant 3: {name} is ready and not there"]
    found = []
    if copies[name] != size:
        found.append(f"{name} has {copies[name]} bytes instead of {size}")
    path = server.tier_path(name)
    mode = None if path is None else stat.S_IMODE(path.stat().st_mode)
    if mode not in (None, 0o440):
        found.append(f"{name} has mode {mode:o}")
    if is_hashed and digest_of(server, name, encoding) != digest:
        found.append(f"invariant 5: {name} ({encoding}) holds other bytes")
    return found


def digest_of(server, name, encoding):
    """The digest of the blob that a copy holds; words when it cannot be decoded."""
    stored = server.read_copy(name)
    if encoding == "raw":
        return hashlib.sha256(stored).hexdigest()
    with tempfile.TemporaryDirectory(prefix="strata-decode-") as folder:
        return decoded_digest(stored, folder)


def decoded_digest(stored, folder):
    """By the command alone, without server or database."""
    source, target = f"{folder}/stored", f"{folder}/blob"
    with open(source, "wb") as file:
        file.write(stored)
    done = subprocess.run([str(STRATA), "decode", source, "--output", target],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip()
    with open(target, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
