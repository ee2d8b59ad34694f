# SPDX-License-Identifier: Apache-2.0
# Run by ./dev test (pytest), not by make check.

EXTRA_DIST += \
    tests/integration \
    tests/requirements.txt \
    $(NULL)
