// Two rows into one: Pillow's blend, and the ways of the bilinear rule.
#pragma once

#include <cmath>

#include "blocks.h"

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

namespace pyaug::inline PYAUG_ISA {

#ifdef __AVX512BW__
inline __m512 load_sixteen(const uint8_t* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_cvtepu8_epi32(0xffff, bytes));
}
// Whole numbers, of at most 255 where ints do not hold all of them. What no int holds becomes the
// smallest one; so does NaN, as the second of min's operands is the one that it hands on.
template <bool ints_hold>
__m512i truncated(__m512 t) {
  if (!ints_hold) t = _mm512_maskz_min_ps(0xffff, _mm512_set1_ps(255), t);
  return _mm512_maskz_cvttps_epi32(0xffff, t);
}
// Whether ints hold what a blend of bytes by this factor gives.
inline bool ints_hold(float factor) { return std::abs(factor) < 1e6f; }
// 64 whole numbers as bytes, clipped by packs that saturate, which the compiler does not find.
inline __m512i packed(const __m512i whole[4]) {
  const __m512i low = _mm512_packs_epi32(whole[0], whole[1]);
  const __m512i high = _mm512_packs_epi32(whole[2], whole[3]);
  // The packs interleave quarters; this puts them in order again.
  const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  return _mm512_maskz_permutexvar_epi32(0xffff, order, _mm512_packus_epi16(low, high));
}
#endif

// to[i] = blend(d[i], v[i], factor).
inline void blend_row(const uint8_t* d, const uint8_t* v, float factor, int64_t n, uint8_t* to) {
  int64_t i = 0;
#ifdef __AVX512BW__
  const __m512 f = _mm512_set1_ps(factor);
  const auto walk = [&]<bool held>() {
    for (; i + 64 <= n; i += 64) {
      fetch_ahead(v + i, to + i);
      __m512i whole[4];
      for (int k = 0; k < 4; ++k) {
        const __m512 from = load_sixteen(d + i + 16 * k), at = load_sixteen(v + i + 16 * k);
        whole[k] = truncated<held>(from + f * (at - from));
      }
      _mm512_storeu_si512(to + i, packed(whole));
    }
  };
  ints_hold(factor) ? walk.operator()<true>() : walk.operator()<false>();
#endif
  for (; i < n; ++i) to[i] = blend(d[i], v[i], factor);
}

// Pillow's Color: rows of red, green and blue blended with their luma.
inline void color_row(const uint8_t* const in[3], float factor, int64_t n, uint8_t* const to[3]) {
  int64_t i = 0;
#ifdef __AVX512BW__
  const __m512 f = _mm512_set1_ps(factor);
  const __m512 weights[3] = {_mm512_set1_ps(kLumaR), _mm512_set1_ps(kLumaG),
                             _mm512_set1_ps(kLumaB)};
  const auto walk = [&]<bool held>() {
    for (; i + 64 <= n; i += 64) {
      __m512i whole[3][4];
      for (int c = 0; c < 3; ++c) fetch_ahead(in[c] + i, to[c] + i);
      for (int k = 0; k < 4; ++k) {
        __m512 v[3];
        // Below 2^24, so that a float holds every whole number on the way.
        __m512 sum = _mm512_set1_ps(32768);
        for (int c = 0; c < 3; ++c) {
          v[c] = load_sixteen(in[c] + i + 16 * k);
          sum += weights[c] * v[c];
        }
        const __m512 d = _mm512_maskz_roundscale_ps(0xffff, sum * _mm512_set1_ps(1.0f / 65536),
                                                    _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
        for (int c = 0; c < 3; ++c) whole[c][k] = truncated<held>(d + f * (v[c] - d));
      }
      for (int c = 0; c < 3; ++c) _mm512_storeu_si512(to[c] + i, packed(whole[c]));
    }
  };
  ints_hold(factor) ? walk.operator()<true>() : walk.operator()<false>();
#endif
  for (; i < n; i += kBlock) {
    const int64_t count = std::min<int64_t>(kBlock, n - i);
    const uint8_t *r = in[0] + i, *g = in[1] + i, *b = in[2] + i;
    uint8_t d[kBlock];
    for (int64_t k = 0; k < count; ++k) d[k] = static_cast<uint8_t>(luma(r[k], g[k], b[k]));
    for (int c = 0; c < 3; ++c) blend_row(d, in[c] + i, factor, count, to[c] + i);
  }
}

inline void between_columns(const uint8_t* left, const uint8_t* right, const double* dx, int n,
                            double* to) {
  for (int i = 0; i < n; ++i) to[i] = between<double>(left[i], right[i], dx[i]);
}

// Between two bytes, so that nothing needs a clip.
inline void between_rows(const double* top, const double* bottom, double dy, int n, uint8_t* to) {
  int i = 0;
#ifdef __AVX512BW__
  for (; i + 8 <= n; i += 8) {
    const __m512d a = _mm512_loadu_pd(top + i), b = _mm512_loadu_pd(bottom + i);
    const __m256i whole = _mm512_maskz_cvttpd_epi32(0xff, between(a, b, _mm512_set1_pd(dy)));
    _mm256_mask_cvtepi32_storeu_epi8(to + i, 0xff, whole);
  }
#endif
  for (; i < n; ++i) to[i] = static_cast<uint8_t>(static_cast<int>(between(top[i], bottom[i], dy)));
}

}  // namespace pyaug::inline PYAUG_ISA
