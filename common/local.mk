# SPDX-License-Identifier: Apache-2.0
# Everything below common/ that both sides link; no libpq, no libcurl.

noinst_LTLIBRARIES += libstrata_common.la libstrata_http_client.la

libstrata_common_la_SOURCES = \
    %D%/alloc.c \
    %D%/alloc.h \
    %D%/buf.c \
    %D%/buf.h \
    %D%/cache.c \
    %D%/cache.h \
    %D%/cleanup.h \
    %D%/config.c \
    %D%/config.def \
    %D%/config.h \
    %D%/clock.c \
    %D%/clock.h \
    %D%/digest.c \
    %D%/digest.h \
    %D%/direct.c \
    %D%/direct.h \
    %D%/embedded.h \
    %D%/error.c \
    %D%/error.def \
    %D%/error.h \
    %D%/fields.c \
    %D%/fields.h \
    %D%/hex.c \
    %D%/hex.h \
    %D%/json_text.c \
    %D%/json_text.h \
    %D%/log.c \
    %D%/log.h \
    %D%/metrics.c \
    %D%/metrics.def \
    %D%/metrics.h \
    %D%/names.c \
    %D%/names.h \
    %D%/ordered.c \
    %D%/ordered.h \
    %D%/standard_files.c \
    %D%/standard_files.h \
    $(NULL)

libstrata_http_client_la_CPPFLAGS = $(AM_CPPFLAGS) $(CURL_CFLAGS)
libstrata_http_client_la_SOURCES = \
    %D%/http_client.c \
    %D%/http_client.h \
    $(NULL)
