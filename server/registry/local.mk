# SPDX-License-Identifier: Apache-2.0

libstrata_server_la_SOURCES += \
    %D%/token.c \
    %D%/token.h \
    $(NULL)
