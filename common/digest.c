// SPDX-License-Identifier: Apache-2.0
#include "common/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/hex.h"

bool digest_parse(const char *text, struct digest *digest)
{
    return strlen(text) == 2 * DIGEST_SIZE &&
           hex_decode(text, digest->bytes, DIGEST_SIZE);
}

void digest_format(const struct digest *digest, char text[DIGEST_HEX_SIZE])
{
    hex_encode(digest->bytes, DIGEST_SIZE, text);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

int digest_compare(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SIZE);
}

void digest_of(const void *bytes, size_t size, struct digest *digest)
{
    int ok = EVP_Digest(bytes, size, digest->bytes, NULL, EVP_sha256(), NULL);
    assert(ok == 1);
    (void)ok;
}
