# SPDX-License-Identifier: Apache-2.0
# What a system wants beside the programs. The manual pages and the completions are
# made from what the programs print of their own tables, so they cannot lag behind.

man_pages = %D%/strata.1 %D%/stratad.8
completions = %D%/completions/strata %D%/completions/stratad

EXTRA_DIST += \
    %D%/completion-strata.awk \
    %D%/completion-stratad.awk \
    %D%/example.awk \
    %D%/manual-strata.awk \
    %D%/manual-stratad.awk \
    %D%/roff.awk \
    %D%/strata.1.in \
    %D%/strata.sysusers \
    %D%/stratad.8.in \
    %D%/stratad.service.in \
    $(NULL)

systemdsystemunit_DATA = %D%/stratad.service
sysusersdir = $(prefix)/lib/sysusers.d
nodist_sysusers_DATA = %D%/strata.conf
CLEANFILES += %D%/stratad.service %D%/strata.conf

fill_in = $(SED) -e 's|@bindir[@]|$(bindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
    -e 's|@VERSION[@]|$(VERSION)|g'

%D%/stratad.service: %D%/stratad.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	$(fill_in) $(srcdir)/%D%/stratad.service.in > $@.tmp && mv $@.tmp $@

%D%/strata.conf: %D%/strata.sysusers
	$(AM_V_GEN)$(MKDIR_P) %D% && cp $(srcdir)/%D%/strata.sysusers $@.tmp && mv $@.tmp $@

# The programs must run here for these.
if NATIVE
nodist_man_MANS = $(man_pages)
bashcompletiondir = $(datadir)/bash-completion/completions
nodist_bashcompletion_DATA = $(completions)
nodist_doc_DATA = %D%/strata.conf.example
CLEANFILES += $(man_pages) $(completions) %D%/strata.conf.example \
    %D%/reference.txt %D%/options.txt

%D%/reference.txt: strata$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) %D%/completions && \
	./strata$(EXEEXT) --print-reference > $@.tmp && mv $@.tmp $@

%D%/options.txt: stratad$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) %D%/completions && \
	./stratad$(EXEEXT) --print-options > $@.tmp && mv $@.tmp $@

%D%/strata.1: %D%/reference.txt %D%/strata.1.in %D%/manual-strata.awk %D%/roff.awk Makefile
	$(AM_V_GEN)$(fill_in) $(srcdir)/%D%/strata.1.in | $(AWK) -f $(srcdir)/%D%/roff.awk \
	    -f $(srcdir)/%D%/manual-strata.awk %D%/reference.txt - > $@.tmp && mv $@.tmp $@

%D%/stratad.8: %D%/options.txt %D%/stratad.8.in %D%/manual-stratad.awk %D%/roff.awk Makefile
	$(AM_V_GEN)$(fill_in) $(srcdir)/%D%/stratad.8.in | $(AWK) -f $(srcdir)/%D%/roff.awk \
	    -f $(srcdir)/%D%/manual-stratad.awk %D%/options.txt - > $@.tmp && mv $@.tmp $@

%D%/completions/strata: %D%/reference.txt %D%/completion-strata.awk
	$(AM_V_GEN)$(AWK) -f $(srcdir)/%D%/completion-strata.awk %D%/reference.txt \
	    > $@.tmp && mv $@.tmp $@

%D%/completions/stratad: %D%/options.txt %D%/completion-stratad.awk
	$(AM_V_GEN)$(AWK) -f $(srcdir)/%D%/completion-stratad.awk %D%/options.txt \
	    > $@.tmp && mv $@.tmp $@

%D%/strata.conf.example: %D%/options.txt %D%/example.awk
	$(AM_V_GEN)$(AWK) -f $(srcdir)/%D%/example.awk %D%/options.txt > $@.tmp && \
	mv $@.tmp $@
endif
