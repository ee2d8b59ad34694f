# SPDX-License-Identifier: Apache-2.0

libstrata_server_la_SOURCES += \
    %D%/alias.c \
    %D%/alias.h \
    %D%/change.c \
    %D%/change.h \
    %D%/collector.c \
    %D%/collector.h \
    %D%/content.c \
    %D%/content.h \
    %D%/deletion.c \
    %D%/deletion.h \
    %D%/document.c \
    %D%/document.h \
    %D%/evaluation.c \
    %D%/evaluation.h \
    %D%/event.c \
    %D%/event.h \
    %D%/manifest.c \
    %D%/manifest.h \
    %D%/model.c \
    %D%/model.h \
    %D%/origin.c \
    %D%/origin.h \
    %D%/publish.c \
    %D%/publish.h \
    %D%/purge.c \
    %D%/purge.h \
    %D%/registry.c \
    %D%/registry.h \
    %D%/resolve.c \
    %D%/resolve.h \
    %D%/tensor_index.c \
    %D%/tensor_index.h \
    %D%/tensor_list.c \
    %D%/tensor_list.h \
    %D%/token.c \
    %D%/token.h \
    %D%/version.c \
    %D%/version.h \
    $(NULL)
