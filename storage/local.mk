# SPDX-License-Identifier: Apache-2.0

noinst_LTLIBRARIES += libstrata_storage.la

libstrata_storage_la_SOURCES = \
    %D%/blob.h \
    %D%/storage.h \
    %D%/tier.h \
    $(NULL)
