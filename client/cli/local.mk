# SPDX-License-Identifier: Apache-2.0
# main.c and the commands are the program; what tests look at is in a library.

noinst_LTLIBRARIES += libstrata_cli.la
libstrata_cli_la_SOURCES = \
    %D%/byte_range.c \
    %D%/byte_range.h \
    %D%/cmd_access.c \
    %D%/cmd_decode.c \
    %D%/cmd_gc.c \
    %D%/cmd_moves.c \
    %D%/cmd_publish.c \
    %D%/cmd_pull.c \
    %D%/cmd_registry.c \
    %D%/cmd_scrub.c \
    %D%/cmd_tiers.c \
    %D%/commands.c \
    %D%/commands.h \
    %D%/config.c \
    %D%/config.h \
    %D%/options.c \
    %D%/options.h \
    %D%/origins.c \
    %D%/origins.h \
    %D%/output.c \
    %D%/output.h \
    %D%/progress.c \
    %D%/progress.h \
    %D%/session.c \
    %D%/session.h \
    %D%/wait.c \
    %D%/wait.h \
    $(NULL)

bin_PROGRAMS += strata
strata_SOURCES = \
    %D%/main.c \
    $(NULL)
strata_LDADD = libstrata_cli.la $(client_libs)
