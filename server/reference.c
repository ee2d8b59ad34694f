// SPDX-License-Identifier: Apache-2.0
#include "server/reference.h"

#include "common/error.h"
#include "server/api/route.h"

void reference_print_errors(FILE *out)
{
    fputs("| type | status | title |\n| --- | --- | --- |\n", out);
    for (int i = ERR_NONE + 1; i < ERR_COUNT; i++)
        fprintf(out, "| `%s` | %d | %s |\n", error_slug((enum err)i),
                error_status((enum err)i), error_title((enum err)i));
}

void reference_print_routes(FILE *out)
{
    for (size_t i = 0; i < routes_count; i++)
        fprintf(out, "%s %s %s\n", routes[i].method, routes[i].pattern,
                role_name(routes[i].role));
}
