# SPDX-License-Identifier: Apache-2.0
# Runs every suite against one build folder and sums up; sourced after lib.sh.

passed=0
failed=0
skipped=0

# What ends the run early, as a build that fails, still leaves its last line.
summed=no
trap '[[ $summed == yes ]] ||
    echo "$passed passed, $((failed + 1)) failed, $skipped skipped"' EXIT

# count_tap DIR: adds what automake's driver wrote for each test case.
count_tap() {
    local result number
    while read -r number result; do
        case $result in
        PASS | XFAIL) ((passed += number)) ;;
        SKIP) ((skipped += number)) ;;
        *) ((failed += number)) ;;
        esac
    done < <(find "$1/tests" -name '*.trs' -exec sed -n 's/^:test-result: //p' {} + |
        awk '{ print $1 }' | sort | uniq -c)
}

# count_junit FILE: adds what pytest wrote.
count_junit() {
    local p f s
    read -r p f s < <(python3 - "$1" <<'PYTHON'
import sys
import xml.etree.ElementTree as tree
suites = tree.parse(sys.argv[1]).getroot().iter("testsuite")
ran = failed = skipped = 0
for suite in suites:
    ran += int(suite.get("tests"))
    failed += int(suite.get("failures")) + int(suite.get("errors"))
    skipped += int(suite.get("skipped"))
print(max(ran - failed - skipped, 0), failed, skipped)
PYTHON
    )
    ((passed += p, failed += f, skipped += s)) || true
}

# suite NAME COMMAND...: a suite that fails without saying which test counts as one.
suite() {
    local name=$1 before=$failed status=0
    shift
    "$@" || status=$?
    if ((status != 0 && failed == before)); then
        say "$name ended with status $status"
        ((failed += 1))
    fi
}

unit_suite() {
    local dir=$1 status=0
    rm -f "$dir/test-suite.log"
    find "$dir/tests" -name "*.trs" -delete 2>/dev/null || true
    make -C "$dir" -j"$(nproc)" --no-print-directory check >"$dir/check.log" 2>&1 ||
        status=$?
    if ((status != 0)); then
        cat "$dir/check.log" >&2
        [[ ! -f $dir/test-suite.log ]] || cat "$dir/test-suite.log" >&2
    fi
    count_tap "$dir"
    return $status
}

integration_suite() {
    local dir=$1 status=0 report
    shift
    report=$PWD/$dir/integration.xml
    rm -f "$report"
    STRATA_BUILD_DIR=$PWD/$dir .venv/bin/python -m pytest -p no:cacheprovider -q \
        --junit-xml="$report" tests/integration "$@" || status=$?
    [[ ! -f $report ]] || count_junit "$report"
    return $status
}

# run_suites DIR [PYTEST-ARGUMENT...]
run_suites() {
    local dir=$1
    shift
    say "unit tests and lints (make check in $dir)"
    suite "make check" unit_suite "$dir"
    say "integration tests (pytest against $dir)"
    suite pytest integration_suite "$dir" "$@"
}

# The last line of the output, and the exit status.
sum_up() {
    summed=yes
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0 && passed > 0))
}
