// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_sign.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/digest.h"

#define DAY_LENGTH 8 // of "20130524T000000Z"

void s3_credentials_clear(struct s3_credentials *credentials)
{
    if (credentials->secret_key != NULL)
        OPENSSL_cleanse(credentials->secret_key, strlen(credentials->secret_key));
    free(credentials->access_key);
    free(credentials->secret_key);
    free(credentials->session_token);
    *credentials = (struct s3_credentials){0};
}

void s3_sign_date(int64_t wall_us, char date[S3_DATE_SIZE])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t length = strftime(date, S3_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm);
    assert(length == S3_DATE_SIZE - 1);
    (void)length;
}

static void hmac(const void *key, size_t key_size, const char *text, size_t length,
                 unsigned char out[S3_SIGNING_KEY_SIZE])
{
    unsigned size = S3_SIGNING_KEY_SIZE;
    const void *done = HMAC(EVP_sha256(), key, (int)key_size,
                            (const unsigned char *)text, length, out, &size);
    assert(done != NULL && size == S3_SIGNING_KEY_SIZE);
    (void)done;
}

void s3_signing_key(const char *secret_key, const char *date, const char *region,
                    const char *service, unsigned char key[S3_SIGNING_KEY_SIZE])
{
    CLEANUP(buf_clear) struct buf first = {0};
    unsigned char a[S3_SIGNING_KEY_SIZE], b[S3_SIGNING_KEY_SIZE];
    buf_printf(&first, "AWS4%s", secret_key);
    hmac(first.data, first.size, date, DAY_LENGTH, a);
    hmac(a, sizeof a, region, strlen(region), b);
    hmac(b, sizeof b, service, strlen(service), a);
    hmac(a, sizeof a, "aws4_request", strlen("aws4_request"), key);
    OPENSSL_cleanse(first.data, first.size);
}

static void put_signed_names(struct buf *text, const struct s3_to_sign *request)
{
    for (size_t i = 0; i < request->header_count; i++)
        buf_printf(text, "%s%s", i > 0 ? ";" : "", request->headers[i].name);
}

static void put_canonical(struct buf *text, const struct s3_to_sign *request)
{
    buf_printf(text, "%s\n%s\n%s\n", request->method, request->path, request->query);
    for (size_t i = 0; i < request->header_count; i++)
        buf_printf(text, "%s:%s\n", request->headers[i].name,
                   request->headers[i].value);
    buf_putc(text, '\n');
    put_signed_names(text, request);
    buf_printf(text, "\n%s", request->payload);
}

void s3_sign(const struct s3_to_sign *request, const struct s3_credentials *credentials,
             struct buf *authorization)
{
    CLEANUP(buf_clear) struct buf canonical = {0}, scope = {0}, to_sign = {0};
    struct digest digest;
    char hex[DIGEST_HEX_SIZE];
    put_canonical(&canonical, request);
    digest_of(canonical.data, canonical.size, &digest);
    digest_format(&digest, hex);
    buf_printf(&scope, "%.*s/%s/s3/aws4_request", DAY_LENGTH, request->date,
               request->region);
    buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", request->date,
               buf_text(&scope), hex);
    unsigned char key[S3_SIGNING_KEY_SIZE];
    s3_signing_key(credentials->secret_key, request->date, request->region, "s3", key);
    hmac(key, sizeof key, to_sign.data, to_sign.size, digest.bytes);
    OPENSSL_cleanse(key, sizeof key);
    digest_format(&digest, hex);
    buf_printf(authorization, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=",
               credentials->access_key, buf_text(&scope));
    put_signed_names(authorization, request);
    buf_printf(authorization, ",Signature=%s", hex);
}
