// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "storage/tier_file.h"
#include "storage/tier_identity.h"
#include "storage/upload.h"

static char root[64];
static struct tier_file *tier;

static int set_up(void **state)
{
    (void)state;
    struct error e = {0};
    strcpy(root, "/tmp/test_tier_file.XXXXXX");
    if (mkdtemp(root) == NULL || tier_file_new(root, &tier, &e) != ERR_NONE)
        return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    tier_file_free(tier);
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static bool exists(const char *name)
{
    struct stat s;
    return fstatat(tier_file_root(tier), name, &s, 0) == 0;
}

// Invariant 4: a file bears the number of its placement, so that two copies of a blob
// never share a name.
static void invariant_4_every_placement_has_its_own_name(void **state)
{
    (void)state;
    struct digest digest;
    char first[TIER_FILE_NAME_SIZE], second[TIER_FILE_NAME_SIZE];
    digest_of("test", 4, &digest);
    tier_file_name_final(&digest, 7, first);
    tier_file_name_final(&digest, 8, second);
    assert_string_equal(
        first, "sha256/9f/"
               "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.7");
    assert_string_not_equal(first, second);
    tier_file_name_incoming(7, first);
    assert_string_equal(first, "incoming/7");
}

#define HEX "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void reads_only_names_that_it_writes(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *base;
        bool good;
    } cases[] = {
        {"incoming", "7", true},
        {"incoming", "07", false},
        {"incoming", "-7", false},
        {"incoming", "0", false},
        {"incoming", "7x", false},
        {"incoming", "", false},
        {"incoming", "99999999999999999999", false},
        {"sha256/9f", HEX ".7", true},
        {"sha256/9f", HEX ".", false},
        {"sha256/9f", HEX, false},
        {"sha256/9e", HEX ".7", false},
        {"sha256/9f", "x" HEX ".7", false},
        {"sha256/9f", "7", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tier_file_name name;
        bool good = tier_file_name_parse(cases[i].folder, cases[i].base, &name);
        assert_int_equal(good, cases[i].good);
        if (good)
            assert_int_equal(name.id, 7);
    }
}

static void moves_a_file_there_and_back(void **state)
{
    (void)state;
    struct error e = {0};
    struct digest digest;
    struct stat s;
    char final[TIER_FILE_NAME_SIZE];
    AUTO_FD int fd = -1;
    digest_of("test", 4, &digest);
    tier_file_name_final(&digest, 5, final);
    assert_int_equal(tier_file_prepare(tier, &e), ERR_NONE);
    assert_true(exists("incoming") && exists("quarantine") && exists("sha256/00") &&
                exists("sha256/ff"));
    assert_int_equal(tier_file_create(tier, 5, 4, &fd, &e), ERR_NONE);
    assert_int_equal(fstat(fd, &s), 0);
    assert_int_equal(s.st_size, 4);
    // The name is taken for ever.
    int again = -1;
    assert_int_not_equal(tier_file_create(tier, 5, 4, &again, &e), ERR_NONE);
    for (int i = 0; i < 2; i++) // each step may be repeated
        assert_int_equal(tier_file_publish(tier, &digest, 5, &e), ERR_NONE);
    assert_true(exists(final) && !exists("incoming/5"));
    assert_true(tier_file_has_final(tier, &digest, 5, 4));
    assert_false(tier_file_has_final(tier, &digest, 5, 3));
    assert_false(tier_file_has_final(tier, &digest, 6, 4));
    assert_int_equal(tier_file_unpublish(tier, &digest, 5, &e), ERR_NONE);
    assert_true(!exists(final) && exists("incoming/5"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(tier_file_remove(tier, &digest, 5, &e), ERR_NONE);
    assert_false(exists("incoming/5"));
    assert_int_not_equal(tier_file_publish(tier, &digest, 5, &e), ERR_NONE);
}

static void is_empty_until_something_lies_there(void **state)
{
    (void)state;
    struct error e = {0};
    bool empty = false;
    assert_int_equal(mkdirat(tier_file_root(tier), "lost+found", 0700), 0);
    assert_int_equal(tier_file_is_empty(tier, &empty, &e), ERR_NONE);
    assert_true(empty);
    assert_int_equal(mkdirat(tier_file_root(tier), "something", 0700), 0);
    assert_int_equal(tier_file_is_empty(tier, &empty, &e), ERR_NONE);
    assert_false(empty);
}

static void identity_survives_writing(void **state)
{
    (void)state;
    struct error e = {0};
    struct tier_identity written = {"cluster", "hot/1", 3}, read;
    bool found = true;
    int fd = tier_file_root(tier);
    assert_int_equal(tier_identity_read(fd, &read, &found, &e), ERR_NONE);
    assert_false(found);
    assert_int_equal(tier_identity_write(fd, &written, &e), ERR_NONE);
    assert_int_equal(tier_identity_read(fd, &read, &found, &e), ERR_NONE);
    assert_true(found);
    assert_string_equal(read.cluster, "cluster");
    assert_string_equal(read.tier, "hot/1");
    assert_int_equal(read.epoch, 3);
    AUTO_FD int broken = openat(fd, TIER_IDENTITY_FILE, O_WRONLY | O_TRUNC);
    assert_int_equal(write(broken, "{", 1), 1);
    assert_int_equal(tier_identity_read(fd, &read, &found, &e), ERR_CONFLICT);
}

static void invariant_7_a_tier_knows_whose_it_is(void **state)
{
    (void)state;
    const struct tier_identity ours = {"c", "hot/1", 3};
    const struct tier_identity later = {"c", "hot/1", 4};
    const struct tier_identity other = {"d", "hot/1", 3};
    const struct tier_identity node_2 = {"c", "hot/2", 3};
    assert_int_equal(tier_identity_judge(&ours, NULL, true, false), TIER_CLAIM_NEW);
    // An empty folder where files must be: something is not mounted.
    assert_int_equal(tier_identity_judge(&ours, NULL, true, true), TIER_CLAIM_MISSING);
    assert_int_equal(tier_identity_judge(&ours, NULL, false, false),
                     TIER_CLAIM_MISSING);
    assert_int_equal(tier_identity_judge(&ours, &ours, false, true), TIER_CLAIM_OURS);
    assert_int_equal(tier_identity_judge(&later, &ours, false, true), TIER_CLAIM_OURS);
    assert_int_equal(tier_identity_judge(&ours, &later, false, true),
                     TIER_CLAIM_RESTORED);
    assert_int_equal(tier_identity_judge(&ours, &other, false, false),
                     TIER_CLAIM_FOREIGN);
    assert_int_equal(tier_identity_judge(&ours, &node_2, false, false),
                     TIER_CLAIM_FOREIGN);
}

#define MIB ((uint64_t)1 << 20)

static void parts_are_at_most_10000(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        0,
        1,
        32 * MIB - 1,
        32 * MIB,
        32 * MIB + 1,
        320000 * MIB,
        320000 * MIB + 1,
        (uint64_t)1 << 40,
        (uint64_t)1 << 46,
        INT64_MAX,
    };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t size = sizes[i], part_size = upload_part_size(size);
        uint64_t count = upload_part_count(size, part_size);
        assert_int_equal(part_size % CHAIN_CHUNK_SIZE, 0);
        assert_true(part_size >= 32 * MIB);
        assert_true(count <= UPLOAD_PARTS_MAXIMUM);
        assert_int_equal(count == 0, size == 0);
        if (count == 0)
            continue;
        uint64_t last = upload_part_length(size, part_size, count - 1);
        assert_true(last > 0 && last <= part_size);
        assert_int_equal((count - 1) * part_size + last, size);
        if (count > 1)
            assert_int_equal(upload_part_length(size, part_size, 0), part_size);
    }
    assert_int_equal(upload_part_size(320000 * MIB), 32 * MIB);
    assert_int_equal(upload_part_size(320000 * MIB + 1), 36 * MIB);
}

static void ids_are_uuids(void **state)
{
    (void)state;
    assert_true(upload_id_is_valid("0b0f6f1e-5a7d-4b60-9d7f-7f0b4c1f2a35"));
    assert_false(upload_id_is_valid("0B0F6F1E-5A7D-4B60-9D7F-7F0B4C1F2A35"));
    assert_false(upload_id_is_valid("0b0f6f1e-5a7d-4b60-9d7f-7f0b4c1f2a3"));
    assert_false(upload_id_is_valid("0b0f6f1e-5a7d-4b60-9d7f-7f0b4c1f2a356"));
    assert_false(upload_id_is_valid("0b0f6f1e05a7d-4b60-9d7f-7f0b4c1f2a35"));
    assert_false(upload_id_is_valid(""));
}

int main(void)
{
#define WITH_TIER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariant_4_every_placement_has_its_own_name),
        cmocka_unit_test(reads_only_names_that_it_writes),
        WITH_TIER(moves_a_file_there_and_back),
        WITH_TIER(is_empty_until_something_lies_there),
        WITH_TIER(identity_survives_writing),
        cmocka_unit_test(invariant_7_a_tier_knows_whose_it_is),
        cmocka_unit_test(parts_are_at_most_10000),
        cmocka_unit_test(ids_are_uuids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
