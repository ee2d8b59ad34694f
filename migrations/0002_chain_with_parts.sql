-- SPDX-License-Identifier: Apache-2.0
-- Uploads whose client hashes while it sends: each part brings the values of the chain
-- at its borders.

ALTER TABLE uploads ADD COLUMN chain_with_parts boolean NOT NULL DEFAULT false;

-- The value before the part (not of part 0), then one for each chunk of it, as raw
-- bytes one after the other. NULL: the upload's chain is known or hashed otherwise.
ALTER TABLE upload_parts ADD COLUMN states bytea;

-- "May a blob that begins like this be here?"
CREATE INDEX chains_by_first ON chains (substring(states FROM 1 FOR 32));
