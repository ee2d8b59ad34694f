# SPDX-License-Identifier: Apache-2.0
# Every suite in a build folder of its own, under a sanitizer; sourced after lib.sh.
. scripts/setup.sh
. scripts/suites.sh

# run_sanitized NAME SANITIZERS [PYTEST-ARGUMENT...]: each report is a failure, also
# where no test noticed.
run_sanitized() {
    local name=$1 sanitizers=$2 dir=build-$1 reports=$PWD/build-$1/reports file
    shift 2
    setup_packages
    setup_test_python
    configure_build "$dir" --enable-developer --with-sanitizer="$sanitizers" \
        CFLAGS='-O1 -g'
    make_build "$dir"
    rm -rf "$reports"
    mkdir -p -m 1777 "$reports"
    chmod 1777 "$reports"
    export ASAN_OPTIONS="log_path=$reports/asan:detect_stack_use_after_return=1"
    export UBSAN_OPTIONS="log_path=$reports/ubsan:print_stacktrace=1"
    export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0"
    export TSAN_OPTIONS="log_path=$reports/tsan:second_deadlock_stack=1"
    TSAN_OPTIONS+=":suppressions=$PWD/tests/tsan.supp"
    run_suites "$dir" "$@"
    for file in "$reports"/*; do
        [[ -f $file ]] || continue
        say "$name report: ${file#"$PWD/"}"
        cat "$file"
        ((failed += 1))
    done
    sum_up
}
