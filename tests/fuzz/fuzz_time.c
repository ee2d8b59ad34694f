// SPDX-License-Identifier: Apache-2.0
// Times, as in `at` and `expires_at`. Input: the text.
// Parser: common/clock.c: parse_fraction parse_offset clock_parse clock_parse_http
// Options: -max_len=64
#include "common/cleanup.h"
#include "common/clock.h"
#include "tests/fuzz/fuzz.h"

#define SECOND ((int64_t)1000000)
#define DAY (86400 * SECOND)
#define YEAR_1900 (-25567 * DAY)
#define YEAR_10000 (2932897 * DAY)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    char again[CLOCK_TEXT_SIZE];
    int64_t us = 0, us_again = 0;
    if (clock_parse(text, &us)) {
        REQUIRE(us > YEAR_1900 - DAY && us < YEAR_10000 + DAY);
        clock_format(us, again);
        // The offset may lead out of the years that are written.
        if (us >= YEAR_1900 && us < YEAR_10000)
            REQUIRE(clock_parse(again, &us_again) && us_again == us);
    }
    if (clock_parse_http(text, &us)) {
        clock_format_http(us, again);
        if (us >= 0 && us < YEAR_10000)
            REQUIRE(clock_parse_http(again, &us_again) && us_again == us);
    }
    return 0;
}
