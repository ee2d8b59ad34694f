# SPDX-License-Identifier: Apache-2.0
# Run by ./dev fault, and in small by the integration tests.

EXTRA_DIST += \
    %D%/README.md \
    %D%/main.py \
    %D%/soak.py \
    %D%/faults \
    $(NULL)
