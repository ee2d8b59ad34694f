// SPDX-License-Identifier: Apache-2.0
// The text of a token: `strata_<id>_<secret>`, id and secret of the 62 letters and
// digits. The id is public and finds the row; the secret carries 256 random bits and is
// kept as its SHA-256 alone.
#pragma once

#include <stdbool.h>

#include "common/digest.h"
#include "common/error.h"

#define TOKEN_ID_LENGTH 16
#define TOKEN_SECRET_LENGTH 43
#define TOKEN_TEXT_SIZE (7 + TOKEN_ID_LENGTH + 1 + TOKEN_SECRET_LENGTH + 1)

// A new token; ERR_INTERNAL when the machine has no randomness.
enum err token_text_make(char text[TOKEN_TEXT_SIZE], struct error *e) MUST_CHECK;
// False when `text` is not of that form.
bool token_text_parse(const char *text, char id[TOKEN_ID_LENGTH + 1],
                      struct digest *secret);
