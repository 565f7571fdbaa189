// Two rows into one: Pillow's blend, of any two or of a row and its luma.
#pragma once

#include <cmath>

#include "blocks.h"
#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

#ifdef __AVX512VBMI__
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

// Pillow's blend of bytes by one factor.
class Blend {
 public:
  explicit Blend(float factor) : factor_(factor) {
#ifdef __AVX512VBMI__
    if (!ints_hold(factor)) return;
    int lifted = 0, whole_ones = 0;
    for (int i = 0; i < 256; ++i) {
      const float t = std::abs(factor * static_cast<float>(i));
      const int whole = static_cast<int>(t), next = whole + (t > static_cast<float>(whole));
      more_[i] = static_cast<uint8_t>(std::min(whole, 255));
      less_[i] = static_cast<uint8_t>(std::min(next, 255));
      whole_ones += next == whole;
      // Sums are rounded. One that this lifts to the next whole number shows at the largest of
      // those that are not clipped, where floats lie furthest apart.
      lifted |= (whole < 255) & (static_cast<int>(static_cast<float>(254 - whole) + t) != 254);
      lifted |= (next < 256) & (static_cast<int>(255.0f - t) != 255 - next);
    }
    tabulated_ = lifted == 0;
    one_table_ = whole_ones == 1;
#endif
  }

  // to[i] = blend(d[i], v[i], factor).
  void operator()(const uint8_t* d, const uint8_t* v, int64_t n, uint8_t* to) const {
    int64_t i = 0;
#ifdef __AVX512VBMI__
    if (tabulated_)
      return one_table_ ? by_tables<true>(d, v, n, to) : by_tables<false>(d, v, n, to);
    // One of the few factors by which a sum is rounded to a whole number.
    const __m512 f = _mm512_set1_ps(factor_);
    const auto walk = [&]<bool held>() {
      for (; i + 64 <= n; i += 64) {
        __m512i whole[4];
        for (int k = 0; k < 4; ++k) {
          const __m512 from = load_sixteen(d + i + 16 * k), at = load_sixteen(v + i + 16 * k);
          whole[k] = truncated<held>(from + f * (at - from));
        }
        _mm512_storeu_si512(to + i, packed(whole));
      }
    };
    ints_hold(factor_) ? walk.operator()<true>() : walk.operator()<false>();
#endif
    for (; i < n; ++i) to[i] = blend(d[i], v[i], factor_);
  }

 private:
  float factor_;
#ifdef __AVX512VBMI__
  // Where no sum is rounded to a whole number, t - d depends on v - d alone, and bytes that
  // saturate clip it. With one table, what is rounded down takes one more than what is rounded up:
  // no difference but 0 gives a whole number.
  template <bool one_table>
  void by_tables(const uint8_t* d, const uint8_t* v, int64_t n, uint8_t* to) const {
    const ByteTable more(more_), less(one_table ? more_ : less_);
    const __mmask64 turned = factor_ < 0 ? ~__mmask64{0} : 0;
    const auto of = [&](__m512i from, __m512i at) {
      const __m512i apart = _mm512_or_si512(_mm512_subs_epu8(at, from), _mm512_subs_epu8(from, at));
      if constexpr (one_table) {
        const __mmask64 upwards =
            turned ? _mm512_cmpge_epu8_mask(from, at) : _mm512_cmpge_epu8_mask(at, from);
        const __m512i by = more[apart];
        const __m512i down = _mm512_subs_epu8(_mm512_subs_epu8(from, by), _mm512_set1_epi8(1));
        return _mm512_mask_adds_epu8(down, upwards, from, by);
      }
      const __mmask64 upwards = turned ^ _mm512_cmpge_epu8_mask(at, from);
      const __m512i down = _mm512_subs_epu8(from, less[apart]);
      return _mm512_mask_adds_epu8(down, upwards, from, more[apart]);
    };
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
      fetch_ahead(v + i, to + i);
      _mm512_storeu_si512(to + i, of(_mm512_loadu_si512(d + i), _mm512_loadu_si512(v + i)));
    }
    const __mmask64 rest = first(n - i);
    _mm512_mask_storeu_epi8(
        to + i, rest,
        of(_mm512_maskz_loadu_epi8(rest, d + i), _mm512_maskz_loadu_epi8(rest, v + i)));
  }

  bool tabulated_ = false, one_table_ = false;
  uint8_t more_[256], less_[256];
#endif
};

// The luma of `count` pixels.
inline void luma_row(const uint8_t* r, const uint8_t* g, const uint8_t* b, int count, uint8_t* to) {
  int i = 0;
#ifdef __AVX512VBMI__
  // Four bytes a pixel: red, blue and green twice, as a signed byte holds only half of its weight.
  // A weight comes in two parts, of which the first counts 256 times.
  constexpr int half = kLumaG / 2;
  const auto weights = [](int red, int blue, int green) {
    return _mm512_set1_epi32((red & 255) | (blue & 255) << 8 | (green & 255) * 0x1010000);
  };
  const __m512i high = weights(77, 29, 75);
  const __m512i low = weights(kLumaR - 77 * 256, kLumaB - 29 * 256, half - 75 * 256);
  uint8_t third[64];  // bytes of the sums that are their result: of two registers, twice
  for (int k = 0; k < 64; ++k)
    third[k] = static_cast<uint8_t>(16 * (k / 16) + 4 * (k % 4) + 2 + (k % 8 < 4 ? 0 : 64));
  const __m512i places = _mm512_loadu_si512(third);
  for (; i + 64 <= count; i += 64) {
    const __m512i red = _mm512_loadu_si512(r + i), green = _mm512_loadu_si512(g + i);
    const __m512i blue = _mm512_loadu_si512(b + i);
    const __m512i ends[2] = {_mm512_unpacklo_epi8(red, blue), _mm512_unpackhi_epi8(red, blue)};
    const __m512i twice[2] = {_mm512_unpacklo_epi8(green, green),
                              _mm512_unpackhi_epi8(green, green)};
    __m512i sum[4];
    for (int k = 0; k < 4; ++k) {
      const __m512i pixels = k % 2 == 0 ? _mm512_unpacklo_epi16(ends[k / 2], twice[k / 2])
                                        : _mm512_unpackhi_epi16(ends[k / 2], twice[k / 2]);
      const __m512i coarse = _mm512_dpbusd_epi32(_mm512_set1_epi32(128), pixels, high);
      sum[k] = _mm512_dpbusd_epi32(_mm512_maskz_slli_epi32(0xffff, coarse, 8), pixels, low);
    }
    const __m512i first = _mm512_permutex2var_epi8(sum[0], places, sum[1]);
    const __m512i second = _mm512_permutex2var_epi8(sum[2], places, sum[3]);
    _mm512_storeu_si512(to + i, _mm512_mask_blend_epi8(0xff00ff00ff00ff00, first, second));
  }
#endif
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(luma(r[i], g[i], b[i]));
}

// Pillow's Color: rows of red, green and blue blended with their luma.
inline void color_row(const uint8_t* const in[3], const Blend& blend, int64_t n,
                      uint8_t* const to[3]) {
  for (int64_t i = 0; i < n; i += kBlock) {
    const int count = static_cast<int>(std::min<int64_t>(kBlock, n - i));
    uint8_t d[kBlock];
    luma_row(in[0] + i, in[1] + i, in[2] + i, count, d);
    for (int c = 0; c < 3; ++c) blend(d, in[c] + i, count, to[c] + i);
  }
}

}  // namespace pyaug::inline PYAUG_ISA
