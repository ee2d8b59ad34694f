# SPDX-License-Identifier: Apache-2.0
# Built and run by ./dev bench alone.

EXTRA_DIST += \
    %D%/run.py \
    %D%/benchmark \
    %D%/weights.py \
    $(NULL)

EXTRA_PROGRAMS += %D%/bench-cold %D%/bench-load
%C%_bench_cold_SOURCES = %D%/cold.c
%C%_bench_cold_LDADD = libstrata_common.la $(ZSTD_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) \
    $(UNISTRING_LIBS)
%C%_bench_load_SOURCES = \
    %D%/load/get.c \
    %D%/load/http.c \
    %D%/load/http.h \
    %D%/load/load.h \
    %D%/load/main.c \
    %D%/load/put.c \
    $(NULL)
%C%_bench_load_LDADD = -lm
CLEANFILES += $(EXTRA_PROGRAMS)
