-- SPDX-License-Identifier: Apache-2.0
-- Garbage: what is deleted, and what may be. DESIGN invariant 6.

-- Copies of blobs that are gone. A row names its file or key until that is removed; it
-- is a placement's, with the placement's number.
CREATE TABLE garbage (
    id          bigint PRIMARY KEY,
    sha256      bytea NOT NULL CHECK (octet_length(sha256) = 32),
    tier        text NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
    node_id     bigint NOT NULL REFERENCES nodes,
    stored_size bigint NOT NULL,
    since       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX garbage_by_tier ON garbage (node_id, tier, since);

-- Blobs that may have lost their last name: those of a purged version, those whose lease
-- ran out.
CREATE TABLE gc_candidates (
    sha256 bytea PRIMARY KEY,
    since  timestamptz NOT NULL DEFAULT now()
);

-- Where the walk over all blobs is, which finds what was never a candidate.
CREATE TABLE gc_walk (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    after    bytea NOT NULL DEFAULT '',
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
INSERT INTO gc_walk DEFAULT VALUES;
