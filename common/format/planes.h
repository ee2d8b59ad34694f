// SPDX-License-Identifier: Apache-2.0
// Elements of floating-point tensors as planes: each element is rotated left by one bit
// and its bytes, the most significant first, go to planes of their own.
// docs/COLD-FORMAT.md, "Regions". Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PLANES_MAXIMUM 8

// `width` is 2, 4 or 8; `elements` has count * width bytes, each of the `width` planes
// count.
void planes_split(unsigned width, const void *elements, size_t count,
                  uint8_t *const planes[PLANES_MAXIMUM]);
void planes_join(unsigned width, void *elements, size_t count,
                 const uint8_t *const planes[PLANES_MAXIMUM]);
