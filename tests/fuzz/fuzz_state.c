// SPDX-License-Identifier: Apache-2.0
// The client's state files. Input: `n` and the bytes of a note; or `h`, SIZE of the
// hashed file, a character, and the bytes of the file of its chain: with `H` the
// checksum that they lack is added.
// Parser: client/lib/state_format.c
// Options: -max_len=1200
#include "client/lib/state_format.h"
#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

static void check_note(const char *bytes, size_t size)
{
    char file[STATE_NOTE_MAXIMUM + 1], again[STATE_NOTE_MAXIMUM + 1];
    size_t read = size < STATE_NOTE_MAXIMUM ? size : STATE_NOTE_MAXIMUM;
    memcpy(file, bytes, read);
    file[read] = '\0';
    state_note_parse(file);
    REQUIRE(strchr(file, '\n') == NULL && strlen(file) < STATE_NOTE_MAXIMUM);
    REQUIRE(state_note_format(file, again));
    state_note_parse(again);
    REQUIRE(strcmp(file, again) == 0);
    AUTO_FREE char *whole = fuzz_text((const uint8_t *)bytes, size);
    bool fits = state_note_format(whole, again);
    REQUIRE(fits == (strlen(whole) < STATE_NOTE_MAXIMUM));
}

static void check_hash(const char *bytes, size_t bytes_size, uint64_t size)
{
    CLEANUP(chain_clear) struct chain chain = {0};
    CLEANUP(buf_clear) struct buf file = {0};
    if (!state_hash_parse(bytes, bytes_size, size, &chain)) {
        REQUIRE(chain.states == NULL);
        return;
    }
    REQUIRE(chain.size == size && chain.count == chain_count(size));
    REQUIRE(state_hash_format(&chain, &file));
    REQUIRE(file.size == bytes_size && memcmp(file.data, bytes, bytes_size) == 0);
    CLEANUP(buf_clear) struct buf small = {.maximum = bytes_size - 1};
    REQUIRE(!state_hash_format(&chain, &small));
    CLEANUP(buf_clear) struct buf shorter = {.maximum = bytes_size - DIGEST_SIZE - 1};
    REQUIRE(!state_hash_format(&chain, &shorter));
    CLEANUP(buf_clear) struct buf tiny = {.maximum = 8};
    REQUIRE(!state_hash_format(&chain, &tiny));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length == 0)
        return 0;
    AUTO_FREE char *text = fuzz_text(data, length);
    const char *rest = text + 1;
    if (text[0] == 'n') {
        check_note(rest, length - 1);
        return 0;
    }
    uint64_t size = fuzz_take_number(&rest);
    CLEANUP(buf_clear) struct buf file = {0};
    buf_append(&file, rest, (size_t)(text + length - rest));
    if (text[0] == 'H') {
        struct digest sum;
        digest_of(buf_text(&file), file.size, &sum);
        buf_append(&file, sum.bytes, DIGEST_SIZE);
    }
    check_hash(buf_text(&file), file.size, size);
    return 0;
}
