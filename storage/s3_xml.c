// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/hex.h"

#define DEPTH_MAXIMUM 8
#define NAME_MAXIMUM 48
#define TEXT_MAXIMUM ((size_t)16 << 10) // a key has at most 1,024 bytes, encoded thrice

struct parse {
    XML_Parser parser;
    s3_xml_fn *fn;
    void *context;
    char names[DEPTH_MAXIMUM + 1][NAME_MAXIMUM]; // names[0] is "", above the root
    size_t depth;
    struct buf text;
    struct error *e;
    enum err err;
};

static void stop(struct parse *p, const char *why)
{
    if (p->err == ERR_NONE)
        p->err = error_set(p->e, ERR_UNAVAILABLE, "the bucket's answer %s", why);
    XML_StopParser(p->parser, XML_FALSE);
}

static void XMLCALL on_start(void *context, const XML_Char *name,
                             const XML_Char **attrs)
{
    struct parse *p = context;
    (void)attrs;
    const char *colon = strrchr(name, ':');
    const char *local = colon != NULL ? colon + 1 : name;
    if (p->depth == DEPTH_MAXIMUM || strlen(local) >= NAME_MAXIMUM) {
        stop(p, "is too deep");
        return;
    }
    strcpy(p->names[++p->depth], local);
    buf_reset(&p->text);
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size)
{
    struct parse *p = context;
    if (!buf_append(&p->text, text, (size_t)size))
        stop(p, "has a text that is too long");
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    struct parse *p = context;
    (void)name;
    if (p->err != ERR_NONE) // expat ends an empty element even when it was stopped
        return;
    const char *local = p->names[p->depth--];
    p->err = p->fn(p->context, p->names[p->depth], local, buf_text(&p->text), p->e);
    if (p->err != ERR_NONE)
        XML_StopParser(p->parser, XML_FALSE);
    buf_reset(&p->text);
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *sys,
                               const XML_Char *pub, int has_subset)
{
    (void)name, (void)sys, (void)pub, (void)has_subset;
    stop(context, "declares a document type");
}

enum err s3_xml_parse(const char *bytes, size_t size, s3_xml_fn *fn, void *context,
                      struct error *e)
{
    struct parse p = {.fn = fn, .context = context, .e = e};
    p.parser = XML_ParserCreate(NULL);
    if (p.parser == NULL)
        abort();
    buf_init(&p.text, TEXT_MAXIMUM);
    XML_SetUserData(p.parser, &p);
    XML_SetElementHandler(p.parser, on_start, on_end);
    XML_SetCharacterDataHandler(p.parser, on_text);
    XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
    if (XML_Parse(p.parser, bytes, (int)size, XML_TRUE) != XML_STATUS_OK)
        stop(&p, XML_ErrorString(XML_GetErrorCode(p.parser)));
    XML_ParserFree(p.parser);
    buf_clear(&p.text);
    return p.err;
}

// ---- failures -------------------------------------------------------------------

static enum err take_failure(void *context, const char *parent, const char *name,
                             const char *text, struct error *e)
{
    struct s3_failure *failure = context;
    (void)e;
    if (strcmp(parent, "Error") != 0)
        return ERR_NONE;
    if (strcmp(name, "Code") == 0)
        snprintf(failure->code, sizeof failure->code, "%s", text);
    else if (strcmp(name, "Message") == 0)
        snprintf(failure->message, sizeof failure->message, "%s", text);
    return ERR_NONE;
}

void s3_failure_parse(const char *bytes, size_t size, struct s3_failure *failure)
{
    memset(failure, 0, sizeof *failure);
    struct error ignored = {0};
    if (size == 0 ||
        s3_xml_parse(bytes, size, take_failure, failure, &ignored) != ERR_NONE)
        memset(failure, 0, sizeof *failure);
    error_clear(&ignored);
}

// ---- pages ----------------------------------------------------------------------

static void item_clear(struct s3_item *item)
{
    free(item->key);
    free(item->upload_id);
    *item = (struct s3_item){0};
}

void s3_page_clear(struct s3_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        item_clear(&page->items[i]);
    free(page->items);
    free(page->next);
    free(page->next_upload);
    *page = (struct s3_page){0};
}

struct page_parse {
    struct s3_page *page;
    struct s3_item item; // that is being read
    bool has_size, has_time, is_encoded;
    size_t capacity;
};

static void put_text(char **to, const char *text)
{
    free(*to);
    *to = alloc_copy(text);
}

static bool parse_size(const char *text, uint64_t *size)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *size = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static enum err end_item(struct page_parse *p, struct error *e)
{
    bool is_object = p->item.upload_id == NULL;
    if (p->item.key == NULL || !p->has_time || (is_object && !p->has_size))
        return error_set(e, ERR_UNAVAILABLE,
                         "the bucket's list lacks key, size or time");
    struct s3_page *page = p->page;
    if (page->count == p->capacity) {
        p->capacity = p->capacity * 2 + 64;
        page->items = alloc_grow(page->items, p->capacity, sizeof *page->items);
    }
    page->items[page->count++] = p->item;
    p->item = (struct s3_item){0};
    p->has_size = p->has_time = false;
    return ERR_NONE;
}

static void take_member(struct page_parse *p, const char *name, const char *text)
{
    if (strcmp(name, "Key") == 0)
        put_text(&p->item.key, text);
    else if (strcmp(name, "UploadId") == 0)
        put_text(&p->item.upload_id, text);
    else if (strcmp(name, "Size") == 0)
        p->has_size = parse_size(text, &p->item.size);
    else if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0)
        p->has_time = clock_parse(text, &p->item.modified_us);
}

static void take_head(struct page_parse *p, const char *name, const char *text)
{
    if (strcmp(name, "IsTruncated") == 0)
        p->page->is_truncated = strcmp(text, "true") == 0;
    else if (strcmp(name, "EncodingType") == 0)
        p->is_encoded = strcmp(text, "url") == 0;
    else if (strcmp(name, "NextContinuationToken") == 0 ||
             strcmp(name, "NextKeyMarker") == 0)
        put_text(&p->page->next, text);
    else if (strcmp(name, "NextUploadIdMarker") == 0)
        put_text(&p->page->next_upload, text);
}

static bool is_list(const char *name)
{
    return strcmp(name, "ListBucketResult") == 0 ||
           strcmp(name, "ListMultipartUploadsResult") == 0;
}

static enum err take_page(void *context, const char *parent, const char *name,
                          const char *text, struct error *e)
{
    struct page_parse *p = context;
    if (strcmp(parent, "Contents") == 0 || strcmp(parent, "Upload") == 0)
        take_member(p, name, text);
    else if (strcmp(name, "Contents") == 0 || strcmp(name, "Upload") == 0)
        return end_item(p, e);
    else if (is_list(parent))
        take_head(p, name, text);
    else if (*parent == '\0' && !is_list(name))
        return error_set(e, ERR_UNAVAILABLE, "the bucket's answer is no list");
    return ERR_NONE;
}

// In place; what is no escape stays as it is.
static void decode_url(char *text)
{
    if (text == NULL)
        return;
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        char pair[3] = {0};
        uint8_t byte;
        if (*from == '%' && from[1] != '\0' && from[2] != '\0') {
            for (int i = 0; i < 2; i++) // upper case is what servers write
                pair[i] = (char)(from[i + 1] >= 'A' && from[i + 1] <= 'F'
                                     ? from[i + 1] - 'A' + 'a'
                                     : from[i + 1]);
        }
        if (pair[0] != '\0' && hex_decode(pair, &byte, 1) && byte != 0) {
            *to++ = (char)byte;
            from += 2;
        } else {
            *to++ = *from == '+' ? ' ' : *from;
        }
    }
    *to = '\0';
}

static void decode_page(struct s3_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        decode_url(page->items[i].key);
    // A continuation token is opaque and never encoded; a key marker is a key.
    if (page->next_upload != NULL)
        decode_url(page->next);
}

enum err s3_page_parse(const char *bytes, size_t size, struct s3_page *page,
                       struct error *e)
{
    *page = (struct s3_page){0};
    struct page_parse p = {.page = page};
    enum err err = s3_xml_parse(bytes, size, take_page, &p, e);
    item_clear(&p.item);
    if (err == ERR_NONE && p.is_encoded)
        decode_page(page);
    if (err == ERR_NONE && page->is_truncated &&
        (page->next == NULL || page->next[0] == '\0'))
        err = error_set(e, ERR_UNAVAILABLE,
                        "the bucket's list does not say how to go on");
    if (err != ERR_NONE)
        s3_page_clear(page);
    return err;
}

// ---- single values --------------------------------------------------------------

struct search {
    const char *name;
    char *found;
};

static enum err take_first(void *context, const char *parent, const char *name,
                           const char *text, struct error *e)
{
    struct search *search = context;
    (void)e;
    if (*parent != '\0' && search->found == NULL && strcmp(name, search->name) == 0)
        search->found = alloc_copy(text);
    return ERR_NONE;
}

char *s3_xml_find(const char *bytes, size_t size, const char *name)
{
    struct search search = {.name = name};
    struct error ignored = {0};
    enum err err = s3_xml_parse(bytes, size, take_first, &search, &ignored);
    error_clear(&ignored);
    if (err == ERR_NONE)
        return search.found;
    free(search.found);
    return NULL;
}
