-- SPDX-License-Identifier: Apache-2.0
-- The few damaged copies, which the scrub looks for each second: one that has got a good
-- copy beside it is made again.
CREATE INDEX placements_damaged ON placements (node_id, tier) WHERE damaged;
