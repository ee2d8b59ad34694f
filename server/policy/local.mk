# SPDX-License-Identifier: Apache-2.0
# What where belongs: pure code here, its SQL beside it.

libstrata_server_la_SOURCES += \
    %D%/decide.c \
    %D%/decide.h \
    %D%/decide_space.c \
    %D%/decide_text.c \
    %D%/decide_parts.h \
    %D%/heat.c \
    %D%/heat.h \
    $(NULL)
