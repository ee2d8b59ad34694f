# SPDX-License-Identifier: Apache-2.0

lint_scripts = \
    %D%/layers \
    %D%/sizes \
    %D%/lists \
    %D%/symbols \
    %D%/selftest \
    $(NULL)
EXTRA_DIST += $(lint_scripts)
TESTS += $(lint_scripts)
