// SPDX-License-Identifier: Apache-2.0
#include "storage/tier_store.h"

void tier_writer_free_at(struct tier_writer **writer)
{
    if (*writer != NULL)
        (*writer)->ops->free(*writer);
    *writer = NULL;
}

void tier_reader_free_at(struct tier_reader **reader)
{
    if (*reader != NULL)
        (*reader)->ops->free(*reader);
    *reader = NULL;
}
