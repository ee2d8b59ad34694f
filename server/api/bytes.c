// SPDX-License-Identifier: Apache-2.0
#include "server/api/bytes.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/hex.h"
#include "server/api/conditions.h"
#include "server/api/digest_field.h"
#include "server/api/promote.h"
#include "server/api/range.h"
#include "storage/blob.h"
#include "storage/blob_source.h"
#include "storage/read_log.h"

#define OCTETS "application/octet-stream"
#define BOUNDARY_SIZE 33 // 128 random bits in hex, with the NUL

// What a browser would run as a page of this origin is sent as mere bytes.
static const char *safe_media_type(const char *media_type)
{
    static const char *const active[] = {"html", "svg", "xml", "script"};
    if (media_type == NULL || *media_type == '\0')
        return OCTETS;
    for (size_t i = 0; i < ARRAY_SIZE(active); i++) {
        if (strcasestr(media_type, active[i]) != NULL)
            return OCTETS;
    }
    return media_type;
}

// RFC 6266: a plain name for old clients, and the whole as RFC 8187 has it.
static char *disposition(const char *filename)
{
    const char *base = strrchr(filename, '/');
    base = base != NULL ? base + 1 : filename;
    CLEANUP(buf_clear) struct buf text = {0};
    bool plain = true;
    buf_puts(&text, "attachment; filename=\"");
    for (const char *p = base; *p != '\0'; p++) {
        bool safe = *p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\' && *p != '%';
        buf_putc(&text, safe ? *p : '_');
        plain = plain && safe;
    }
    buf_putc(&text, '"');
    if (plain)
        return buf_steal(&text);
    buf_puts(&text, "; filename*=UTF-8''");
    for (const char *p = base; *p != '\0'; p++) {
        bool safe = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                           "0123456789!#$&+-.^_`|~",
                           *p) != NULL;
        buf_printf(&text, safe ? "%c" : "%%%02X", (unsigned char)*p);
    }
    return buf_steal(&text);
}

// What every answer about these bytes carries.
static void put_validators(struct response *response, const char *etag,
                           const char *filename)
{
    response_header(response, "ETag", etag);
    // The digest names the bytes for ever; a ref may name others tomorrow.
    response_header(response, "Cache-Control",
                    filename == NULL ? "private, max-age=31536000, immutable"
                                     : "private, no-cache");
}

// The tier that it is read from, once its first bytes are there.
static enum tier tier_of(const struct blob_file *file)
{
    return file->source != NULL ? blob_source_tier(file->source) : file->tier;
}

static void put_headers(struct response *response, const struct blob_file *file,
                        const char *filename, const char *hex)
{
    AUTO_FREE char *attachment = disposition(filename != NULL ? filename : hex);
    response_header(response, "Accept-Ranges", "bytes");
    response_header(response, "Content-Disposition", attachment);
    response_header(response, "Content-Security-Policy", "sandbox");
    response_header(response, "X-Content-Type-Options", "nosniff");
    response_header(response, "Strata-Tier", tier_name(tier_of(file)));
}

// RFC 9110, section 13.2.2; *modified is false for a 304.
static enum err check_conditions(const struct request *request, const char *etag,
                                 bool *modified, struct error *e)
{
    const char *if_match = request_header(request, "If-Match");
    if (if_match != NULL && !etag_list_has(if_match, etag, false))
        return error_set(e, ERR_PRECONDITION_FAILED, "the ETag is %s", etag);
    *modified = !etag_list_has(request_header(request, "If-None-Match"), etag, true);
    return ERR_NONE;
}

static enum range_verdict find_ranges(const struct request *request, uint64_t size,
                                      const char *etag, struct range_set *set)
{
    const char *if_range = request_header(request, "If-Range");
    // Range is defined for GET alone.
    if (request->is_head || (if_range != NULL && !etag_is_same(if_range, etag)))
        return RANGE_IGNORED;
    return range_set_parse(request_header(request, "Range"), size, set);
}

struct reply {
    const struct digest *blob;
    const struct digest *digest; // of the whole answer, or NULL
    const char *hex;
    const char *etag;
    const char *filename;   // or NULL
    const char *media_type; // safe
    uint64_t offset;        // of the whole answer, within the blob
    uint64_t size;
};

static void source_expect(void *context, uint64_t offset, uint64_t size)
{
    blob_source_expect(context, offset, size);
}

static enum err source_read(void *context, uint64_t offset, void *bytes, size_t room,
                            size_t *got, struct error *e)
{
    return blob_source_read(context, offset, bytes, room, got, e);
}

static void source_free(void *context)
{
    blob_source_free(context);
}

// Takes the descriptor or the source of `file` over, and the segments.
static void send_segments(struct response *response, int status, struct blob_file *file,
                          struct response_segment *segments, size_t count)
{
    if (file->source == NULL) {
        response_segments(response, status, steal_fd(&file->fd), segments, count);
        return;
    }
    const struct response_source source = {.context = steal_ptr(file->source),
                                           .expect = source_expect,
                                           .read = source_read,
                                           .free = source_free};
    response_stream(response, status, &source, segments, count);
}

static void send_piece(struct response *response, int status, struct blob_file *file,
                       uint64_t offset, uint64_t size)
{
    struct response_segment *segment = alloc_zero(sizeof *segment);
    *segment = (struct response_segment){.offset = offset, .size = size};
    send_segments(response, status, file, segment, 1);
}

static void send_whole(struct response *response, struct blob_file *file,
                       const struct reply *reply)
{
    if (reply->digest != NULL) {
        char field[DIGEST_FIELD_SIZE];
        digest_field_format(reply->digest, field);
        response_header(response, "Repr-Digest", field);
    }
    response_header(response, "Content-Type", reply->media_type);
    send_piece(response, 200, file, reply->offset, reply->size);
}

static void send_one(struct response *response, struct blob_file *file,
                     const struct range *range, const struct reply *reply)
{
    char text[80];
    snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first,
             range->first + range->size - 1, reply->size);
    response_header(response, "Content-Range", text);
    response_header(response, "Content-Type", reply->media_type);
    send_piece(response, 206, file, reply->offset + range->first, range->size);
}

static struct response_segment text_segment(char *text)
{
    return (struct response_segment){.bytes = text, .size = strlen(text)};
}

static enum err send_many(struct response *response, struct blob_file *file,
                          const struct range_set *set, const struct reply *reply,
                          struct error *e)
{
    uint8_t random[BOUNDARY_SIZE / 2];
    char boundary[BOUNDARY_SIZE];
    if (RAND_bytes(random, sizeof random) != 1)
        return error_set(e, ERR_INTERNAL, "no random bytes");
    hex_encode(random, sizeof random, boundary);
    size_t count = 0;
    struct response_segment *segments =
        alloc_array(2 * set->count + 1, sizeof *segments);
    for (size_t i = 0; i < set->count; i++) {
        const struct range *range = &set->ranges[i];
        segments[count++] = text_segment(
            alloc_printf("%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %" PRIu64
                         "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
                         i > 0 ? "\r\n" : "", boundary, reply->media_type, range->first,
                         range->first + range->size - 1, reply->size));
        segments[count++] = (struct response_segment){
            .offset = reply->offset + range->first, .size = range->size};
    }
    segments[count++] = text_segment(alloc_printf("\r\n--%s--\r\n", boundary));
    AUTO_FREE char *type = alloc_printf("multipart/byteranges; boundary=%s", boundary);
    response_header(response, "Content-Type", type);
    send_segments(response, 206, file, segments, count);
    return ERR_NONE;
}

static enum err refuse_ranges(struct response *response, uint64_t size, struct error *e)
{
    char text[48];
    snprintf(text, sizeof text, "bytes */%" PRIu64, size);
    response_header(response, "Content-Range", text);
    return error_set(e, ERR_RANGE_NOT_SATISFIABLE,
                     "there are %" PRIu64 " bytes; at most %d ranges", size,
                     RANGE_MAXIMUM);
}

// Waits for the first bytes of a source, so that what cannot be read is an error and
// not a connection that is cut.
static enum err start(const struct request *request, const struct blob_file *file,
                      const struct reply *reply, const struct range *first,
                      struct error *e)
{
    if (request->is_head || file->source == NULL)
        return ERR_NONE;
    return blob_source_start(file->source, reply->offset + first->first, first->size,
                             e);
}

// What decides of the blob's heat, and counts for its tier.
static void note_read(const struct request *request, const struct reply *reply,
                      const struct blob_file *file, const struct range_set *set)
{
    uint64_t bytes = set == NULL ? reply->size : 0;
    if (request->is_head)
        return;
    for (size_t i = 0; set != NULL && i < set->count; i++)
        bytes += set->ranges[i].size;
    read_log_note(request->app->reads, reply->blob, file->tier, bytes);
    metrics_add(request->app->metrics, METRIC_BLOBS_SERVED, 1);
}

static enum err send_bytes(struct request *request, struct response *response,
                           const struct reply *reply, struct blob_file *file,
                           struct error *e)
{
    struct range_set set;
    enum range_verdict verdict = find_ranges(request, reply->size, reply->etag, &set);
    if (verdict == RANGE_UNSATISFIABLE)
        return refuse_ranges(response, reply->size, e);
    if (promote_is_preferred(request, file->tier))
        return promote_respond(request, response, reply->blob, e);
    const struct range whole = {0, reply->size};
    enum err err = start(request, file, reply,
                         verdict == RANGE_PARTIAL ? &set.ranges[0] : &whole, e);
    if (err != ERR_NONE)
        return err;
    put_validators(response, reply->etag, reply->filename);
    put_headers(response, file, reply->filename, reply->hex);
    note_read(request, reply, file, verdict == RANGE_PARTIAL ? &set : NULL);
    if (verdict == RANGE_PARTIAL && set.count > 1)
        return send_many(response, file, &set, reply, e);
    if (verdict == RANGE_PARTIAL)
        send_one(response, file, &set.ranges[0], reply);
    else
        send_whole(response, file, reply);
    return ERR_NONE;
}

static enum err respond(struct request *request, struct response *response,
                        const struct reply *reply, struct blob_file *file,
                        struct error *e)
{
    bool modified = true;
    enum err err = check_conditions(request, reply->etag, &modified, e);
    if (err != ERR_NONE)
        return err;
    if (modified)
        return send_bytes(request, response, reply, file, e);
    put_validators(response, reply->etag, reply->filename);
    response_empty(response, 304);
    return ERR_NONE;
}

// What is in an archive is brought back, and can be had later.
static enum err open_and_respond(struct request *request, struct response *response,
                                 struct reply *reply, struct error *e)
{
    struct blob_file file = {.fd = -1};
    enum err err = blob_open(request->app->storage, reply->blob, &file, e);
    if (err == ERR_NONE) {
        if (reply->digest != NULL)
            reply->size = file.size;
        err = respond(request, response, reply, &file, e);
        blob_file_clear(&file);
    }
    if (err != ERR_ARCHIVED || request->is_head)
        return err;
    error_clear(e);
    return promote_respond(request, response, reply->blob, e);
}

enum err bytes_respond(struct request *request, struct response *response,
                       const struct digest *digest, const char *filename,
                       const char *media_type, struct error *e)
{
    char hex[DIGEST_HEX_SIZE], etag[DIGEST_HEX_SIZE + 2];
    digest_format(digest, hex);
    snprintf(etag, sizeof etag, "\"%s\"", hex);
    struct reply reply = {
        digest, digest, hex, etag, filename, safe_media_type(media_type), 0, 0};
    return open_and_respond(request, response, &reply, e);
}

enum err bytes_respond_part(struct request *request, struct response *response,
                            const struct bytes_part *part, const char *filename,
                            struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(part->digest, hex);
    AUTO_FREE char *etag =
        alloc_printf("\"%s-%" PRIu64 "-%" PRIu64 "\"", hex, part->offset, part->length);
    struct reply reply = {part->digest, NULL,   hex,          etag,
                          filename,     OCTETS, part->offset, part->length};
    return open_and_respond(request, response, &reply, e);
}
