// SPDX-License-Identifier: Apache-2.0
// Threads that hash uploads whose chain the client did not give, along the durable
// parts from the first on, so that `complete` has little left to read.
#pragma once

#include "storage/state.h"
#include "storage/upload_table.h"

struct follower *follower_new(struct storage *storage, unsigned threads);
void follower_free(struct follower *follower); // ends the threads

// A part has become durable.
void follower_wake(struct follower *follower, struct upload *upload);

// The whole chain, by the caller's thread from where the follower has come to. Every
// part is durable and the state is UPLOAD_COMPLETING, which stops the follower.
enum err follower_finish(struct upload *upload, struct chain *chain,
                         struct error *e) MUST_CHECK;
