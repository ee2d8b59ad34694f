# SPDX-License-Identifier: Apache-2.0
# Run by ./dev test (pytest), not by make check.

EXTRA_DIST += \
    tests/integration \
    tests/requirements.txt \
    $(NULL)

# Driven by test_tier_s3_faults.py; check_PROGRAMS, since LDADD is of what check builds.
check_PROGRAMS += tests/integration/support/tier_driver
tests_integration_support_tier_driver_SOURCES = \
    tests/integration/support/tier_driver.c \
    tests/unit/tier_subject.c \
    tests/unit/tier_subject.h \
    $(NULL)
