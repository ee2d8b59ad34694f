# SPDX-License-Identifier: Apache-2.0
# What belongs where: pure code (decide, heat, tier_rules, rule_match, load_order), and
# its state in SQL.

libstrata_server_la_SOURCES += \
    %D%/blob_facts.c \
    %D%/blob_facts.h \
    %D%/blob_pass.c \
    %D%/decide.c \
    %D%/decide.h \
    %D%/decide_parts.h \
    %D%/decide_space.c \
    %D%/decide_text.c \
    %D%/evaluate.c \
    %D%/evaluate.h \
    %D%/explain.c \
    %D%/explain.h \
    %D%/facts.c \
    %D%/facts.h \
    %D%/heat.c \
    %D%/heat.h \
    %D%/heat_flush.c \
    %D%/load_order.c \
    %D%/load_order.h \
    %D%/pass.h \
    %D%/pin.c \
    %D%/pin.h \
    %D%/policy.c \
    %D%/policy.h \
    %D%/prefetch.c \
    %D%/rule_match.c \
    %D%/rule_store.c \
    %D%/rule_store.h \
    %D%/rule_try.c \
    %D%/rule_words.c \
    %D%/sql_array.c \
    %D%/sql_array.h \
    %D%/tier_rules.c \
    %D%/tier_rules.h \
    %D%/version_pass.c \
    %D%/watermarks.c \
    $(NULL)
