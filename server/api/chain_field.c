// SPDX-License-Identifier: Apache-2.0
#include "server/api/chain_field.h"

#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/chain.h"
#include "common/hex.h"

#define VALUE_SIZE ((size_t)2 * CHAIN_STATE_SIZE) // characters

uint8_t *chain_field_parse(const char *text, size_t *count)
{
    size_t room = strlen(text) / VALUE_SIZE + 1;
    AUTO_FREE uint8_t *states = alloc_zero(room * CHAIN_STATE_SIZE);
    *count = 0;
    for (const char *p = text;; p++) {
        uint8_t *state = states + *count * CHAIN_STATE_SIZE;
        if (strnlen(p, VALUE_SIZE) < VALUE_SIZE ||
            !hex_decode(p, state, CHAIN_STATE_SIZE))
            return NULL;
        ++*count;
        p += VALUE_SIZE;
        p += strspn(p, " \t");
        if (*p == '\0')
            return steal_ptr(states);
        if (*p != ',')
            return NULL;
        p += strspn(p + 1, " \t");
    }
}
