-- SPDX-License-Identifier: Apache-2.0
-- The few damaged copies, which the scrub looks for each second: one that has got a good
-- copy beside it is made again.
CREATE INDEX placements_damaged ON placements (node_id, tier) WHERE damaged;

-- What names the copies that are under way, and those that ended moves left.
CREATE INDEX moves_placement ON moves (placement_id) WHERE placement_id IS NOT NULL;
