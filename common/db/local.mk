# SPDX-License-Identifier: Apache-2.0
# The only folder that knows libpq. The migrations' text is linked in here.

noinst_LTLIBRARIES += libstrata_db.la

libstrata_db_la_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
libstrata_db_la_SOURCES = \
    %D%/cluster.c \
    %D%/cluster.h \
    %D%/connection.h \
    %D%/db.h \
    %D%/initdb.c \
    %D%/initdb.h \
    %D%/installation.c \
    %D%/installation.h \
    %D%/migrate.c \
    %D%/migrate.h \
    %D%/pool.c \
    %D%/process.c \
    %D%/process.h \
    %D%/query.c \
    %D%/result.c \
    %D%/tx.c \
    %D%/tx.h \
    $(NULL)
