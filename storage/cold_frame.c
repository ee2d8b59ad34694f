// SPDX-License-Identifier: Apache-2.0
#include "storage/cold_frame.h"

#include <assert.h>

// ---- lists ------------------------------------------------------------------------

void frame_list_append(struct frame_list *list, struct frame *frame)
{
    frame->next = NULL;
    frame->previous = list->last;
    if (list->last != NULL)
        list->last->next = frame;
    else
        list->first = frame;
    list->last = frame;
}

void frame_list_remove(struct frame_list *list, struct frame *frame)
{
    if (frame->next != NULL)
        frame->next->previous = frame->previous;
    else
        list->last = frame->previous;
    if (frame->previous != NULL)
        frame->previous->next = frame->next;
    else
        list->first = frame->next;
    frame->next = frame->previous = NULL;
}

// ---- parts ------------------------------------------------------------------------

void frame_add_part(struct frame *frame, size_t from, size_t to)
{
    size_t end = frame->extent.stored;
    assert(from < to && frame->parts < FRAME_PARTS_MAXIMUM);
    frame->part[frame->parts++] = (struct frame_part){from, to < end ? to : end, false};
}

static const struct frame_part *part_at(const struct frame *frame, size_t at)
{
    for (unsigned i = 0; i < frame->parts; i++) {
        if (frame->part[i].from <= at && at < frame->part[i].to)
            return &frame->part[i];
    }
    return NULL;
}

size_t frame_readable(const struct frame *frame, size_t from)
{
    if (frame->state == FRAME_READY)
        return frame->extent.size;
    if (frame->state != FRAME_FETCHING || frame->error.code != ERR_NONE)
        return from; // who has not begun to copy from one that fails does not begin
    const struct frame_part *part;
    while ((part = part_at(frame, from)) != NULL && part->is_checked)
        from = part->to;
    return from;
}
