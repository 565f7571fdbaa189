// Pixels moved by the nearest rule along any two directions, 8 by 8 at a time: the few rows that
// they come from are loaded into registers, and permutes pick them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "../core/image.h"
#include "look_up.h"
#include "transpose.h"

namespace pyaug::inline PYAUG_ISA {

#ifdef __AVX512VBMI__
constexpr int kTileSide = 8;  // pixels of a side

// One coordinate of where a tile's 64 pixels come from, as Affine::fixed counts it.
template <int window>
class TileAxis {
 public:
  TileAxis(int64_t along_x, int64_t along_y, int size)
      : low_((kTileSide - 1) * (std::min<int64_t>(along_x, 0) + std::min<int64_t>(along_y, 0))),
        high_((kTileSide - 1) * (std::max<int64_t>(along_x, 0) + std::max<int64_t>(along_y, 0))),
        most_(size - window),
        end_(std::min<int64_t>(size, 32768) << 16) {
    int32_t step[kTileSide * kTileSide];
    for (int i = 0; i < kTileSide * kTileSide; ++i)
      step[i] = static_cast<int32_t>(along_x * (i % kTileSide) + along_y * (i / kTileSide));
    for (int k = 0; k < 4; ++k) step_[k] = _mm512_loadu_si512(step + 16 * k);
  }

  // Whether a tile's pixels never come from more than `window` pixels in a row.
  bool fits() const { return most_ >= 0 && ((high_ - low_) >> 16) + 2 <= window; }

  // `place`: the pixels counted from `first`, which begins a window within the image; `inside`:
  // those of them that lie in the image, the only ones whose place means anything.
  struct Sources {
    int64_t first;
    __m512i place;
    __mmask64 inside;
  };
  Sources operator()(int64_t start) const {
    const int64_t first = std::clamp<int64_t>((start + low_) >> 16, 0, most_);
    const __m512i from = _mm512_set1_epi32(static_cast<int32_t>(start - (first << 16)));
    uint8_t third[64];
    for (int i = 0; i < 64; ++i) third[i] = static_cast<uint8_t>(4 * (i % 32) + 2);
    const __m512i whole = _mm512_loadu_si512(third);  // of 16.16, a byte
    const auto half = [&](int k) {
      return _mm512_permutex2var_epi8(_mm512_add_epi32(step_[k], from), whole,
                                      _mm512_add_epi32(step_[k + 1], from));
    };
    const __m512i place = _mm512_mask_blend_epi8(~__mmask64{0} << 32, half(0), half(2));
    if (start + low_ >= 0 && start + high_ < end_) return {first, place, ~__mmask64{0}};
    __mmask64 inside = 0;
    for (int k = 0; k < 4; ++k) {
      const __m512i at = _mm512_add_epi32(step_[k], _mm512_set1_epi32(static_cast<int32_t>(start)));
      const __m512i end = _mm512_set1_epi32(static_cast<int32_t>(end_));
      inside |= __mmask64{_mm512_cmplt_epu32_mask(at, end)} << (16 * k);
    }
    return {first, place, inside};
  }

 private:
  int64_t low_, high_, most_, end_;
  __m512i step_[4];
};

// All pixels of an image. However a rotation turns a tile, it comes from at most 12 rows of 16.
class TileMove {
 public:
  TileMove(const int64_t* f, int width, int height)
      : f_(f), x_(f[0], f[1], width), y_(f[3], f[4], height) {}

  bool serves() const { return x_.fits() && y_.fits(); }

  void operator()(const Image<uint8_t>& image, const uint8_t* fill, uint8_t* out) const {
    if (image.channels == 3)
      tiles<3>(image, fill, out);
    else
      tiles<1>(image, fill, out);
  }

 private:
  static constexpr int kColumns = 16, kRows = 12;
  using Columns = TileAxis<kColumns>;
  using Rows = TileAxis<kRows>;

  template <int channels>
  void tiles(const Image<uint8_t>& image, const uint8_t* fill, uint8_t* const out) const {
    // Copies, as a store to bytes may alias anything else.
    const Columns columns = x_;
    const Rows rows = y_;
    const int64_t width = image.width, area = image.area(), a = f_[0], d = f_[3];
    const int height = image.height;
    const uint8_t* const pixels = image.pixels;
    __m512i filling[channels];
    for (int c = 0; c < channels; ++c) filling[c] = _mm512_set1_epi8(static_cast<char>(fill[c]));
    __m512i picked[channels][kTileSide] = {};  // eight tiles side by side: 64 columns
    for (int64_t top = 0; top < height; top += kTileSide)
      for (int64_t left = 0; left < width; left += 64) {
        const int64_t u = f_[2] + f_[1] * top + a * left, v = f_[5] + f_[4] * top + d * left;
        const int64_t across = std::min<int64_t>(64, width - left);
        for (int64_t t = 0; t * kTileSide < across; ++t) {
          const auto in_column = columns(u + a * kTileSide * t);
          const auto in_row = rows(v + d * kTileSide * t);
          const __mmask64 inside = in_column.inside & in_row.inside;
          // Bits 4 to 7 are the row: what shifts in from the byte below is cut off.
          const __m512i high =
              _mm512_and_si512(_mm512_slli_epi16(in_row.place, 4), _mm512_set1_epi8(-16));
          const __m512i index = _mm512_or_si512(high, in_column.place);
          const __mmask64 last_rows = _mm512_movepi8_mask(index);
          const uint8_t* const from = pixels + in_row.first * width + in_column.first;
#pragma GCC unroll 3
          for (int c = 0; c < channels; ++c) {
            const auto four = [&](int64_t k) {
              const auto row = [&](int64_t i) {
                const uint8_t* const start = from + c * area + (k + i) * width;
                return _mm_loadu_si128(reinterpret_cast<const __m128i*>(start));
              };
              __m512i four = _mm512_castsi128_si512(row(0));
              four = _mm512_inserti32x4(four, row(1), 1);
              four = _mm512_inserti32x4(four, row(2), 2);
              return _mm512_inserti32x4(four, row(3), 3);
            };
            const __m512i eight = _mm512_permutex2var_epi8(four(0), index, four(4));
            const __m512i twelve = _mm512_mask_permutexvar_epi8(eight, last_rows, index, four(8));
            picked[c][t] = _mm512_mask_blend_epi8(inside, filling[c], twelve);
          }
        }
        for (int c = 0; c < channels; ++c) {
          __m512i line[kTileSide];
          transpose_eights(picked[c], line);
          for (int64_t i = 0; i < std::min<int64_t>(kTileSide, height - top); ++i)
            _mm512_mask_storeu_epi8(out + c * area + (top + i) * width + left, first(across),
                                    line[i]);
        }
      }
  }

  const int64_t* f_;
  Columns x_;
  Rows y_;
};
#endif

}  // namespace pyaug::inline PYAUG_ISA
