// SPDX-License-Identifier: Apache-2.0
// The signer against the examples that AWS publishes: "Signature Calculations for the
// Authorization Header: Transferring Payload in a Single Chunk" of the Amazon S3 API
// Reference, and the derived key of "Create a signed AWS API request" of the IAM guide.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "storage/s3_sign.h"

#define HOST "examplebucket.s3.amazonaws.com"
#define DATE "20130524T000000Z"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WELCOME "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

static char access_key[] = "AKIAIOSFODNN7EXAMPLE";
static char secret_key[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

static void check(const struct s3_to_sign *request, const char *names,
                  const char *signature)
{
    const struct s3_credentials credentials = {access_key, secret_key, NULL};
    CLEANUP(buf_clear) struct buf found = {0}, expected = {0};
    s3_sign(request, &credentials, &found);
    buf_printf(&expected,
               "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
               "aws4_request,SignedHeaders=%s,Signature=%s",
               names, signature);
    assert_string_equal(buf_text(&found), buf_text(&expected));
}

static void signs_a_get_of_a_range(void **state)
{
    (void)state;
    const struct http_header headers[] = {{"host", HOST},
                                          {"range", "bytes=0-9"},
                                          {"x-amz-content-sha256", EMPTY},
                                          {"x-amz-date", DATE}};
    check(&(struct s3_to_sign){"GET", "/test.txt", "", headers, 4, EMPTY, DATE,
                               "us-east-1"},
          "host;range;x-amz-content-sha256;x-amz-date",
          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void signs_a_put(void **state)
{
    (void)state;
    const struct http_header headers[] = {
        {"date", "Fri, 24 May 2013 00:00:00 GMT"},
        {"host", HOST},
        {"x-amz-content-sha256", WELCOME},
        {"x-amz-date", DATE},
        {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
    CLEANUP(buf_clear) struct buf path = {0};
    buf_putc(&path, '/');
    http_url_append(&path, "test$file.text", true);
    check(&(struct s3_to_sign){"PUT", buf_text(&path), "", headers, 5, WELCOME, DATE,
                               "us-east-1"},
          "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void signs_what_has_a_query(void **state)
{
    (void)state;
    const struct http_header headers[] = {
        {"host", HOST}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", DATE}};
    static const char names[] = "host;x-amz-content-sha256;x-amz-date";
    check(&(struct s3_to_sign){"GET", "/", "lifecycle=", headers, 3, EMPTY, DATE,
                               "us-east-1"},
          names, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    check(&(struct s3_to_sign){"GET", "/", "max-keys=2&prefix=J", headers, 3, EMPTY,
                               DATE, "us-east-1"},
          names, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void derives_the_key(void **state)
{
    (void)state;
    static const unsigned char expected[S3_SIGNING_KEY_SIZE] = {
        0xc4, 0xaf, 0xb1, 0xcc, 0x57, 0x71, 0xd8, 0x71, 0x76, 0x3a, 0x39,
        0x3e, 0x44, 0xb7, 0x03, 0x57, 0x1b, 0x55, 0xcc, 0x28, 0x42, 0x4d,
        0x1a, 0x5e, 0x86, 0xda, 0x6e, 0xd3, 0xc1, 0x54, 0xa4, 0xb9};
    unsigned char key[S3_SIGNING_KEY_SIZE];
    s3_signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830T123600Z",
                   "us-east-1", "iam", key);
    assert_memory_equal(key, expected, sizeof key);
}

static void writes_the_date(void **state)
{
    (void)state;
    char date[S3_DATE_SIZE];
    s3_sign_date((int64_t)1369353600 * 1000000, date);
    assert_string_equal(date, DATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_a_get_of_a_range), cmocka_unit_test(signs_a_put),
        cmocka_unit_test(signs_what_has_a_query), cmocka_unit_test(derives_the_key),
        cmocka_unit_test(writes_the_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
