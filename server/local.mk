# SPDX-License-Identifier: Apache-2.0
# main.c alone is the program; everything else is in the library, for the tests.

libstrata_server_la_SOURCES += \
    $(NULL)

bin_PROGRAMS += stratad
stratad_SOURCES = %D%/main.c
stratad_LDADD = $(server_libs)
