# SPDX-License-Identifier: Apache-2.0

bin_PROGRAMS += strata
strata_SOURCES = \
    %D%/main.c \
    $(NULL)
strata_LDADD = $(client_libs)
