# SPDX-License-Identifier: Apache-2.0
# Built and run by ./dev bench alone.

EXTRA_DIST += \
    %D%/run.py \
    %D%/benchmark \
    %D%/policy.py \
    $(NULL)

EXTRA_PROGRAMS += %D%/bench-load
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

# Passes of the policy; built for the tests too, which count what a pass looks at.
check_PROGRAMS += %D%/bench-policy
%C%_bench_policy_SOURCES = %D%/policy/main.c
%C%_bench_policy_LDADD = $(server_libs)
