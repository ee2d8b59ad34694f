// SPDX-License-Identifier: Apache-2.0
// The processors on which the threads of connections that send files stay. The kernel
// would wake such a thread now here, now there, whenever its client has taken a piece,
// and the client's side with it: with many downloads at once that cost more than the
// sending (docs/PERFORMANCE.md has the figures). All of it any thread.
#pragma once

#include <stdbool.h>

struct homes;

#define HOME_NONE (-1)

struct homes *homes_new(void); // of the processors that this process may use
void homes_free(struct homes *homes);

// Binds the calling thread to the processor on which fewest stay. HOME_NONE where
// nothing is bound: there is one processor alone, or the system refuses.
int homes_stay(struct homes *homes);
// Lets the calling thread run anywhere again.
void homes_roam(struct homes *homes, int home);
// Binds the calling thread to the processors on which none stays; where some stay on
// each, or when it need not avoid them any more, it runs anywhere again.
void homes_avoid(const struct homes *homes, bool avoid);
// For the thread of a connection that ends, by any thread.
void homes_leave(struct homes *homes, int home);
