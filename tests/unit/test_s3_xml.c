// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "storage/s3_keys.h"
#include "storage/s3_xml.h"
#include "storage/tier_s3.h"

#define LIST(inside)                                                                   \
    "<?xml version=\"1.0\"?><ListBucketResult "                                        \
    "xmlns=\"http://s3.amazonaws.com/doc/\">" inside "</ListBucketResult>"
#define OBJECT(key, size)                                                              \
    "<Contents><Key>" key "</Key><LastModified>2026-11-25T04:42:08.000Z"               \
    "</LastModified><Size>" size "</Size></Contents>"

static enum err parse(const char *text, struct s3_page *page)
{
    struct error e = {0};
    enum err err = s3_page_parse(text, strlen(text), page, &e);
    assert_true(err == ERR_NONE || e.detail[0] != '\0');
    error_clear(&e);
    return err;
}

static void reads_a_page_of_objects(void **state)
{
    (void)state;
    CLEANUP(s3_page_clear) struct s3_page page;
    assert_int_equal(
        parse(LIST(OBJECT("a%2Fb+%C3%BC%", "5") OBJECT(
                  "c",
                  "18446744073709551615") "<EncodingType>url</"
                                          "EncodingType><IsTruncated>true</IsTruncated>"
                                          "<NextContinuationToken>t%2F+</"
                                          "NextContinuationToken>"),
              &page),
        ERR_NONE);
    assert_int_equal(page.count, 2);
    assert_string_equal(page.items[0].key, "a/b \xc3\xbc%");
    assert_int_equal(page.items[0].size, 5);
    assert_null(page.items[0].upload_id);
    assert_int_equal(page.items[0].modified_us, INT64_C(1795581728000000));
    assert_true(page.items[1].size == UINT64_MAX);
    assert_true(page.is_truncated);
    assert_string_equal(page.next, "t%2F+"); // opaque
}

static void reads_a_page_of_uploads(void **state)
{
    (void)state;
    CLEANUP(s3_page_clear) struct s3_page page;
    assert_int_equal(
        parse("<ListMultipartUploadsResult><Upload><Key>k</Key>"
              "<UploadId>id&amp;1</UploadId><Owner><ID>x</ID></Owner>"
              "<Initiated>2026-11-25T04:42:08Z</Initiated></Upload>"
              "<EncodingType>url</EncodingType>"
              "<NextKeyMarker>n%2B</NextKeyMarker>"
              "<NextUploadIdMarker>%2B</NextUploadIdMarker>"
              "<IsTruncated>true</IsTruncated></ListMultipartUploadsResult>",
              &page),
        ERR_NONE);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.items[0].upload_id, "id&1");
    assert_string_equal(page.next, "n+");
    assert_string_equal(page.next_upload, "%2B");
}

static void refuses_pages_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "<",
        "<html><body>sign in</body></html>",
        "<Error><Code>x</Code></Error>",
        LIST("<Contents><Key>k</Key></Contents>"),
        LIST(OBJECT("k", "-1")),
        LIST(OBJECT("k", "99999999999999999999")),
        LIST(OBJECT("k", "1x")),
        LIST("<IsTruncated>true</IsTruncated>"),
        LIST("<IsTruncated>true</IsTruncated><NextContinuationToken/>"),
        "<!DOCTYPE l [<!ENTITY a \"b\">]>" LIST(OBJECT("&a;", "1")),
        LIST("<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>"),
        LIST("<aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee/>"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct s3_page page;
        assert_int_equal(parse(bad[i], &page), ERR_UNAVAILABLE);
        assert_int_equal(page.count, 0);
    }
}

static void refuses_a_text_over_its_bound(void **state)
{
    (void)state;
    CLEANUP(buf_clear) struct buf xml = {0};
    struct s3_page page;
    buf_puts(&xml, "<ListBucketResult><Prefix>");
    for (int i = 0; i < 17 * 1024; i++)
        buf_putc(&xml, 'a');
    buf_puts(&xml, "</Prefix></ListBucketResult>");
    assert_int_equal(parse(buf_text(&xml), &page), ERR_UNAVAILABLE);
}

static void finds_failures(void **state)
{
    (void)state;
    static const char text[] =
        "<Error><Code>SlowDown</Code><Message>less</Message></Error>";
    struct s3_failure failure;
    s3_failure_parse(text, strlen(text), &failure);
    assert_string_equal(failure.code, "SlowDown");
    assert_string_equal(failure.message, "less");
    s3_failure_parse("<html/>", 7, &failure);
    assert_string_equal(failure.code, "");
    s3_failure_parse(text, strlen(text) - 3, &failure); // cut short
    assert_string_equal(failure.code, "");
    s3_failure_parse(NULL, 0, &failure);
    assert_string_equal(failure.code, "");
}

static void finds_single_values(void **state)
{
    (void)state;
    static const char text[] = "<R><ETag>&quot;1&quot;</ETag><ETag>2</ETag></R>";
    AUTO_FREE char *found = s3_xml_find(text, strlen(text), "ETag");
    assert_string_equal(found, "\"1\"");
    assert_null(s3_xml_find(text, strlen(text), "UploadId"));
    assert_null(s3_xml_find(text, strlen(text) - 1, "ETag"));
}

static void reads_credentials(void **state)
{
    (void)state;
    struct s3_credentials c;
    struct error e = {0};
    assert_int_equal(s3_keys_parse("# mine\r\n access_key=A\r\n\nsecret_key =\tb=/+\n"
                                   "session_token = ",
                                   &c, &e),
                     ERR_NONE);
    assert_string_equal(c.access_key, "A");
    assert_string_equal(c.secret_key, "b=/+");
    assert_null(c.session_token);
    s3_credentials_clear(&c);
    assert_int_equal(
        s3_keys_parse("access_key = A\nsecret_key = b\nsession_token = t", &c, &e),
        ERR_NONE);
    assert_string_equal(c.session_token, "t");
    s3_credentials_clear(&c);
}

static void refuses_credentials_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "access_key = A",
        "access_key = A\nsecret_key =",
        "access_key = A\naccess_key = B\nsecret_key = c",
        "access_key = A\nsecret_key = b\nregion = x",
        "access_key = A B\nsecret_key = c",
        "access_key\nsecret_key = c",
        "access_key = A\x01\nsecret_key = c",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct s3_credentials c;
        struct error e = {0};
        assert_int_equal(s3_keys_parse(bad[i], &c, &e), ERR_BAD_REQUEST);
        assert_null(c.secret_key);
        assert_null(strstr(e.detail, "= c")); // a secret stays out of messages
    }
}

static void takes_parts_that_the_bucket_takes(void **state)
{
    (void)state;
    uint64_t mib = 1 << 20;
    assert_int_equal(tier_s3_part_size(0, 8 * mib), 8 * mib);
    assert_int_equal(tier_s3_part_size(80000 * mib, 8 * mib), 8 * mib);
    assert_int_equal(tier_s3_part_size(80000 * mib + 1, 8 * mib), 9 * mib);
    uint64_t most = (uint64_t)5 << 40;
    uint64_t part = tier_s3_part_size(most, 8 * mib);
    assert_true(part * 10000 >= most && part <= (uint64_t)5 << 30);
}

static void refuses_options_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *bucket, *prefix;
    } bad[] = {
        {"", "b", ""},          {"s3.example.org", "b", ""}, {"ftp://h", "b", ""},
        {"http://", "b", ""},   {"https://h/path", "b", ""}, {"http://u@h", "b", ""},
        {"http://h", "", ""},   {"http://h", "a/b", ""},     {"http://h", "b", "/p"},
        {"http://h?q", "b", ""}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct tier_s3_options options = {.client = {.endpoint = bad[i].endpoint,
                                                     .bucket = bad[i].bucket,
                                                     .region = "r",
                                                     .connections = 1,
                                                     .timeout_ms = 1000},
                                          .prefix = bad[i].prefix};
        struct tier_store *store;
        struct error e = {0};
        assert_int_equal(tier_s3_new(&options, &store, &e), ERR_BAD_REQUEST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_page_of_objects),
        cmocka_unit_test(reads_a_page_of_uploads),
        cmocka_unit_test(refuses_pages_that_are_none),
        cmocka_unit_test(refuses_a_text_over_its_bound),
        cmocka_unit_test(finds_failures),
        cmocka_unit_test(finds_single_values),
        cmocka_unit_test(reads_credentials),
        cmocka_unit_test(refuses_credentials_that_are_none),
        cmocka_unit_test(takes_parts_that_the_bucket_takes),
        cmocka_unit_test(refuses_options_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
