# SPDX-License-Identifier: Apache-2.0
# Everything below common/ that both sides link; no libpq, no libcurl.

noinst_LTLIBRARIES += libstrata_common.la libstrata_http_client.la

libstrata_common_la_SOURCES = \
    %D%/embedded.h \
    $(NULL)

libstrata_http_client_la_CPPFLAGS = $(AM_CPPFLAGS) $(CURL_CFLAGS)
libstrata_http_client_la_SOURCES = \
    $(NULL)
