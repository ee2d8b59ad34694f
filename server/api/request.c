// SPDX-License-Identifier: Apache-2.0
#include "server/api/request.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/names.h"

#define PAGE_LIMIT_DEFAULT 100
#define PAGE_LIMIT_MAXIMUM 1000
#define PAGE_TOKEN_MAXIMUM 2048

char *request_keep(struct request *request, char *text)
{
    request->kept =
        alloc_grow(request->kept, request->kept_count + 1, sizeof *request->kept);
    request->kept[request->kept_count++] = text;
    return text;
}

void request_clear(struct request *request)
{
    for (size_t i = 0; i < request->kept_count; i++)
        free(request->kept[i]);
    free(request->kept);
    json_decref(request->body);
    request->body = NULL;
    request->kept = NULL;
    request->kept_count = 0;
}

const char *request_header(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->headers_count; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    }
    return NULL;
}

const char *request_header_all(struct request *request, const char *name)
{
    const char *first = NULL;
    CLEANUP(buf_clear) struct buf joined = {0};
    size_t found = 0;
    for (size_t i = 0; i < request->headers_count; i++) {
        if (strcasecmp(request->headers[i].name, name) != 0)
            continue;
        if (found++ == 0)
            first = request->headers[i].value;
        else
            buf_puts(&joined, ", ");
        buf_puts(&joined, request->headers[i].value);
    }
    return found < 2 ? first : request_keep(request, buf_steal(&joined));
}

const char *request_query(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++) {
        if (strcmp(request->query[i].name, name) == 0)
            return request->query[i].value;
    }
    return NULL;
}

enum err request_query_bool(const struct request *request, const char *name,
                            bool *value, struct error *e)
{
    const char *text = request_query(request, name);
    if (text == NULL || strcmp(text, "false") == 0)
        *value = false;
    else if (*text == '\0' || strcmp(text, "true") == 0)
        *value = true;
    else
        return error_set_field(e, ERR_BAD_QUERY, name, "%s must be true or false",
                               name);
    return ERR_NONE;
}

static enum err page_limit(const struct request *request, int64_t *limit,
                           struct error *e)
{
    const char *text = request_query(request, "limit");
    *limit = PAGE_LIMIT_DEFAULT;
    if (text == NULL)
        return ERR_NONE;
    char *end = NULL;
    *limit = strtoll(text, &end, 10);
    const char *digits = text + (*text == '-');
    if (*digits < '0' || *digits > '9' || *end != '\0')
        return error_set_field(e, ERR_BAD_QUERY, "limit", "limit must be a number");
    if (*limit < 1 || *limit > PAGE_LIMIT_MAXIMUM)
        return error_set_field(e, ERR_INVALID_FIELD, "limit",
                               "limit must be from 1 to %d", PAGE_LIMIT_MAXIMUM);
    return ERR_NONE;
}

// base64url without padding; NULL when it is not what a text is encoded to.
static char *decode_token(const char *token)
{
    size_t length = strlen(token);
    if (length == 0 || length > PAGE_TOKEN_MAXIMUM || length % 4 == 1)
        return NULL;
    size_t padded = (length + 3) / 4 * 4;
    AUTO_FREE char *base64 = alloc_zero(padded + 1);
    memset(base64, '=', padded);
    for (size_t i = 0; i < length; i++)
        base64[i] = token[i] == '-' ? '+' : token[i] == '_' ? '/' : token[i];
    AUTO_FREE char *text = alloc_zero(padded / 4 * 3 + 1);
    int size =
        EVP_DecodeBlock((unsigned char *)text, (unsigned char *)base64, (int)padded);
    if (size < 0)
        return NULL;
    size -= (int)(padded - length);
    text[size] = '\0';
    if (strlen(text) != (size_t)size || !utf8_is_valid(text, (size_t)size))
        return NULL;
    // The decoder lets white space, padding and bits that count for nothing pass.
    AUTO_FREE char *again = page_token_encode(text);
    return strcmp(again, token) == 0 ? steal_ptr(text) : NULL;
}

enum err request_page(struct request *request, struct page *page, struct error *e)
{
    *page = (struct page){0};
    const char *token = request_query(request, "page_token");
    if (token != NULL) {
        char *decoded = decode_token(token);
        if (decoded == NULL)
            return error_set_field(e, ERR_BAD_QUERY, "page_token",
                                   "the page token is not one that was given out");
        page->token = request_keep(request, decoded);
    }
    return page_limit(request, &page->limit, e);
}

char *page_token_encode(const char *key)
{
    size_t length = strlen(key);
    char *token = alloc_zero((length + 2) / 3 * 4 + 1);
    EVP_EncodeBlock((unsigned char *)token, (const unsigned char *)key, (int)length);
    for (char *c = token; *c != '\0'; c++)
        *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
    char *padding = strchr(token, '=');
    if (padding != NULL)
        *padding = '\0';
    return token;
}
