# SPDX-License-Identifier: Apache-2.0

libstrata_server_la_SOURCES += \
    %D%/exchange.c \
    %D%/exchange.h \
    %D%/head.c \
    %D%/head.h \
    %D%/homes.c \
    %D%/homes.h \
    %D%/json_body.c \
    %D%/json_body.h \
    %D%/listener.c \
    %D%/listener.h \
    %D%/reply.c \
    %D%/router.c \
    %D%/router.h \
    %D%/server.c \
    %D%/server.h \
    %D%/target.c \
    %D%/target.h \
    %D%/watch.c \
    %D%/watch.h \
    $(NULL)
