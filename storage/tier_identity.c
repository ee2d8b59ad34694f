// SPDX-License-Identifier: Apache-2.0
#include "storage/tier_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

#define IDENTITY_MAXIMUM 4096

static enum err take_json(json_t *json, struct tier_identity *identity, struct error *e)
{
    const char *cluster, *tier;
    json_int_t epoch;
    memset(identity, 0, sizeof *identity);
    if (json == NULL || json_unpack(json, "{s:s, s:s, s:I}", "cluster", &cluster,
                                    "tier", &tier, "epoch", &epoch) != 0)
        return error_set(e, ERR_CONFLICT, TIER_IDENTITY_FILE " does not parse");
    snprintf(identity->cluster, sizeof identity->cluster, "%s", cluster);
    snprintf(identity->tier, sizeof identity->tier, "%s", tier);
    identity->epoch = epoch;
    return ERR_NONE;
}

enum err tier_identity_parse(const char *text, size_t size,
                             struct tier_identity *identity, struct error *e)
{
    json_error_t problem;
    AUTO_JSON json_t *json =
        json_loadb(text != NULL ? text : "", size, JSON_REJECT_DUPLICATES, &problem);
    return take_json(json, identity, e);
}

char *tier_identity_format(const struct tier_identity *identity)
{
    AUTO_JSON json_t *json =
        json_pack("{s:s, s:s, s:I}", "cluster", identity->cluster, "tier",
                  identity->tier, "epoch", (json_int_t)identity->epoch);
    return json_dumps(json, JSON_INDENT(2));
}

enum err tier_identity_read(int root, struct tier_identity *identity, bool *found,
                            struct error *e)
{
    memset(identity, 0, sizeof *identity);
    AUTO_FD int fd = openat(root, TIER_IDENTITY_FILE, O_RDONLY | O_CLOEXEC);
    *found = fd >= 0;
    if (fd < 0 && errno == ENOENT)
        return ERR_NONE;
    if (fd < 0)
        return error_set_errno(e, errno, "cannot open " TIER_IDENTITY_FILE);
    char text[IDENTITY_MAXIMUM];
    ssize_t size = read(fd, text, sizeof text);
    if (size < 0) // of the device: it is nobody else's for that
        return error_set_errno(e, errno, "cannot read " TIER_IDENTITY_FILE);
    return tier_identity_parse(text, (size_t)size, identity, e);
}

static enum err write_new(int root, const char *text, struct error *e)
{
    AUTO_FD int fd = openat(root, TIER_IDENTITY_TEMPORARY,
                            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    size_t size = strlen(text);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fsync(fd) != 0)
        return error_set_errno(e, errno, "cannot write " TIER_IDENTITY_TEMPORARY);
    return ERR_NONE;
}

enum err tier_identity_write(int root, const struct tier_identity *identity,
                             struct error *e)
{
    AUTO_FREE char *text = tier_identity_format(identity);
    enum err err = write_new(root, text, e);
    if (err != ERR_NONE) {
        unlinkat(root, TIER_IDENTITY_TEMPORARY, 0);
        return err;
    }
    if (renameat(root, TIER_IDENTITY_TEMPORARY, root, TIER_IDENTITY_FILE) != 0 ||
        fsync(root) != 0)
        return error_set_errno(e, errno, "cannot write " TIER_IDENTITY_FILE);
    return ERR_NONE;
}

enum tier_claim tier_identity_judge(const struct tier_identity *expected,
                                    const struct tier_identity *found, bool is_empty,
                                    bool is_named)
{
    if (found == NULL)
        return is_empty && !is_named ? TIER_CLAIM_NEW : TIER_CLAIM_MISSING;
    if (strcmp(found->cluster, expected->cluster) != 0 ||
        strcmp(found->tier, expected->tier) != 0)
        return TIER_CLAIM_FOREIGN;
    return found->epoch > expected->epoch ? TIER_CLAIM_RESTORED : TIER_CLAIM_OURS;
}
