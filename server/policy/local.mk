# SPDX-License-Identifier: Apache-2.0

libstrata_server_la_SOURCES += \
    %D%/evaluate.h \
    %D%/explain.h \
    %D%/pin.h \
    %D%/policy.h \
    %D%/rule_store.h \
    %D%/tier_rules.h \
    $(NULL)
