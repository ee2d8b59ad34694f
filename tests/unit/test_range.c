// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "server/api/range.h"

#define WHOLE "whole"
#define REFUSED "416"

// The outcome as text: WHOLE, REFUSED, or "first+size,first+size".
static void parse(const char *header, uint64_t size, char *text, size_t text_size)
{
    struct range_set set;
    enum range_verdict verdict = range_set_parse(header, size, &set);
    text[0] = '\0';
    if (verdict == RANGE_IGNORED)
        snprintf(text, text_size, WHOLE);
    else if (verdict == RANGE_UNSATISFIABLE)
        snprintf(text, text_size, REFUSED);
    else
        for (size_t i = 0; i < set.count; i++) {
            size_t used = strlen(text);
            snprintf(text + used, text_size - used, "%s%llu+%llu", i > 0 ? "," : "",
                     (unsigned long long)set.ranges[i].first,
                     (unsigned long long)set.ranges[i].size);
        }
}

struct example {
    const char *header;
    uint64_t size;
    const char *outcome;
};

static const struct example examples[] = {
    // RFC 9110, section 14.1.2, of 10,000 bytes
    {"bytes=0-499", 10000, "0+500"},
    {"bytes=500-999", 10000, "500+500"},
    {"bytes=-500", 10000, "9500+500"},
    {"bytes=9500-", 10000, "9500+500"},
    {"bytes=0-0,-1", 10000, "0+1,9999+1"},
    {"bytes= 0-999, 4500-5499, -1000", 10000, "0+1000,4500+1000,9000+1000"},
    {"bytes=500-600,601-999", 10000, "500+500"},
    {"bytes=500-700,601-999", 10000, "500+500"},
    // the end
    {"bytes=9999-20000", 10000, "9999+1"},
    {"bytes=0-99999999999999999999999", 10000, "0+10000"},
    {"bytes=10000-", 10000, REFUSED},
    {"bytes=10000-10001", 10000, REFUSED},
    {"bytes=99999999999999999999999-", 10000, REFUSED},
    {"bytes=10000-,5-6", 10000, "5+2"},
    {"bytes=-20000", 10000, "0+10000"},
    {"bytes=-0", 10000, REFUSED},
    {"bytes=-0,1-1", 10000, "1+1"},
    // an empty blob
    {"bytes=0-", 0, REFUSED},
    {"bytes=0-0", 0, REFUSED},
    {"bytes=-0", 0, REFUSED},
    {"bytes=-5", 0, WHOLE},
    // one byte
    {"bytes=0-", 1, "0+1"},
    {"bytes=-1", 1, "0+1"},
    {"bytes=1-", 1, REFUSED},
    // the order is kept, what overlaps or touches is one
    {"bytes=20-29,0-9", 100, "20+10,0+10"},
    {"bytes=20-29,0-9,10-19", 100, "0+30"},
    {"bytes=0-9,50-59,5-14", 100, "0+15,50+10"},
    {"bytes=50-59,0-9,5-14", 100, "50+10,0+15"},
    {"bytes=0-99,5-6,7-8", 100, "0+100"},
    {"bytes=10-11,20-21,11-20", 100, "10+12"},
    {"bytes=5-5,5-5", 100, "5+1"},
    // what does not parse, and other units
    {"bytes=", 10, WHOLE},
    {"bytes=,", 10, WHOLE},
    {"bytes=a-b", 10, WHOLE},
    {"bytes=5-4", 10, WHOLE},
    {"bytes=0-1,5-4", 10, WHOLE},
    {"bytes=-", 10, WHOLE},
    {"bytes=1", 10, WHOLE},
    {"bytes=1-2 3", 10, WHOLE},
    {"bytes=1-2;3-4", 10, WHOLE},
    {"bytes=--1", 10, WHOLE},
    {"bytes 0-1", 10, WHOLE},
    {"chunks=0-1", 10, WHOLE},
    {"", 10, WHOLE},
    {NULL, 10, WHOLE},
    // lists may have empty members, the unit any case
    {"bytes=,0-1,,3-4,", 10, "0+2,3+2"},
    {"BYTES=0-1", 10, "0+2"},
    {"bytes=0-1\t,\t3-4 ", 10, "0+2,3+2"},
};

static void answers_every_example(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        char text[256];
        parse(examples[i].header, examples[i].size, text, sizeof text);
        if (strcmp(text, examples[i].outcome) != 0)
            print_error("%s of %llu\n", examples[i].header,
                        (unsigned long long)examples[i].size);
        assert_string_equal(text, examples[i].outcome);
    }
}

static void make_list(size_t count, size_t step, char *header)
{
    strcpy(header, "bytes=");
    for (size_t i = 0; i < count; i++)
        sprintf(header + strlen(header), "%s%zu-%zu", i > 0 ? "," : "", i * step,
                i * step);
}

static void takes_at_most_64(void **state)
{
    (void)state;
    char header[2048];
    struct range_set set;
    make_list(64, 2, header);
    assert_int_equal(range_set_parse(header, 1000, &set), RANGE_PARTIAL);
    assert_int_equal(set.count, 64);
    make_list(65, 2, header);
    assert_int_equal(range_set_parse(header, 1000, &set), RANGE_UNSATISFIABLE);
    make_list(65, 1, header); // also when they would be one
    assert_int_equal(range_set_parse(header, 1000, &set), RANGE_UNSATISFIABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_every_example),
        cmocka_unit_test(takes_at_most_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
