# SPDX-License-Identifier: Apache-2.0
# What the commands of ./dev share; sourced by them, in the root of the checkout.
set -euo pipefail

say() {
    printf '==> %s\n' "$*"
}

die() {
    printf '%s: %s\n' "./dev ${0##*/dev-}" "$*" >&2
    exit 1
}

# configure_build DIR [OPTION...]: configures DIR unless it is configured like that.
configure_build() {
    local dir=$1 options
    shift
    options=$(printf '%q ' "$@")
    if [[ ! -x configure ]]; then
        say "preparing the build system (autoreconf)"
        autoreconf -i >.autoreconf.log 2>&1 || {
            cat .autoreconf.log >&2
            die "autoreconf failed"
        }
        rm -f .autoreconf.log
    fi
    if [[ ! -f $dir/Makefile || $(cat "$dir/.options" 2>/dev/null) != "$options" ]]; then
        say "configuring $dir ($*)"
        mkdir -p "$dir"
        (cd "$dir" && ../configure -q "$@")
        printf '%s\n' "$options" >"$dir/.options"
    fi
}

# make_build DIR [TARGET...]: quiet when there is nothing to do.
make_build() {
    local dir=$1
    shift
    if make -q -C "$dir" "$@" >/dev/null 2>&1; then
        say "$dir is up to date"
    else
        say "building $dir"
        make -C "$dir" -j"$(nproc)" --no-print-directory "$@"
    fi
}
