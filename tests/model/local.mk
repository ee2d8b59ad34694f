# SPDX-License-Identifier: Apache-2.0
# Run by ./dev model, and in small by the integration tests.

EXTRA_DIST += \
    %D%/README.md \
    %D%/main.py \
    %D%/checker \
    $(NULL)
