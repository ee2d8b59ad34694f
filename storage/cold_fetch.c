// SPDX-License-Identifier: Apache-2.0
// The threads that fetch frames. What somebody waits for goes before what is read
// ahead; a frame that is waited for is read in several parts at once, each on a
// connection of its own. Who ends the last part checks the frame; of a copy in pieces
// each part is checked as it comes, that which is waited for first.
#include "storage/cold_state.h"

#include "common/clock.h"
#include "common/format/pieces.h"
#include "common/log.h"

#define STACK_SIZE ((size_t)512 << 10)
#define PART_MINIMUM ((size_t)64 << 10) // bytes
// How often it is looked at anew who keeps room from those that wait for some.
#define STARVED_MS 50

// ---- what to do next --------------------------------------------------------------

static bool all_begun(const struct frame *frame)
{
    return frame->given_up || frame->parts_begun == frame->parts;
}

static void give_up(struct cold_reads *reads, struct frame *frame)
{
    if (!all_begun(frame))
        frame_list_remove(&reads->fetching, frame);
    frame->given_up = true;
}

// A frame of which some part has not begun. It has been waited for, and what is brought
// of it for one is kept for others.
static struct frame *find_begun(const struct cold_reads *reads, bool waited_for)
{
    struct frame *frame = reads->fetching.first;
    while (frame != NULL && (frame->waiters > 0) != waited_for)
        frame = frame->next;
    return frame;
}

static size_t count_pieces(const struct frame *frame)
{
    return (frame->extent.stored + PIECE_SIZE - 1) / PIECE_SIZE;
}

// Connections that would be idle otherwise make a frame come sooner. With none, the
// piece that is waited for still comes before the rest.
static unsigned count_parts(const struct cold_reads *reads, const struct frame *frame)
{
    unsigned idle =
        reads->threads_maximum - (reads->threads_count - reads->threads_idle);
    bool in_pieces = cold_copy_is_in_pieces(frame->copy);
    size_t parts =
        in_pieces ? count_pieces(frame) : frame->extent.stored / PART_MINIMUM;
    unsigned least = in_pieces ? 2 : 1;
    unsigned most = idle < least                 ? least
                    : idle > FRAME_PARTS_MAXIMUM ? FRAME_PARTS_MAXIMUM
                                                 : idle;
    if (frame->waiters == 0 || parts == 0)
        return 1;
    return parts < most ? (unsigned)parts : most;
}

// `count` pieces from `first` on in `parts` parts.
static void add_pieces(struct frame *frame, size_t first, size_t count, size_t parts)
{
    for (size_t i = 0; i < parts; i++)
        frame_add_part(frame, (first + count * i / parts) * PIECE_SIZE,
                       (first + count * (i + 1) / parts) * PIECE_SIZE);
}

// The piece that is waited for alone, then those after it, then those before it.
static void split_pieces(struct frame *frame, size_t parts)
{
    size_t before = frame->wanted / PIECE_SIZE;
    size_t after = count_pieces(frame) - before - 1;
    size_t left = parts - 1;
    size_t behind = before == 0 ? left : left * after / (before + after);
    if (behind == 0 && after > 0)
        behind = 1;
    size_t ahead = left > behind ? left - behind : before > 0;
    add_pieces(frame, before, 1, 1);
    add_pieces(frame, before + 1, after, behind);
    add_pieces(frame, 0, before, ahead);
}

static void split(const struct cold_reads *reads, struct frame *frame)
{
    size_t parts = count_parts(reads, frame);
    frame->parts = 0;
    if (parts > 1 && cold_copy_is_in_pieces(frame->copy)) {
        split_pieces(frame, parts);
        return;
    }
    for (size_t i = 0; i < parts; i++)
        frame_add_part(frame, frame->extent.stored * i / parts,
                       frame->extent.stored * (i + 1) / parts);
}

static struct frame *find_queued(const struct cold_reads *reads, bool waited_for)
{
    struct frame *frame = reads->queue.first;
    while (frame != NULL && (frame->waiters > 0) != waited_for)
        frame = frame->next;
    return frame;
}

// The first in the queue that is (not) waited for. *starved: there is no room for it.
static struct frame *admit(struct cold_reads *reads, bool waited_for, bool *starved)
{
    struct frame *frame = find_queued(reads, waited_for);
    *starved = frame != NULL && !frame_make_room(reads, frame);
    if (frame == NULL || *starved)
        return NULL;
    frame_list_remove(&reads->queue, frame);
    frame->state = FRAME_FETCHING;
    split(reads, frame);
    frame_list_append(&reads->fetching, frame);
    return frame;
}

// *starved: somebody waits and there is no room.
static struct frame *choose(struct cold_reads *reads, bool *starved)
{
    bool ignored;
    *starved = false;
    struct frame *frame = find_begun(reads, true);
    if (frame == NULL)
        frame = admit(reads, true, starved);
    if (frame == NULL)
        frame = find_begun(reads, false);
    if (frame == NULL && !*starved)
        frame = admit(reads, false, &ignored);
    return frame;
}

// ---- one part ---------------------------------------------------------------------

// Where what is stored comes to.
static unsigned char *room_of(const struct frame *frame)
{
    return frame->stored != NULL ? frame->stored : frame->bytes;
}

// *size: of all that was read.
static enum err read_part(const struct frame *frame, const struct frame_part *part,
                          size_t *size, struct error *e)
{
    uint64_t offset = frame->extent.offset + part->from;
    unsigned char *bytes = room_of(frame) + part->from;
    *size += part->to - part->from;
    enum err err = cold_copy_read(frame->copy, offset, bytes, part->to - part->from, e);
    if (err == ERR_NONE && cold_copy_is_in_pieces(frame->copy))
        err = cold_copy_check_pieces(frame->copy, offset, bytes, part->to - part->from,
                                     e);
    return err;
}

// What fails its check may have been changed on the way: it is read once more. Where
// the check is the frame's, that is done for the frame.
static enum err get_part(const struct frame *frame, const struct frame_part *part,
                         size_t *size, struct error *e)
{
    enum err err = read_part(frame, part, size, e);
    if (err != ERR_COLD_UNREADABLE || !cold_copy_is_in_pieces(frame->copy))
        return err;
    cold_copy_suspect(frame->copy, frame->index, e);
    return read_part(frame, part, size, e);
}

// Those that decode at once are as many as processors, since each takes memory.
static enum err check(struct cold_reads *reads, struct frame *frame, struct error *e)
{
    while (reads->decoders_idle == 0)
        pthread_cond_wait(&reads->decoder, &reads->lock);
    struct cold_decoder *decoder = reads->decoders[--reads->decoders_idle];
    pthread_mutex_unlock(&reads->lock);
    enum err err = cold_copy_check(frame->copy, decoder, frame->index, frame->stored,
                                   frame->bytes, e);
    pthread_mutex_lock(&reads->lock);
    reads->decoders[reads->decoders_idle++] = decoder;
    pthread_cond_signal(&reads->decoder);
    return err;
}

// The same of a frame, which is read in one part then.
static enum err check_again(struct cold_reads *reads, struct frame *frame,
                            struct error *e)
{
    const struct cold_extent *extent = &frame->extent;
    pthread_mutex_unlock(&reads->lock);
    cold_copy_suspect(frame->copy, frame->index, e);
    enum err err =
        cold_copy_read(frame->copy, extent->offset, room_of(frame), extent->stored, e);
    pthread_mutex_lock(&reads->lock);
    if (err != ERR_NONE)
        return err;
    reads->counts.bytes += extent->stored;
    return check(reads, frame, e);
}

static void become_ready(struct cold_reads *reads, struct frame *frame)
{
    reads->counts.fetched++;
    frame_give_stored(reads, frame);
    frame->state = FRAME_READY;
    frame_list_append(&reads->ready, frame);
    pthread_cond_broadcast(&frame->changed);
}

// All parts that began have ended. The copy may have nobody else: it is let go by the
// caller, without the lock.
static struct cold_copy *end_frame(struct cold_reads *reads, struct frame *frame)
{
    bool unchecked = !cold_copy_is_in_pieces(frame->copy);
    struct error failure = frame->error; // readers look at the frame's own meanwhile
    if (failure.code == ERR_NONE && unchecked)
        failure.code = check(reads, frame, &failure);
    if (failure.code == ERR_COLD_UNREADABLE && unchecked)
        failure.code = check_again(reads, frame, &failure);
    frame->error = failure;
    while (frame->pins > 0 && frame->error.code != ERR_NONE)
        pthread_cond_wait(&frame->changed, &reads->lock);
    struct cold_copy *copy = frame->copy;
    frame->copy = NULL;
    if (frame->error.code == ERR_NONE) {
        become_ready(reads, frame);
    } else {
        reads->counts.failures++;
        frame_fail(reads, frame);
    }
    return copy;
}

static void run_part(struct cold_reads *reads, struct frame *frame)
{
    struct frame_part *part = &frame->part[frame->parts_begun++];
    if (all_begun(frame))
        frame_list_remove(&reads->fetching, frame);
    else if (part == frame->part) // at once, not each the next
        pthread_cond_broadcast(&reads->work);
    fetch_wake(reads);
    pthread_mutex_unlock(&reads->lock);
    size_t size = 0;
    struct error failure = {0};
    enum err err = get_part(frame, part, &size, &failure);
    pthread_mutex_lock(&reads->lock);
    frame->parts_ended++;
    if (err == ERR_NONE) {
        reads->counts.bytes += size;
        part->is_checked = cold_copy_is_in_pieces(frame->copy);
        if (part->is_checked)
            pthread_cond_broadcast(&frame->changed);
    } else {
        give_up(reads, frame);
        error_move(&frame->error, &failure);
    }
    if (!all_begun(frame) || frame->parts_ended < frame->parts_begun)
        return;
    struct cold_copy *copy = end_frame(reads, frame);
    fetch_wake(reads);
    pthread_mutex_unlock(&reads->lock);
    cold_copy_release(copy);
    pthread_mutex_lock(&reads->lock);
}

// ---- threads ----------------------------------------------------------------------

static void wait_for_work(struct cold_reads *reads, bool starved)
{
    reads->threads_idle++;
    if (!starved) {
        pthread_cond_wait(&reads->work, &reads->lock);
    } else {
        struct timespec until = clock_deadline(clock_monotonic_ms() + STARVED_MS);
        pthread_cond_timedwait(&reads->work, &reads->lock, &until);
    }
    reads->threads_idle--;
}

static void *run(void *context)
{
    struct cold_reads *reads = context;
    pthread_mutex_lock(&reads->lock);
    while (!reads->stopping) {
        bool starved;
        struct frame *frame = choose(reads, &starved);
        if (frame != NULL)
            run_part(reads, frame);
        else
            wait_for_work(reads, starved);
    }
    pthread_mutex_unlock(&reads->lock);
    return NULL;
}

// Connections may be bound to one processor (server/http/homes.c); these threads are
// not, though a connection starts them.
static void start_thread(struct cold_reads *reads)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setaffinity_np(&attributes, sizeof reads->processors,
                                &reads->processors);
    if (pthread_create(&reads->threads[reads->threads_count], &attributes, run,
                       reads) == 0)
        reads->threads_count++;
    else
        log_error("a thread for reads from the cold tier cannot be started", NULL);
    pthread_attr_destroy(&attributes);
}

bool fetch_wake(struct cold_reads *reads)
{
    if (reads->queue.first == NULL && reads->fetching.first == NULL)
        return true;
    if (reads->threads_idle > 0)
        pthread_cond_signal(&reads->work);
    else if (reads->threads_count < reads->threads_maximum && !reads->stopping)
        start_thread(reads);
    return reads->threads_count > 0;
}
