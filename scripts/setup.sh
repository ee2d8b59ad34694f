# SPDX-License-Identifier: Apache-2.0
# What the machine needs; sourced after lib.sh. Each function does nothing, quietly,
# when there is nothing left to do.

packages=(
    build-essential autoconf automake libtool pkg-config xz-utils
    libmicrohttpd-dev libpq-dev libssl-dev libcurl4-openssl-dev libjansson-dev
    libinih-dev libunistring-dev libzstd-dev libxxhash-dev libexpat1-dev
    libcmocka-dev
    postgresql-15 python3 python3-venv ca-certificates curl zstd
)

# Debian creates and starts a cluster of its own with the server's package, unless
# told otherwise before; stratad and the tests make theirs.
no_main_cluster=/etc/postgresql-common/createcluster.d/strata-setup.conf

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || echo "$package"
    done
}

setup_packages() {
    local missing sudo=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "no apt here: taking it that these are installed: ${packages[*]}"
        return
    fi
    mapfile -t missing < <(missing_packages)
    if ((${#missing[@]} == 0)); then
        return
    fi
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "these packages are missing, and neither root nor sudo is at hand to" \
                "install them: ${missing[*]}"
        sudo=(sudo)
    fi
    say "installing with apt-get: ${missing[*]}"
    "${sudo[@]}" sh -eu -c '
        export DEBIAN_FRONTEND=noninteractive
        conf=$1
        shift
        if ! dpkg-query -W postgresql-common >/dev/null 2>&1; then
            trap "rm -f $conf" EXIT
            mkdir -p "${conf%/*}"
            echo "create_main_cluster = false" >"$conf"
        fi
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@"
    ' sh "$no_main_cluster" "${missing[@]}" >.setup.log 2>&1 || {
        cat .setup.log >&2
        die "apt-get could not install: ${missing[*]}"
    }
    rm -f .setup.log
}

setup_venv() {
    if [[ ! -x .venv/bin/pip ]]; then
        say "making the Python environment .venv"
        rm -rf .venv
        python3 -m venv .venv
    fi
}

setup_test_python() {
    setup_venv
    local wanted
    wanted=$(sha256sum <tests/requirements.txt)
    if [[ $(cat .venv/.requirements 2>/dev/null) != "$wanted" ]]; then
        say "installing the tests' Python packages into .venv"
        .venv/bin/pip install -q -r tests/requirements.txt
        echo "$wanted" >.venv/.requirements
    fi
}
