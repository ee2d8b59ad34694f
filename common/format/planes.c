// SPDX-License-Identifier: Apache-2.0
#include "common/format/planes.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define STEP 16 // elements at a time, with SSE2

// ---- one element after the other --------------------------------------------------

static uint64_t rotate_left(uint64_t value, unsigned width)
{
    unsigned bits = 8 * width;
    uint64_t mask = UINT64_MAX >> (64 - bits);
    return (value << 1 | value >> (bits - 1)) & mask;
}

static uint64_t rotate_right(uint64_t value, unsigned width)
{
    unsigned bits = 8 * width;
    uint64_t mask = UINT64_MAX >> (64 - bits);
    return (value >> 1 | value << (bits - 1)) & mask;
}

static void split_each(unsigned width, const uint8_t *elements, size_t from, size_t to,
                       uint8_t *const planes[])
{
    for (size_t i = from; i < to; i++) {
        uint64_t value = 0;
        memcpy(&value, elements + i * width, width);
        value = rotate_left(le64toh(value), width);
        for (unsigned k = 0; k < width; k++)
            planes[k][i] = (uint8_t)(value >> 8 * (width - 1 - k));
    }
}

static void join_each(unsigned width, uint8_t *elements, size_t from, size_t to,
                      const uint8_t *const planes[])
{
    for (size_t i = from; i < to; i++) {
        uint64_t value = 0;
        for (unsigned k = 0; k < width; k++)
            value = value << 8 | planes[k][i];
        value = htole64(rotate_right(value, width));
        memcpy(elements + i * width, &value, width);
    }
}

// ---- sixteen at a time; each returns how many elements it has done ------------------

#ifdef __SSE2__

static __m128i load(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)bytes);
}

static void store(uint8_t *bytes, __m128i value)
{
    _mm_storeu_si128((__m128i *)bytes, value);
}

static size_t split_2(const uint8_t *elements, size_t count, uint8_t *const planes[])
{
    const __m128i low = _mm_set1_epi16(0xff);
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        __m128i a = load(elements + 2 * i), b = load(elements + 2 * i + 16);
        a = _mm_or_si128(_mm_slli_epi16(a, 1), _mm_srli_epi16(a, 15));
        b = _mm_or_si128(_mm_slli_epi16(b, 1), _mm_srli_epi16(b, 15));
        store(planes[0] + i,
              _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8)));
        store(planes[1] + i,
              _mm_packus_epi16(_mm_and_si128(a, low), _mm_and_si128(b, low)));
    }
    return i;
}

static size_t join_2(uint8_t *elements, size_t count, const uint8_t *const planes[])
{
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        __m128i high = load(planes[0] + i), low = load(planes[1] + i);
        __m128i a = _mm_unpacklo_epi8(low, high), b = _mm_unpackhi_epi8(low, high);
        a = _mm_or_si128(_mm_srli_epi16(a, 1), _mm_slli_epi16(a, 15));
        b = _mm_or_si128(_mm_srli_epi16(b, 1), _mm_slli_epi16(b, 15));
        store(elements + 2 * i, a);
        store(elements + 2 * i + 16, b);
    }
    return i;
}

static __m128i rotated_left_4(const uint8_t *elements)
{
    __m128i value = load(elements);
    return _mm_or_si128(_mm_slli_epi32(value, 1), _mm_srli_epi32(value, 31));
}

// Byte `shift` / 8 of sixteen elements in four registers.
#define BYTE_OF(v, shift) _mm_and_si128(_mm_srli_epi32(v, shift), low)
#define PLANE_OF(a, b, c, d, shift)                                                    \
    _mm_packus_epi16(_mm_packs_epi32(BYTE_OF(a, shift), BYTE_OF(b, shift)),            \
                     _mm_packs_epi32(BYTE_OF(c, shift), BYTE_OF(d, shift)))

static size_t split_4(const uint8_t *elements, size_t count, uint8_t *const planes[])
{
    const __m128i low = _mm_set1_epi32(0xff);
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        const uint8_t *at = elements + 4 * i;
        __m128i a = rotated_left_4(at), b = rotated_left_4(at + 16);
        __m128i c = rotated_left_4(at + 32), d = rotated_left_4(at + 48);
        store(planes[0] + i, PLANE_OF(a, b, c, d, 24));
        store(planes[1] + i, PLANE_OF(a, b, c, d, 16));
        store(planes[2] + i, PLANE_OF(a, b, c, d, 8));
        store(planes[3] + i, PLANE_OF(a, b, c, d, 0));
    }
    return i;
}

static void store_rotated_right_4(uint8_t *elements, __m128i value)
{
    store(elements, _mm_or_si128(_mm_srli_epi32(value, 1), _mm_slli_epi32(value, 31)));
}

static size_t join_4(uint8_t *elements, size_t count, const uint8_t *const planes[])
{
    size_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        __m128i p0 = load(planes[0] + i), p1 = load(planes[1] + i);
        __m128i p2 = load(planes[2] + i), p3 = load(planes[3] + i);
        __m128i high_a = _mm_unpacklo_epi8(p1, p0), high_b = _mm_unpackhi_epi8(p1, p0);
        __m128i low_a = _mm_unpacklo_epi8(p3, p2), low_b = _mm_unpackhi_epi8(p3, p2);
        uint8_t *at = elements + 4 * i;
        store_rotated_right_4(at, _mm_unpacklo_epi16(low_a, high_a));
        store_rotated_right_4(at + 16, _mm_unpackhi_epi16(low_a, high_a));
        store_rotated_right_4(at + 32, _mm_unpacklo_epi16(low_b, high_b));
        store_rotated_right_4(at + 48, _mm_unpackhi_epi16(low_b, high_b));
    }
    return i;
}

static size_t split_fast(unsigned width, const uint8_t *elements, size_t count,
                         uint8_t *const planes[])
{
    if (width == 2)
        return split_2(elements, count, planes);
    return width == 4 ? split_4(elements, count, planes) : 0;
}

static size_t join_fast(unsigned width, uint8_t *elements, size_t count,
                        const uint8_t *const planes[])
{
    if (width == 2)
        return join_2(elements, count, planes);
    return width == 4 ? join_4(elements, count, planes) : 0;
}

#else

static size_t split_fast(unsigned width, const uint8_t *elements, size_t count,
                         uint8_t *const planes[])
{
    (void)width, (void)elements, (void)count, (void)planes;
    return 0;
}

static size_t join_fast(unsigned width, uint8_t *elements, size_t count,
                        const uint8_t *const planes[])
{
    (void)width, (void)elements, (void)count, (void)planes;
    return 0;
}

#endif

void planes_split(unsigned width, const void *elements, size_t count,
                  uint8_t *const planes[PLANES_MAXIMUM])
{
    assert(width == 2 || width == 4 || width == 8);
    size_t done = split_fast(width, elements, count, planes);
    // With the width known, the compiler unrolls what is within.
    if (width == 2)
        split_each(2, elements, done, count, planes);
    else if (width == 4)
        split_each(4, elements, done, count, planes);
    else
        split_each(8, elements, done, count, planes);
}

void planes_join(unsigned width, void *elements, size_t count,
                 const uint8_t *const planes[PLANES_MAXIMUM])
{
    assert(width == 2 || width == 4 || width == 8);
    size_t done = join_fast(width, elements, count, planes);
    if (width == 2)
        join_each(2, elements, done, count, planes);
    else if (width == 4)
        join_each(4, elements, done, count, planes);
    else
        join_each(8, elements, done, count, planes);
}
