# SPDX-License-Identifier: Apache-2.0
# NNNN_name.sql, in ascending order.

migrations = \
    %D%/0001_foundation.sql \
    %D%/0002_chain_with_parts.sql \
    %D%/0003_upload_generation.sql \
    %D%/0004_tiers.sql \
    %D%/0005_policy.sql \
    %D%/0006_gc.sql \
    %D%/0007_scrub.sql \
    $(NULL)
EXTRA_DIST += $(migrations)

nodist_libstrata_db_la_SOURCES = %D%/embedded.c
CLEANFILES += %D%/embedded.c
%D%/embedded.c: $(migrations) scripts/embed.sh %D%/local.mk
	$(AM_V_GEN)$(MKDIR_P) %D% && cd $(top_srcdir) && \
	$(SHELL) scripts/embed.sh migrations $(migrations) > $(abs_top_builddir)/$@.tmp && \
	mv $(abs_top_builddir)/$@.tmp $(abs_top_builddir)/$@
