// SPDX-License-Identifier: Apache-2.0
#include "server/api/render.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "server/api/request.h"

json_t *render_time(int64_t wall_us)
{
    if (wall_us == 0)
        return json_null();
    char text[CLOCK_TEXT_SIZE];
    clock_format(wall_us, text);
    return json_string(text);
}

json_t *render_text(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

json_t *render_digest(const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    return json_string(hex);
}

void respond_numbered_page(struct response *response, const char *plural, json_t *rows,
                           int64_t next)
{
    char key[24];
    snprintf(key, sizeof key, "%" PRId64, next);
    AUTO_FREE char *token = next != 0 ? page_token_encode(key) : NULL;
    response_json(response, 200,
                  json_pack("{s:o, s:s?}", plural, rows, "next_page_token", token));
}
