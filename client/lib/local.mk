# SPDX-License-Identifier: Apache-2.0
# libstrata: one convenience library for the CLI and the tests, and the same
# objects installed as a shared library that exports strata_* only.

noinst_LTLIBRARIES += libstrata_client.la
libstrata_client_la_SOURCES = \
    %D%/calls.c \
    %D%/ci.c \
    %D%/ci.h \
    %D%/client.c \
    %D%/client.h \
    %D%/destination.c \
    %D%/destination.h \
    %D%/fail.c \
    %D%/fail.h \
    %D%/fetch.c \
    %D%/fetch.h \
    %D%/library.c \
    %D%/pattern.c \
    %D%/pattern.h \
    %D%/publish.c \
    %D%/pull.c \
    %D%/read.c \
    %D%/request.c \
    %D%/request.h \
    %D%/scan.c \
    %D%/send.c \
    %D%/send.h \
    %D%/send_part.c \
    %D%/send_upload.c \
    %D%/source.c \
    %D%/source.h \
    %D%/span.c \
    %D%/span.h \
    %D%/state.c \
    %D%/state.h \
    %D%/state_format.c \
    %D%/state_format.h \
    %D%/strata.h \
    %D%/strata_tiers.h \
    %D%/strata_transfer.h \
    %D%/tiers.c \
    %D%/version.c \
    %D%/version.h \
    %D%/work.c \
    %D%/work.h \
    %D%/work_files.c \
    $(NULL)

include_HEADERS += %D%/strata.h %D%/strata_tiers.h %D%/strata_transfer.h
pkgconfig_DATA += %D%/strata.pc

lib_LTLIBRARIES += libstrata.la
libstrata_la_SOURCES =
libstrata_la_LIBADD = $(client_libs)
libstrata_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
    -Wl,--version-script=$(top_srcdir)/%D%/libstrata.map
EXTRA_libstrata_la_DEPENDENCIES = %D%/libstrata.map
EXTRA_DIST += %D%/libstrata.map
