// SPDX-License-Identifier: Apache-2.0
// The tables as people read them: --print-errors and --print-routes.
#pragma once

#include <stdio.h>

void reference_print_errors(FILE *out); // a Markdown table
void reference_print_routes(FILE *out); // METHOD PATTERN ROLE, a line each
