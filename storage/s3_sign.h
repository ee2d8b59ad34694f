// SPDX-License-Identifier: Apache-2.0
// AWS Signature Version 4, as S3 wants it: the path is percent-encoded once, and the
// hash of the payload stands in a header. Source: "Authenticating Requests (AWS
// Signature Version 4)" of the Amazon S3 API Reference. Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/http_client.h"

#define S3_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define S3_DATE_SIZE 17 // "20130524T000000Z"
#define S3_SIGNING_KEY_SIZE 32

struct s3_credentials {
    char *access_key;
    char *secret_key;
    char *session_token; // NULL: none
};
void s3_credentials_clear(struct s3_credentials *credentials);

struct s3_to_sign {
    const char *method;
    const char *path;                  // percent-encoded, begins with '/'
    const char *query;                 // percent-encoded, sorted by name; "" = none
    const struct http_header *headers; // lower-case names in order; all are signed,
    size_t header_count;               // and "host" is among them
    const char *payload;               // SHA-256 in hex, or S3_UNSIGNED_PAYLOAD
    const char *date;                  // s3_sign_date
    const char *region;
};

void s3_sign_date(int64_t wall_us, char date[S3_DATE_SIZE]);
// The value of the Authorization header, appended.
void s3_sign(const struct s3_to_sign *request, const struct s3_credentials *credentials,
             struct buf *authorization);
// Its key, of the first eight letters of `date`.
void s3_signing_key(const char *secret_key, const char *date, const char *region,
                    const char *service, unsigned char key[S3_SIGNING_KEY_SIZE]);
