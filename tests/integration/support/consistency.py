# SPDX-License-Identifier: Apache-2.0
"""What must hold between tables and files whenever a server is at rest (DESIGN section 5).

Run after every test on every server that it used; a test that damages data on purpose
sets `server.is_damaged = True`.
"""
import hashlib
import stat

from .chain import sha256

HASHED_BYTES = 64 << 20  # files together larger than this are checked by size alone

PLACEMENTS = """
    SELECT p.tier, encode(p.sha256, 'hex'), p.id, p.state, p.stored_size
    FROM placements p WHERE p.encoding = 'raw'"""
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


def problems(server):
    """A line for each thing that is not as it must be."""
    database = server.database
    found = []
    found += check_files(server)
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


def check_files(server):
    """Invariants 3 and 4: each file has a row that names it, each placement a file."""
    found = []
    named = set()
    ready = []
    for tier, digest, number, state, size in server.database.rows(PLACEMENTS):
        path = f"{tier}/sha256/{digest[:2]}/{digest}.{number}"
        named |= {path, f"{tier}/incoming/{number}"}
        if state == "ready":
            ready.append((path, digest, size))
    for tier, digest, number, state in server.database.rows(UPLOADS):
        named.add(f"{tier}/incoming/{number}")
        if digest is not None:
            named.add(f"{tier}/sha256/{digest[:2]}/{digest}.{number}")
    files = server.tier_files()
    found += [f"invariant 4: no row names {path}" for path in files if path not in named]
    is_hashed = sum(size for _, _, size in ready) <= HASHED_BYTES
    for path, digest, size in ready:
        found += check_file(server.data / path, digest, size, is_hashed)
    return found


def check_file(path, digest, size, is_hashed):
    if not path.exists():
        return [f"invariant 3: {path.name} is ready and not there"]
    status = path.stat()
    found = []
    if status.st_size != size:
        found.append(f"{path.name} has {status.st_size} bytes instead of {size}")
    if stat.S_IMODE(status.st_mode) != 0o440:
        found.append(f"{path.name} has mode {stat.S_IMODE(status.st_mode):o}")
    if is_hashed:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                found.append(f"invariant 5: {path.name} holds other bytes")
    return found
