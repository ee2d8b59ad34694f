// SPDX-License-Identifier: Apache-2.0
// Room on the tiers: a tier that is full blocks nobody, what does not fit goes to the
// next. What is left is the least of the configured capacity and the file system's own.
#pragma once

#include "storage/state.h"

// Bytes that may still be written to the tier, UINT64_MAX when nobody knows an end;
// `reserve`: what unfinished uploads may yet write is theirs. ERR_UNAVAILABLE: its file
// system is read-only.
enum err tier_room(struct storage_tier *tier, const struct storage_options *options,
                   bool reserve, uint64_t *room, struct error *e) MUST_CHECK;
// The same for a copy of `size` bytes that the tier's `used` counts already.
enum err tier_room_of_copy(struct storage_tier *tier,
                           const struct storage_options *options, uint64_t size,
                           uint64_t *room, struct error *e) MUST_CHECK;
// Where an upload of `size` bytes begins: `wanted`, or another tier with room, the cold
// one last. ERR_INSUFFICIENT_STORAGE when every tier is full, ERR_UNAVAILABLE when
// none is online and can be written.
enum err tier_room_choose(struct storage *storage, enum tier wanted, uint64_t size,
                          enum tier *tier, struct error *e) MUST_CHECK;
// Counts anew what the rows name on each tier.
enum err tier_room_count(struct storage *storage, struct error *e) MUST_CHECK;
