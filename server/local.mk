# SPDX-License-Identifier: Apache-2.0
# main.c alone is the program; everything else is in the library, for the tests.

libstrata_server_la_SOURCES += \
    %D%/admin_token.c \
    %D%/admin_token.h \
    %D%/background.c \
    %D%/background.h \
    %D%/folder.c \
    %D%/folder.h \
    %D%/gauges.c \
    %D%/gauges.h \
    %D%/reference.c \
    %D%/reference.h \
    %D%/service.c \
    %D%/service.h \
    $(NULL)

bin_PROGRAMS += stratad
stratad_SOURCES = %D%/main.c
stratad_LDADD = $(server_libs)
