// SPDX-License-Identifier: Apache-2.0
// The text form of PostgreSQL arrays, `{1,2}`, as parameters of one statement for many
// rows. Put the items, then ask for the text.
#pragma once

#include "common/buf.h"
#include "common/db/db.h"
#include "common/digest.h"

void sql_array_int(struct buf *array, int64_t value);
void sql_array_real(struct buf *array, double value);
void sql_array_bool(struct buf *array, bool value);
void sql_array_word(struct buf *array, const char *word); // name characters, or empty
void sql_array_digest(struct buf *array, const struct digest *digest);
// Ends the array; valid until the buffer is cleared or reset.
struct db_param sql_array(struct buf *array);
