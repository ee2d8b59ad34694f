// SPDX-License-Identifier: Apache-2.0
// The listening socket.
#pragma once

#include "common/error.h"

// Binds `address` (ADDR:PORT, [V6]:PORT; port 0 takes a free one) and listens.
// `congestion` ("" = the system's) is set before listening, so that accepted sockets
// inherit it. *bound is ADDR:PORT as bound, to be freed.
enum err listener_open(const char *address, const char *congestion, int *fd,
                       char **bound, struct error *e) MUST_CHECK;
