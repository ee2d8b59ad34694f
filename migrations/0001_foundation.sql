-- SPDX-License-Identifier: Apache-2.0
-- The ground: who may act, what is published, where bytes lie. DESIGN section 5.

-- One row: the identity that every tier root and bucket prefix repeats (invariant 7).
CREATE TABLE cluster (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    epoch      bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO cluster DEFAULT VALUES;

-- Node 0 stands for what all nodes share (the cold tier).
CREATE TABLE nodes (
    id         bigint PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    url        text,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO nodes (id, name) VALUES (0, 'shared'), (1, 'local');

-- ---- access ---------------------------------------------------------------

CREATE TABLE principals (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('person', 'service')),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- `id` is the public half of a token; of the secret half only the SHA-256 is kept.
CREATE TABLE tokens (
    id            text PRIMARY KEY,
    principal_id  bigint NOT NULL REFERENCES principals,
    role          text NOT NULL
                  CHECK (role IN ('reader', 'publisher', 'maintainer', 'admin')),
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    description   text NOT NULL DEFAULT '',
    bootstrap     boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    bigint REFERENCES principals,
    expires_at    timestamptz,
    revoked_at    timestamptz
);
CREATE INDEX tokens_by_principal ON tokens (principal_id, id);
CREATE INDEX tokens_by_revocation ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_bootstrap ON tokens (id) WHERE bootstrap;

-- Names are ASCII and sort by their bytes.
CREATE TABLE namespaces (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX namespaces_by_name ON namespaces (lower(name));

-- The place of grants per namespace. A token's role is the ceiling; until grants are
-- enforced the table is empty and every principal reaches every namespace.
CREATE TABLE grants (
    namespace_id bigint NOT NULL REFERENCES namespaces,
    principal_id bigint NOT NULL REFERENCES principals,
    role         text NOT NULL
                 CHECK (role IN ('reader', 'publisher', 'maintainer', 'admin')),
    PRIMARY KEY (namespace_id, principal_id)
);
CREATE INDEX grants_by_principal ON grants (principal_id);

-- ---- bytes ------------------------------------------------------------------

-- A row here says: these bytes are here, verified, with a ready placement
-- (invariant 3); it is written in the transaction that makes the first one ready.
CREATE TABLE blobs (
    sha256     bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
    size       bigint NOT NULL CHECK (size >= 0),
    chain_root bytea NOT NULL CHECK (octet_length(chain_root) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The chaining values as raw bytes one after the other, the digest last.
CREATE TABLE chains (
    sha256 bytea PRIMARY KEY REFERENCES blobs ON DELETE CASCADE,
    states bytea NOT NULL
);
ALTER TABLE chains ALTER COLUMN states SET STORAGE EXTERNAL;

-- Also names the files of uploads; a number is never used twice (invariant 4).
CREATE SEQUENCE placement_ids;

CREATE TABLE placements (
    id          bigint PRIMARY KEY DEFAULT nextval('placement_ids'),
    sha256      bytea NOT NULL REFERENCES blobs,
    tier        text NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
    node_id     bigint NOT NULL REFERENCES nodes,
    state       text NOT NULL
                CHECK (state IN ('copying', 'verifying', 'ready', 'dropping')),
    stored_size bigint NOT NULL,
    encoding    text NOT NULL DEFAULT 'raw',
    base_sha256 bytea REFERENCES blobs,
    seek_table  bytea,
    rule        text NOT NULL DEFAULT 'default',
    since       timestamptz NOT NULL DEFAULT now(),
    CHECK ((tier = 'cold') = (node_id = 0))
);
CREATE UNIQUE INDEX placements_live
    ON placements (sha256, tier, node_id) WHERE state <> 'dropping';
CREATE INDEX placements_by_base
    ON placements (base_sha256) WHERE base_sha256 IS NOT NULL;
CREATE INDEX placements_unready ON placements (state) WHERE state <> 'ready';

-- A promise that GC honours: written where an answer said "here" or "stored".
CREATE TABLE leases (
    sha256       bytea NOT NULL REFERENCES blobs,
    principal_id bigint NOT NULL REFERENCES principals,
    until        timestamptz NOT NULL,
    PRIMARY KEY (sha256, principal_id)
);
CREATE INDEX leases_by_until ON leases (until);

-- The row names its file, incoming/<placement_id>, before the file exists; from
-- `completing` on, with sha256 known, it also names sha256/ab/<hex>.<placement_id>.
CREATE TABLE uploads (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    principal_id bigint NOT NULL REFERENCES principals,
    node_id      bigint NOT NULL REFERENCES nodes,
    placement_id bigint NOT NULL UNIQUE DEFAULT nextval('placement_ids'),
    tier         text NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
    size         bigint NOT NULL CHECK (size >= 0),
    part_size    bigint NOT NULL CHECK (part_size > 0),
    sha256       bytea CHECK (octet_length(sha256) = 32),
    chain        bytea,
    -- false: the one body of PUT /blobs, with which nobody can go on after a crash
    resumable    boolean NOT NULL DEFAULT true,
    state        text NOT NULL DEFAULT 'open'
                 CHECK (state IN ('open', 'completing', 'done')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_unfinished ON uploads (node_id, state) WHERE state <> 'done';

-- A row = that part's bytes are durable in the upload's file.
CREATE TABLE upload_parts (
    upload_id uuid NOT NULL REFERENCES uploads ON DELETE CASCADE,
    number    integer NOT NULL CHECK (number >= 0),
    PRIMARY KEY (upload_id, number)
);

-- ---- registry ---------------------------------------------------------------

-- full_name is `namespace/name`. last_version is the highest number ever given out;
-- numbers are never used again. live_versions counts those that are not deleted; like
-- last_version it changes only under the row's lock.
CREATE TABLE models (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace_id  bigint NOT NULL REFERENCES namespaces,
    full_name     text COLLATE "C" NOT NULL UNIQUE,
    description   text NOT NULL DEFAULT '',
    last_version  bigint NOT NULL DEFAULT 0,
    live_versions bigint NOT NULL DEFAULT 0 CHECK (live_versions >= 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    created_by    bigint NOT NULL REFERENCES principals,
    deleted_at    timestamptz
);
-- A deleted model keeps its name, so that its version numbers are never used again.
CREATE UNIQUE INDEX models_by_name ON models (lower(full_name));
CREATE INDEX models_by_namespace ON models (namespace_id);

-- Runs are named by the system they ran in and their id there.
CREATE TABLE runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system      text NOT NULL DEFAULT '',
    external_id text NOT NULL,
    url         text NOT NULL DEFAULT '',
    UNIQUE (system, external_id, url)
);

CREATE TABLE datasets (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uri    text NOT NULL,
    sha256 text NOT NULL DEFAULT '',
    name   text NOT NULL DEFAULT '',
    UNIQUE (uri, sha256, name)
);

-- `manifest` is the exact text that was hashed, served verbatim, never written again.
-- It goes when a deleted version is purged; number, digest and edges stay. `origins` is
-- the manifest's part from parents to metrics, a JSON object, so that a list need not
-- read the files.
CREATE TABLE versions (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id        bigint NOT NULL REFERENCES models,
    number          bigint NOT NULL CHECK (number > 0),
    digest          bytea NOT NULL CHECK (octet_length(digest) = 32),
    manifest        text,
    origins         text NOT NULL,
    size            bigint NOT NULL,
    files_count     bigint NOT NULL,
    description     text NOT NULL DEFAULT '',
    params          jsonb NOT NULL DEFAULT '{}',
    run_id          bigint REFERENCES runs,
    code_repository text,
    code_commit     text,
    code_dirty      boolean,
    created_at      timestamptz NOT NULL,
    created_by      bigint NOT NULL REFERENCES principals,
    token_id        text NOT NULL,
    yanked_at       timestamptz,
    yanked_by       bigint REFERENCES principals,
    yank_message    text,
    deleted_at      timestamptz,
    deleted_by      bigint REFERENCES principals,
    purge_at        timestamptz,
    purged_at       timestamptz,
    UNIQUE (model_id, number)
);
CREATE INDEX versions_by_digest ON versions (digest);
CREATE INDEX versions_live ON versions (model_id, number DESC)
    WHERE deleted_at IS NULL AND yanked_at IS NULL;
CREATE INDEX versions_listed ON versions (model_id, number DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX versions_by_run ON versions (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX versions_by_code ON versions (code_repository, code_commit)
    WHERE code_commit IS NOT NULL;
CREATE INDEX versions_by_purge ON versions (purge_at)
    WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- The foreign key to blobs is GC's lock (invariant 6).
CREATE TABLE version_files (
    version_id bigint NOT NULL REFERENCES versions,
    path       text COLLATE "C" NOT NULL,
    sha256     bytea NOT NULL REFERENCES blobs,
    size       bigint NOT NULL,
    media_type text NOT NULL,
    PRIMARY KEY (version_id, path)
);
CREATE INDEX version_files_by_blob ON version_files (sha256, version_id);

-- An edge from an origin to what was made from it; either a version here or a URI.
CREATE TABLE parents (
    version_id        bigint NOT NULL REFERENCES versions,
    position          integer NOT NULL,
    relation          text NOT NULL,
    parent_version_id bigint REFERENCES versions,
    uri               text,
    PRIMARY KEY (version_id, position),
    CHECK ((parent_version_id IS NULL) <> (uri IS NULL))
);
CREATE INDEX parents_by_parent ON parents (parent_version_id, version_id)
    WHERE parent_version_id IS NOT NULL;
CREATE INDEX parents_by_uri ON parents (uri, version_id) WHERE uri IS NOT NULL;

CREATE TABLE version_datasets (
    version_id bigint NOT NULL REFERENCES versions,
    position   integer NOT NULL,
    dataset_id bigint NOT NULL REFERENCES datasets,
    PRIMARY KEY (version_id, position)
);
CREATE INDEX version_datasets_by_dataset ON version_datasets (dataset_id, version_id);

CREATE TABLE version_metrics (
    version_id bigint NOT NULL REFERENCES versions,
    name       text NOT NULL,
    value      double precision NOT NULL,
    PRIMARY KEY (version_id, name)
);

CREATE TABLE version_tags (
    version_id bigint NOT NULL REFERENCES versions,
    key        text NOT NULL,
    value      text NOT NULL,
    PRIMARY KEY (version_id, key)
);
-- A whole value may be larger than an index row can be.
CREATE INDEX version_tags_by_tag ON version_tags (key, left(value, 256), version_id);

CREATE TABLE evaluations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_id bigint NOT NULL REFERENCES versions,
    dataset_id bigint REFERENCES datasets,
    note       text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by bigint NOT NULL REFERENCES principals,
    token_id   text NOT NULL
);
CREATE INDEX evaluations_by_version ON evaluations (version_id, id);

CREATE TABLE evaluation_metrics (
    evaluation_id bigint NOT NULL REFERENCES evaluations,
    name          text NOT NULL,
    value         double precision NOT NULL,
    PRIMARY KEY (evaluation_id, name)
);

-- Every setting and removal of an alias; the newest row's id is the alias's sequence
-- (its ETag), `version_id` is null where it was removed.
CREATE TABLE alias_history (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id   bigint NOT NULL REFERENCES models,
    alias      text COLLATE "C" NOT NULL,
    version_id bigint REFERENCES versions,
    set_at     timestamptz NOT NULL,
    set_by     bigint NOT NULL REFERENCES principals,
    token_id   text NOT NULL
);
CREATE INDEX alias_history_by_alias ON alias_history (model_id, alias, id DESC);

CREATE TABLE aliases (
    model_id   bigint NOT NULL REFERENCES models,
    alias      text COLLATE "C" NOT NULL,
    version_id bigint NOT NULL REFERENCES versions,
    history_id bigint NOT NULL REFERENCES alias_history,
    PRIMARY KEY (model_id, alias)
);
CREATE INDEX aliases_by_version ON aliases (version_id);

-- Unique per model for ever (invariant 2).
CREATE TABLE idempotency_keys (
    model_id    bigint NOT NULL REFERENCES models,
    key         text NOT NULL,
    body_sha256 bytea NOT NULL CHECK (octet_length(body_sha256) = 32),
    version_id  bigint NOT NULL REFERENCES versions,
    PRIMARY KEY (model_id, key)
);
CREATE INDEX idempotency_keys_by_version ON idempotency_keys (version_id);

-- ---- history ----------------------------------------------------------------

-- The outbox (invariant 10): written in the change's own transaction; `id` stays null
-- until a relay numbers the committed rows.
CREATE TABLE events (
    outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           bigint UNIQUE,
    at           timestamptz NOT NULL DEFAULT now(),
    kind         text NOT NULL,
    subject      text NOT NULL,
    payload      jsonb NOT NULL DEFAULT '{}',
    principal_id bigint REFERENCES principals,
    token_id     text,
    request_id   text
);
CREATE INDEX events_unnumbered ON events (outbox_id) WHERE id IS NULL;
