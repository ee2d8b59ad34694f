// SPDX-License-Identifier: Apache-2.0
// What the client's state files hold: their bytes to and fro. What was cut short or
// damaged does not count.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/format/chain.h"

// The longest note's text, with its newline.
#define STATE_NOTE_MAXIMUM 1024

// The bytes of a note: the text and a newline. False when it is too long for one.
bool state_note_format(const char *text, char file[STATE_NOTE_MAXIMUM + 1]);
// Ends the text at its newline; it becomes "" when there is none.
void state_note_parse(char *file);

// The file of a chain: a first line, the raw values, the SHA-256 of both. False when
// the buffer's maximum would be passed.
bool state_hash_format(const struct chain *chain, struct buf *file);
// The chain of a blob of `size` bytes; the caller clears *chain. False when it is not
// exactly that.
bool state_hash_parse(const void *bytes, size_t bytes_size, uint64_t size,
                      struct chain *chain);
