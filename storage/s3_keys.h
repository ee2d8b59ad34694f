// SPDX-License-Identifier: Apache-2.0
// Where the credentials for the bucket come from: a file, which is read again when it
// changes, or the environment. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "storage/s3_sign.h"

struct s3_keys;

// `file`: NULL or "" = AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
struct s3_keys *s3_keys_new(const char *file);
void s3_keys_free(struct s3_keys *keys);

// A copy of the present ones, to be cleared. What has changed on disk is seen within a
// second; a file that does not parse leaves the old ones in place. ERR_UNAVAILABLE.
enum err s3_keys_get(struct s3_keys *keys, struct s3_credentials *credentials,
                     struct error *e) MUST_CHECK;
// The bucket refused `used`: true when a fresh look gives others.
bool s3_keys_renew(struct s3_keys *keys, const struct s3_credentials *used);

// The text of a credentials file: `name = value` lines with access_key, secret_key and
// session_token (which may be missing or empty), comments after # at a line's start.
// ERR_BAD_REQUEST names the line.
enum err s3_keys_parse(const char *text, struct s3_credentials *credentials,
                       struct error *e) MUST_CHECK;
