# SPDX-License-Identifier: Apache-2.0

lint_scripts = \
    $(NULL)
EXTRA_DIST += $(lint_scripts)
TESTS += $(lint_scripts)
