# SPDX-License-Identifier: Apache-2.0
# The only folder that knows libpq. The migrations' text is linked in here.

noinst_LTLIBRARIES += libstrata_db.la

libstrata_db_la_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
libstrata_db_la_SOURCES = \
    %D%/db.h \
    %D%/migrate.h \
    %D%/connection.h \
    %D%/migrate.c \
    %D%/pool.c \
    %D%/query.c \
    %D%/result.c \
    %D%/tx.c \
    %D%/tx.h \
    $(NULL)
