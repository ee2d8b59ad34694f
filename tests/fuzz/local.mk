# SPDX-License-Identifier: Apache-2.0
# One target a parser: NAME here is compiled from tests/fuzz/NAME.c and replays the
# inputs in tests/fuzz/corpus/NAME without its `fuzz_`. ./dev fuzz reads this list.

fuzz_targets = \
    %D%/fuzz_chain \
    %D%/fuzz_chain_field \
    %D%/fuzz_cold \
    %D%/fuzz_conditions \
    %D%/fuzz_config \
    %D%/fuzz_digest_field \
    %D%/fuzz_json_body \
    %D%/fuzz_manifest \
    %D%/fuzz_names \
    %D%/fuzz_page_token \
    %D%/fuzz_path \
    %D%/fuzz_range \
    %D%/fuzz_route_bodies \
    %D%/fuzz_s3 \
    %D%/fuzz_safetensors \
    %D%/fuzz_span \
    %D%/fuzz_state \
    %D%/fuzz_target \
    %D%/fuzz_tier_rules \
    %D%/fuzz_time \
    %D%/fuzz_token_text \
    $(NULL)
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)
EXTRA_DIST += \
    %D%/README.md \
    %D%/corpus \
    %D%/coverage.py \
    %D%/dict \
    %D%/fuzz.h \
    $(NULL)

# Where main comes from: in make check it runs over the committed inputs, in a build
# that configure was given --enable-fuzzing it is libFuzzer's.
if FUZZING
fuzz_main = $(FUZZING_LIBS)
else
fuzz_main = libfuzz_replay.la
check_LTLIBRARIES += libfuzz_replay.la
libfuzz_replay_la_SOURCES = %D%/replay.c
endif
