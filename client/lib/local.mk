# SPDX-License-Identifier: Apache-2.0
# libstrata: one convenience library for the CLI and the tests, and the same
# objects installed as a shared library that exports strata_* only.

noinst_LTLIBRARIES += libstrata_client.la
libstrata_client_la_SOURCES = \
    %D%/strata.h \
    %D%/version.c \
    $(NULL)

include_HEADERS += %D%/strata.h
pkgconfig_DATA += %D%/strata.pc

lib_LTLIBRARIES += libstrata.la
libstrata_la_SOURCES =
libstrata_la_LIBADD = $(client_libs)
libstrata_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
    -Wl,--version-script=$(top_srcdir)/%D%/libstrata.map
EXTRA_libstrata_la_DEPENDENCIES = %D%/libstrata.map
EXTRA_DIST += %D%/libstrata.map
