// SPDX-License-Identifier: Apache-2.0
// `Strata-Chain`: what a part of an upload brings of the chain, values of 64 lower-case
// hex digits with commas between them.
#pragma once

#include <stddef.h>
#include <stdint.h>

// *count values of CHAIN_STATE_SIZE bytes one after the other, which the caller frees;
// NULL where the text does not parse.
uint8_t *chain_field_parse(const char *text, size_t *count);
