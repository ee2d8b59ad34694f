# SPDX-License-Identifier: Apache-2.0

libstrata_common_la_SOURCES += \
    %D%/chain.c \
    %D%/chain.h \
    %D%/cold.h \
    %D%/cold_decode.c \
    %D%/cold_description.c \
    %D%/cold_encode.c \
    %D%/cold_format.h \
    %D%/cold_layout.c \
    %D%/cold_map.c \
    %D%/cold_map.h \
    %D%/cold_regions.c \
    %D%/pieces.c \
    %D%/pieces.h \
    %D%/planes.c \
    %D%/planes.h \
    %D%/safetensors.c \
    %D%/safetensors.h \
    $(NULL)
