# SPDX-License-Identifier: Apache-2.0
# bench-load is built and run by ./dev bench alone.

EXTRA_DIST += \
    %D%/run.py \
    %D%/benchmark \
    %D%/weights.py \
    %D%/policy.py \
    $(NULL)

EXTRA_PROGRAMS += %D%/bench-cold %D%/bench-link %D%/bench-load
%C%_bench_cold_SOURCES = %D%/cold.c
%C%_bench_cold_LDADD = libstrata_common.la $(ZSTD_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) \
    $(UNISTRING_LIBS)
%C%_bench_link_SOURCES = %D%/link.c
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

# The policy's simulator, ./dev tiersim; a small run of it is a test.
check_LTLIBRARIES += libtiersim.la
libtiersim_la_SOURCES = \
    %D%/tiersim/caches.c \
    %D%/tiersim/caches.h \
    %D%/tiersim/report.c \
    %D%/tiersim/report.h \
    %D%/tiersim/sim.c \
    %D%/tiersim/sim.h \
    %D%/tiersim/strata.c \
    %D%/tiersim/strata.h \
    %D%/tiersim/trace.c \
    %D%/tiersim/trace.h \
    %D%/tiersim/trace_parts.c \
    %D%/tiersim/trace_parts.h \
    $(NULL)
check_PROGRAMS += %D%/tiersim/tiersim
%C%_tiersim_tiersim_SOURCES = %D%/tiersim/main.c
%C%_tiersim_tiersim_LDADD = libtiersim.la $(server_libs)
if HAVE_CMOCKA
check_PROGRAMS += %D%/tiersim/test_tiersim
TESTS += %D%/tiersim/test_tiersim
%C%_tiersim_test_tiersim_SOURCES = %D%/tiersim/test_tiersim.c
%C%_tiersim_test_tiersim_LDADD = libtiersim.la $(server_libs) $(CMOCKA_LIBS)
endif
# Passes of the policy; built for the tests too, which count what a pass looks at.
check_PROGRAMS += %D%/bench-policy
%C%_bench_policy_SOURCES = %D%/policy/main.c
%C%_bench_policy_LDADD = $(server_libs)
