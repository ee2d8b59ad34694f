# SPDX-License-Identifier: Apache-2.0

libstrata_common_la_SOURCES += \
    %D%/chain.c \
    %D%/chain.h \
    %D%/cold.h \
    %D%/safetensors.c \
    %D%/safetensors.h \
    $(NULL)
