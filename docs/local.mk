# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += \
    %D%/ARCHITECTURE.md \
    %D%/COLD-FORMAT.md \
    %D%/OPERATIONS.md \
    %D%/REFERENCE.md \
    %D%/SECURITY.md \
    %D%/TIERING.md \
    %D%/openapi.yaml \
    $(NULL)

nodist_libstrata_server_la_SOURCES = %D%/embedded.c
CLEANFILES += %D%/embedded.c
%D%/embedded.c: %D%/openapi.yaml scripts/embed.sh
	$(AM_V_GEN)$(MKDIR_P) %D% && cd $(top_srcdir) && \
	$(SHELL) scripts/embed.sh file openapi docs/openapi.yaml > $(abs_top_builddir)/$@.tmp && \
	mv $(abs_top_builddir)/$@.tmp $(abs_top_builddir)/$@
