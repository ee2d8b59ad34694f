-- SPDX-License-Identifier: Apache-2.0
-- Where blobs belong: rules, pins, heat, and what is still to be looked at. DESIGN
-- section 6.

-- Each change is a row; the newest is in force. `rules` is the text as it was given.
CREATE TABLE tier_rules (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rules    json NOT NULL,
    set_at   timestamptz NOT NULL DEFAULT now(),
    set_by   bigint NOT NULL REFERENCES principals,
    token_id text NOT NULL
);

-- Of a version or of one blob. What it holds stands in pin_blobs.
CREATE TABLE pins (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_id bigint REFERENCES versions,
    sha256     bytea CHECK (octet_length(sha256) = 32),
    tier       text NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
    until      timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by bigint NOT NULL REFERENCES principals,
    token_id   text NOT NULL,
    CHECK ((version_id IS NULL) <> (sha256 IS NULL))
);
CREATE INDEX pins_by_version ON pins (version_id) WHERE version_id IS NOT NULL;
CREATE INDEX pins_by_until ON pins (until) WHERE until IS NOT NULL;

CREATE TABLE pin_blobs (
    pin_id bigint NOT NULL REFERENCES pins ON DELETE CASCADE,
    sha256 bytea NOT NULL REFERENCES blobs ON DELETE CASCADE,
    PRIMARY KEY (pin_id, sha256)
);
CREATE INDEX pin_blobs_by_blob ON pin_blobs (sha256);

-- heat as of heat_at; `windows`: in which of the last windows it was read.
CREATE TABLE heat (
    sha256       bytea PRIMARY KEY REFERENCES blobs ON DELETE CASCADE,
    heat         double precision NOT NULL,
    heat_at      timestamptz NOT NULL,
    windows      bigint NOT NULL,
    last_read_at timestamptz NOT NULL
);

-- What the rules said of each live version, under which of them (rules_id), and when
-- time alone can change it. idle: a read can change it. newest: the smallest newest_n
-- of the rules that the version is within.
CREATE TABLE version_policy (
    version_id bigint PRIMARY KEY REFERENCES versions,
    model_id   bigint NOT NULL,
    rules_id   bigint NOT NULL,
    rule       text NOT NULL DEFAULT '',
    tier       text CHECK (tier IN ('hot', 'warm', 'cold')),
    newest     bigint NOT NULL DEFAULT 0,
    idle       boolean NOT NULL DEFAULT false,
    next_at    timestamptz
);
CREATE INDEX version_policy_by_rules ON version_policy (rules_id, version_id);
CREATE INDEX version_policy_due ON version_policy (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX version_policy_newest ON version_policy (model_id) WHERE newest > 0;

-- What was decided of a blob, and when to look again. `missing`: its bytes, when its
-- tier has no room for them. cancelled_move: the last that was not wanted any more.
CREATE TABLE blob_policy (
    sha256  bytea PRIMARY KEY REFERENCES blobs ON DELETE CASCADE,
    tier    text CHECK (tier IN ('hot', 'warm', 'cold')),
    cause   text NOT NULL,
    rule    text NOT NULL DEFAULT '',
    missing bigint NOT NULL DEFAULT 0,
    next_at timestamptz,
    cancelled_move bigint
);
CREATE INDEX blob_policy_due ON blob_policy (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX blob_policy_unsatisfied ON blob_policy (tier, missing) WHERE missing > 0;

-- Queues of what changed. A row is inserted with each change and never updated, so that
-- a pass that takes the rows it sees misses nothing that commits later, and nobody
-- waits for it. model_id: which of the model's versions are its newest may have
-- changed.
CREATE TABLE policy_versions (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_id bigint NOT NULL,
    model_id   bigint
);
CREATE TABLE policy_blobs (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 bytea NOT NULL
);
CREATE INDEX policy_blobs_by_blob ON policy_blobs (sha256);

-- ---- what a rule can ask of a version ---------------------------------------

CREATE FUNCTION policy_version_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO policy_versions (version_id, model_id) VALUES (NEW.id, NEW.model_id);
    IF TG_OP = 'UPDATE' THEN -- deleted or restored: its parents lose or gain a child
        INSERT INTO policy_versions (version_id)
            SELECT DISTINCT parent_version_id FROM parents
            WHERE version_id = NEW.id AND parent_version_id IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER policy_version_inserted AFTER INSERT ON versions
    FOR EACH ROW EXECUTE FUNCTION policy_version_changed();
CREATE TRIGGER policy_version_updated AFTER UPDATE OF deleted_at, yanked_at ON versions
    FOR EACH ROW WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at
        OR OLD.yanked_at IS DISTINCT FROM NEW.yanked_at)
    EXECUTE FUNCTION policy_version_changed();

CREATE FUNCTION policy_alias_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO policy_versions (version_id) SELECT DISTINCT id
        FROM unnest(ARRAY[OLD.version_id, NEW.version_id]) AS id WHERE id IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER policy_alias_changed AFTER INSERT OR UPDATE OR DELETE ON aliases
    FOR EACH ROW EXECUTE FUNCTION policy_alias_changed();

CREATE FUNCTION policy_tags_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO policy_versions (version_id) SELECT DISTINCT version_id FROM changed;
    RETURN NULL;
END $$;
CREATE TRIGGER policy_tags_inserted AFTER INSERT ON version_tags
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_tags_changed();
CREATE TRIGGER policy_tags_updated AFTER UPDATE ON version_tags
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_tags_changed();
CREATE TRIGGER policy_tags_deleted AFTER DELETE ON version_tags
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_tags_changed();

CREATE FUNCTION policy_parents_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO policy_versions (version_id) SELECT DISTINCT parent_version_id
        FROM changed WHERE parent_version_id IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER policy_parents_inserted AFTER INSERT ON parents
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_parents_changed();

-- ---- what else decides of a blob --------------------------------------------

CREATE FUNCTION policy_blobs_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO policy_blobs (sha256) SELECT sha256 FROM changed;
    RETURN NULL;
END $$;
CREATE TRIGGER policy_pins_inserted AFTER INSERT ON pin_blobs
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_blobs_changed();
CREATE TRIGGER policy_pins_deleted AFTER DELETE ON pin_blobs
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_blobs_changed();
CREATE TRIGGER policy_holds_inserted AFTER INSERT ON holds
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_blobs_changed();
CREATE TRIGGER policy_holds_updated AFTER UPDATE ON holds
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_blobs_changed();
CREATE TRIGGER policy_holds_deleted AFTER DELETE ON holds
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION policy_blobs_changed();

-- The half-life that heat_score was worked out with, in seconds: stratad's option, which
-- it writes here when it starts, and then works all scores out anew.
CREATE TABLE policy_settings (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    half_life double precision NOT NULL
);
INSERT INTO policy_settings (half_life) VALUES (604800);

-- As heat_score of server/policy/heat.h: its birth is a read as well.
CREATE FUNCTION policy_heat_score(digest bytea)
    RETURNS double precision LANGUAGE sql STABLE AS $$
    WITH t AS (SELECT coalesce(h.heat, 0) AS heat, s.half_life,
            date_part('epoch', b.created_at) AS born,
            date_part('epoch', greatest(h.heat_at, b.created_at)) AS at,
            date_part('epoch', coalesce(h.heat_at, b.created_at)) AS read
        FROM blobs b CROSS JOIN policy_settings s
        LEFT JOIN heat h ON h.sha256 = b.sha256 WHERE b.sha256 = digest)
    SELECT ln(heat * power(2, -least((at - read) / half_life, 1000))
            + power(2, -least((at - born) / half_life, 1000)))
        / ln(2::double precision) + at / half_life
    FROM t
$$;

-- All copies of a blob, those that are being dropped too.
CREATE INDEX placements_by_blob ON placements (sha256);

-- A new copy takes its blob's place in the order of heat.
CREATE FUNCTION policy_placement_scored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.heat_score := coalesce(
        (SELECT max(p.heat_score) FROM placements p WHERE p.sha256 = NEW.sha256),
        policy_heat_score(NEW.sha256), 0);
    RETURN NEW;
END $$;
CREATE TRIGGER policy_placement_scored BEFORE INSERT ON placements
    FOR EACH ROW EXECUTE FUNCTION policy_placement_scored();
UPDATE placements SET heat_score = policy_heat_score(sha256);

-- What was published before there were rules.
INSERT INTO policy_versions (version_id) SELECT id FROM versions
    WHERE deleted_at IS NULL ORDER BY id;
