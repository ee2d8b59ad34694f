// SPDX-License-Identifier: Apache-2.0
// The chain of an upload whose parts bring it along (chain_with_parts). A part's values
// are verified with its bytes; where two parts meet, theirs must be the same, so that
// all of them together are one chain from the first byte to the digest.
#pragma once

#include "storage/upload_table.h"

// How many values part `number` brings: one for each of its chunks, and the one before
// it unless it is the first.
size_t upload_chain_values(const struct upload *upload, uint64_t number);
// Makes room; before any part.
void upload_chain_begin(struct upload *upload);
// Takes the verified values of a part in. With the upload's lock held.
// ERR_PART_CONFLICT when a neighbour brought another value.
enum err upload_chain_take(struct upload *upload, uint64_t number,
                           const uint8_t *states, struct error *e) MUST_CHECK;
// The values of a part that were taken in, one after the other. With the lock held.
const uint8_t *upload_chain_of_part(const struct upload *upload, uint64_t number);
