// SPDX-License-Identifier: Apache-2.0
#include "client/lib/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char path[64];
    struct state *state;
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    strcpy(folder->path, "/tmp/strata-state-XXXXXX");
    if (mkdtemp(folder->path) == NULL)
        return -1;
    folder->state = state_new(folder->path);
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder->path);
    state_free(folder->state);
    free(folder);
    *state = NULL;
    return system(command);
}

static void a_note_is_kept_until_it_is_forgotten(void **state)
{
    struct folder *folder = *state;
    struct digest key;
    state_key(&key, "https://s", "abc", NULL);
    struct state_note *note = state_note_open(folder->state, STATE_UPLOAD, &key);
    assert_non_null(note);
    assert_string_equal(state_note_text(note), "");
    state_note_write(note, "upload-1");
    assert_string_equal(state_note_text(note), "upload-1");
    state_note_close(note, false);

    note = state_note_open(folder->state, STATE_UPLOAD, &key);
    assert_string_equal(state_note_text(note), "upload-1");
    state_note_close(note, true);
    note = state_note_open(folder->state, STATE_UPLOAD, &key);
    assert_string_equal(state_note_text(note), "");
    state_note_close(note, true);
}

static void a_note_has_one_holder(void **state)
{
    struct folder *folder = *state;
    struct digest key, other;
    state_key(&key, "a", "b", NULL);
    state_key(&other, "ab", NULL); // the texts' borders count
    assert_false(digest_equal(&key, &other));
    struct state_note *note = state_note_open(folder->state, STATE_UPLOAD, &key);
    assert_non_null(note);
    assert_null(state_note_open(folder->state, STATE_UPLOAD, &key));
    struct state_note *publish = state_note_open(folder->state, STATE_PUBLISH, &key);
    assert_non_null(publish);
    state_note_close(publish, true);
    state_note_close(note, false);
    note = state_note_open(folder->state, STATE_UPLOAD, &key);
    assert_non_null(note);
    state_note_close(note, true);
}

static void a_note_cut_short_says_nothing(void **state)
{
    struct folder *folder = *state;
    struct digest key;
    state_key(&key, "cut", NULL);
    struct state_note *note = state_note_open(folder->state, STATE_UPLOAD, &key);
    state_note_write(note, "upload-2");
    state_note_close(note, false);
    char hex[DIGEST_HEX_SIZE], path[256];
    digest_format(&key, hex);
    snprintf(path, sizeof path, "%s/uploads/%s", folder->path, hex);
    assert_int_equal(truncate(path, 4), 0);
    note = state_note_open(folder->state, STATE_UPLOAD, &key);
    assert_string_equal(state_note_text(note), "");
    state_note_close(note, true);
}

static void nothing_is_kept_where_nothing_can_be(void **state)
{
    (void)state;
    struct state *nowhere = state_new("/dev/null/strata");
    struct digest key;
    state_key(&key, "x", NULL);
    assert_null(state_note_open(nowhere, STATE_UPLOAD, &key));
    assert_string_equal(state_note_text(NULL), "");
    state_note_write(NULL, "x");
    state_note_close(NULL, true);
    state_prune(nowhere);
    state_free(nowhere);
}

static void make_chain(size_t size, struct chain *chain)
{
    struct chain_hasher *hasher = chain_hasher_new();
    char *bytes = calloc(1, size);
    chain_hasher_update(hasher, bytes, size);
    chain_hasher_finish(hasher, chain);
    chain_hasher_free(hasher);
    free(bytes);
}

static void a_hash_is_found_for_the_same_stat_only(void **state)
{
    struct folder *folder = *state;
    struct chain chain, found;
    make_chain((size_t)CHAIN_CHUNK_SIZE + 7, &chain);
    struct stat st = {.st_dev = 1,
                      .st_ino = 2,
                      .st_size = (off_t)chain.size,
                      .st_mtim = {3, 4},
                      .st_ctim = {5, 6}};
    assert_false(state_hash_find(folder->state, &st, &found));
    state_hash_put(folder->state, &st, &chain);
    assert_true(state_hash_find(folder->state, &st, &found));
    assert_int_equal(found.count, 2);
    assert_memory_equal(found.states, chain.states, 2 * CHAIN_STATE_SIZE);
    chain_clear(&found);
    struct stat other = st;
    other.st_mtim.tv_nsec++;
    assert_false(state_hash_find(folder->state, &other, &found));
    other = st;
    other.st_ctim.tv_sec++;
    assert_false(state_hash_find(folder->state, &other, &found));
    other = st;
    other.st_ino++;
    assert_false(state_hash_find(folder->state, &other, &found));
    chain_clear(&chain);
}

// Flips a byte in every entry.
static void damage_hashes(const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/hashes", folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(dir), entry->d_name, O_RDWR);
        char byte;
        assert_int_equal(pread(fd, &byte, 1, 40), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, 40), 1);
        close(fd);
    }
    closedir(dir);
}

static void a_damaged_hash_is_not_believed(void **state)
{
    struct folder *folder = *state;
    struct chain chain, found;
    make_chain(100, &chain);
    struct stat st = {.st_ino = 9, .st_size = 100};
    state_hash_put(folder->state, &st, &chain);
    damage_hashes(folder->path);
    assert_false(state_hash_find(folder->state, &st, &found));
    chain_clear(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_is_kept_until_it_is_forgotten),
        cmocka_unit_test(a_note_has_one_holder),
        cmocka_unit_test(a_note_cut_short_says_nothing),
        cmocka_unit_test(nothing_is_kept_where_nothing_can_be),
        cmocka_unit_test(a_hash_is_found_for_the_same_stat_only),
        cmocka_unit_test(a_damaged_hash_is_not_believed),
    };
    return cmocka_run_group_tests_name("state", tests, make_folder, remove_folder);
}
