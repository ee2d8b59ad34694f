// SPDX-License-Identifier: Apache-2.0
#include "client/lib/strata.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("strata %s\n", strata_version());
        return 0;
    }
    fprintf(stderr, "usage: strata --version\n");
    return 2;
}
