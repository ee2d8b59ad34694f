// SPDX-License-Identifier: Apache-2.0
// Uploads: rows with an expiry, whose parts are written straight into the file that
// will be the blob. Ids are UUIDs as text; an upload belongs to its principal and is
// not found by others.
#pragma once

#include "common/format/chain.h"
#include "storage/blob.h"
#include "storage/storage.h"

#define UPLOAD_ID_SIZE 37 // with the NUL
#define UPLOAD_PARTS_MAXIMUM 10000

bool upload_id_is_valid(const char *id);
// A multiple of 4 MiB from 32 MiB on, so that there are at most 10,000 parts.
uint64_t upload_part_size(uint64_t size);
uint64_t upload_part_count(uint64_t size, uint64_t part_size);
// Bytes of part `number`, which must exist.
uint64_t upload_part_length(uint64_t size, uint64_t part_size, uint64_t number);

struct upload_request {
    uint64_t size;
    const struct digest *digest;  // NULL when the client does not know it
    const struct chain *chain;    // NULL when the client does not know it
    bool chain_with_parts;        // each part brings its values
    const uint8_t *unless_begins; // NULL, or the chain's first value: see upload_begin
    enum tier tier;               // where its bytes are to go, if there is room
    int64_t principal_id;
};

struct upload_info {
    char id[UPLOAD_ID_SIZE];
    uint64_t size;
    uint64_t part_size;
    bool has_digest;
    struct digest digest;
    bool chain_with_parts;
    char state[16];
    int64_t expires_us;
    int64_t *received; // owned: numbers of the durable parts, ascending
    size_t received_count;
};
void upload_info_clear(struct upload_info *info);

enum upload_answer {
    UPLOAD_MADE,  // and described in `info`
    UPLOAD_HAVE,  // the blob is here: a lease is written, `blob` filled in
    UPLOAD_ALIKE, // a blob of this size begins with the value `unless_begins`
};
// ERR_INVALID_FIELD (size, sha256, chain), ERR_INSUFFICIENT_STORAGE, ERR_UNAVAILABLE.
enum err upload_begin(struct storage *storage, const struct upload_request *request,
                      enum upload_answer *answer, struct blob *blob,
                      struct upload_info *info, struct error *e) MUST_CHECK;
enum err upload_get(struct storage *storage, const char *id, int64_t principal_id,
                    struct upload_info *info, struct error *e) MUST_CHECK;
// Verifies the whole and makes it a blob with a lease for the caller. A repeat, also
// at the same time, gets the same answer. *created is false when the blob was here
// already. ERR_PARTS_MISSING (with the member `parts`), ERR_DIGEST_MISMATCH (the upload
// is gone then).
enum err upload_complete(struct storage *storage, const char *id, int64_t principal_id,
                         struct blob *blob, bool *created, struct error *e) MUST_CHECK;
// ERR_UPLOAD_NOT_OPEN while it is being completed.
enum err upload_delete(struct storage *storage, const char *id, int64_t principal_id,
                       struct error *e) MUST_CHECK;

// One attempt at a part. One thread at a time.
struct part_writer;
// What the client says of a part beside its bytes.
struct part_claim {
    uint64_t size;               // of the body
    const struct digest *digest; // or NULL
    const uint8_t *states;       // of the chain, as in `Strata-Chain`, or NULL
    size_t states_count;
};
// ERR_UPLOAD_NOT_OPEN, ERR_PART_OUT_OF_RANGE, ERR_BODY_LENGTH_MISMATCH,
// ERR_INVALID_FIELD (states that are missing, too many or too few).
enum err part_writer_new(struct storage *storage, const char *id, int64_t principal_id,
                         int64_t number, const struct part_claim *claim,
                         struct part_writer **writer, struct error *e) MUST_CHECK;
void part_writer_free(struct part_writer *writer); // unfinished: nothing is received
// ERR_PART_SUPERSEDED, ERR_PART_CONFLICT, ERR_DIGEST_MISMATCH, ERR_UPLOAD_NOT_OPEN,
// ERR_INSUFFICIENT_STORAGE.
enum err part_writer_write(struct part_writer *writer, const void *bytes, size_t size,
                           struct error *e) MUST_CHECK;
// Durable when it returns ERR_NONE. Errors as above.
enum err part_writer_finish(struct part_writer *writer, struct error *e) MUST_CHECK;

// A whole blob in one body. One thread at a time.
struct blob_writer;
enum err blob_writer_new(struct storage *storage, const struct digest *digest,
                         uint64_t size, int64_t principal_id,
                         struct blob_writer **writer, struct error *e) MUST_CHECK;
void blob_writer_free(struct blob_writer *writer); // unfinished: nothing is kept
enum err blob_writer_write(struct blob_writer *writer, const void *bytes, size_t size,
                           struct error *e) MUST_CHECK;
// *created is false when the blob was here already.
enum err blob_writer_finish(struct blob_writer *writer, bool *created,
                            struct error *e) MUST_CHECK;
