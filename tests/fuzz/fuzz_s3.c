// SPDX-License-Identifier: Apache-2.0
// What a bucket answers, and the file with its credentials. Input: 'c' and such a file,
// or 'x' and an answer.
// Parser: storage/s3_xml.c
// Parser: storage/s3_keys.c: member trimmed take_line is_set check_set s3_keys_parse
// Options: -max_len=2048
#include "common/cleanup.h"
#include "storage/s3_keys.h"
#include "storage/s3_xml.h"
#include "tests/fuzz/fuzz.h"

static void check_credentials(const char *text)
{
    struct s3_credentials c;
    struct error e = {0};
    enum err err = s3_keys_parse(text, &c, &e);
    REQUIRE(err == e.code && (err == ERR_NONE || err == ERR_BAD_REQUEST));
    REQUIRE((err == ERR_NONE) == (c.access_key != NULL && c.secret_key != NULL));
    if (err != ERR_NONE) {
        REQUIRE(e.detail[0] != '\0' && c.session_token == NULL);
        return;
    }
    // They stand in headers: nothing that ends one.
    REQUIRE(c.access_key[0] != '\0' && strpbrk(c.access_key, "\r\n ") == NULL);
    REQUIRE(c.secret_key[0] != '\0' && strpbrk(c.secret_key, "\r\n ") == NULL);
    REQUIRE(c.session_token == NULL || strpbrk(c.session_token, "\r\n ") == NULL);
    s3_credentials_clear(&c);
}

static void check_page(const char *bytes, size_t size)
{
    struct s3_page page;
    struct error e = {0};
    enum err err = s3_page_parse(bytes, size, &page, &e);
    REQUIRE(err == e.code && (err == ERR_NONE || err == ERR_UNAVAILABLE));
    if (err != ERR_NONE) {
        REQUIRE(e.detail[0] != '\0' && page.items == NULL && page.count == 0);
        return;
    }
    for (size_t i = 0; i < page.count; i++)
        REQUIRE(page.items[i].key != NULL);
    REQUIRE(!page.is_truncated || (page.next != NULL && page.next[0] != '\0'));
    s3_page_clear(&page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    AUTO_FREE char *text = fuzz_text(data + 1, size - 1);
    if (data[0] == 'c') {
        check_credentials(text);
        return 0;
    }
    struct s3_failure failure;
    check_page(text, size - 1);
    s3_failure_parse(text, size - 1, &failure);
    REQUIRE(memchr(failure.code, '\0', sizeof failure.code) != NULL);
    REQUIRE(memchr(failure.message, '\0', sizeof failure.message) != NULL);
    AUTO_FREE char *id = s3_xml_find(text, size - 1, "UploadId");
    AUTO_FREE char *etag = s3_xml_find(text, size - 1, "ETag");
    return 0;
}
