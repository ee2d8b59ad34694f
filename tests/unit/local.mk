# SPDX-License-Identifier: Apache-2.0
# One cmocka program a module: NAME here is compiled from tests/unit/NAME.c.

unit_tests = \
    %D%/test_blob_source \
    %D%/test_cache \
    %D%/test_chain \
    %D%/test_ci \
    %D%/test_conditions \
    %D%/test_clock \
    %D%/test_cold \
    %D%/test_cold_damage \
    %D%/test_cold_golden \
    %D%/test_cold_pieces \
    %D%/test_cold_reader \
    %D%/test_config \
    %D%/test_digest_field \
    %D%/test_direct \
    %D%/test_embedded \
    %D%/test_error \
    %D%/test_fields \
    %D%/test_homes \
    %D%/test_json_text \
    %D%/test_load_order \
    %D%/test_manifest \
    %D%/test_metrics \
    %D%/test_names \
    %D%/test_ordered \
    %D%/test_options \
    %D%/test_page \
    %D%/test_pattern \
    %D%/test_pieces \
    %D%/test_policy_decide \
    %D%/test_policy_heat \
    %D%/test_policy_space \
    %D%/test_process \
    %D%/test_publish_parse \
    %D%/test_range \
    %D%/test_read_log \
    %D%/test_s3_breaker \
    %D%/test_s3_sign \
    %D%/test_s3_xml \
    %D%/test_safetensors \
    %D%/test_source \
    %D%/test_state \
    %D%/test_target \
    %D%/test_tier_file \
    %D%/test_tier_rules \
    %D%/test_tier_store \
    %D%/test_token_text \
    %D%/test_version \
    $(NULL)

# Writes cold copies for the integration tests.
check_PROGRAMS += %D%/cold_copy
%C%_cold_copy_SOURCES = %D%/cold_copy.c

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

# What every unit test and fuzz target may link; objects that it does not use stay out,
# as fuzz_main where a program has a main of its own.
LDADD = $(fuzz_main) libstrata_cli.la libstrata_client.la $(server_libs) $(CMOCKA_LIBS)

%C%_test_blob_source_SOURCES = \
    %D%/counted_store.c \
    %D%/counted_store.h \
    %D%/test_blob_source.c \
    $(NULL)

%C%_test_cold_pieces_SOURCES = \
    %D%/cold_subject.c \
    %D%/cold_subject.h \
    %D%/counted_store.c \
    %D%/counted_store.h \
    %D%/test_cold_pieces.c \
    $(NULL)

%C%_test_cold_reader_SOURCES = \
    %D%/cold_subject.c \
    %D%/cold_subject.h \
    %D%/counted_store.c \
    %D%/counted_store.h \
    %D%/test_cold_reader.c \
    $(NULL)

%C%_test_tier_store_SOURCES = \
    %D%/test_tier_store.c \
    %D%/tier_subject.c \
    %D%/tier_subject.h \
    $(NULL)

EXTRA_DIST += \
    %D%/cold_memory.h \
    %D%/golden \
    %D%/weights.h \
    $(NULL)
