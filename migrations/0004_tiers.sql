-- SPDX-License-Identifier: Apache-2.0
-- Copies on several tiers, and the moves that make and drop them. DESIGN section 5.

-- heat_score orders the copies of a tier by heat and never changes while nobody reads:
-- log2(heat) + seconds since 1970 / half-life. checked_at: last read whole and verified.
-- damaged: some chunk of it is not what it should be, and no good copy is left to heal
-- it from.
ALTER TABLE placements
    ADD COLUMN heat_score double precision NOT NULL DEFAULT 0,
    ADD COLUMN checked_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN damaged    boolean NOT NULL DEFAULT false;
CREATE INDEX placements_by_heat
    ON placements (node_id, tier, heat_score) WHERE state = 'ready';
CREATE INDEX placements_by_check
    ON placements (node_id, tier, checked_at) WHERE state = 'ready';

-- Where the client wants the bytes; `tier` is where they are written.
ALTER TABLE uploads ADD COLUMN asked_tier text NOT NULL DEFAULT 'hot'
    CHECK (asked_tier IN ('hot', 'warm', 'cold'));

-- When a blob is to be looked at for its copy in the bucket; null: it has one.
ALTER TABLE blobs ADD COLUMN protect_at timestamptz DEFAULT now();
CREATE INDEX blobs_by_protection ON blobs (protect_at) WHERE protect_at IS NOT NULL;

-- A move makes `to_tier` ready and, when `drops`, then drops every copy above it (a
-- copy on the cold tier is never above). cause: who asked for it. A move that failed
-- and is tried again is queued, with its last error and not_before.
CREATE TABLE moves (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256       bytea NOT NULL REFERENCES blobs ON DELETE CASCADE,
    node_id      bigint NOT NULL REFERENCES nodes,
    from_tier    text NOT NULL CHECK (from_tier IN ('hot', 'warm', 'cold')),
    to_tier      text NOT NULL CHECK (to_tier IN ('hot', 'warm', 'cold')),
    drops        boolean NOT NULL,
    cause        text NOT NULL CHECK (cause IN ('move', 'pin', 'prefetch', 'rule',
                     'heat', 'space', 'protect', 'heal')),
    rule         text NOT NULL DEFAULT '',
    priority     smallint NOT NULL,
    placement_id bigint, -- the copy that it makes
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'copying',
                     'verifying', 'done', 'failed', 'cancelled')),
    size         bigint NOT NULL,
    bytes_done   bigint NOT NULL DEFAULT 0,
    attempts     integer NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT '',
    cancelled    boolean NOT NULL DEFAULT false,
    not_before   timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    principal_id bigint REFERENCES principals,
    CHECK ((finished_at IS NULL) = (state IN ('queued', 'copying', 'verifying')))
);
CREATE INDEX moves_active ON moves (sha256, node_id, id) WHERE finished_at IS NULL;
CREATE INDEX moves_queued ON moves (node_id, priority, id) WHERE state = 'queued';
CREATE INDEX moves_by_blob ON moves (sha256, id);
CREATE INDEX moves_by_end ON moves (finished_at) WHERE finished_at IS NOT NULL;

-- An explicit move holds its blob on a tier against rules and heat.
CREATE TABLE holds (
    sha256 bytea PRIMARY KEY REFERENCES blobs ON DELETE CASCADE,
    tier   text NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
    until  timestamptz NOT NULL
);
CREATE INDEX holds_by_until ON holds (until);
