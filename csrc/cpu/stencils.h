// Stencils over a plane: neighbours lie at fixed distances in memory, so that one long loop serves
// all rows; what it makes of the border columns is put right afterwards.
#pragma once

#include "../ops/stencil.h"
#include "blocks.h"
#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

constexpr int kFiltered = 4096;  // pixels at a time

#ifdef __AVX512VBMI__
// Columns of a stencil over 64 pixels, as sums of 16 bits: of the pixels with even places [0] and
// of those with odd ones [1]. Bytes become numbers by a mask and a shift, without a permutation.
struct Columns {
  __m512i outer[2], inner[2];
};

template <class Stencil>
Columns columns(const uint8_t* in, int64_t width, __mmask64 there) {
  Columns sums{};
  for (int dy = -Stencil::radius; dy <= Stencil::radius; ++dy) {
    const __m512i pixels = _mm512_maskz_loadu_epi8(there, in + dy * width);
    const __m512i numbers[2] = {_mm512_and_si512(pixels, _mm512_set1_epi16(255)),
                                _mm512_srli_epi16(pixels, 8)};
    const auto weighted = [](int weight, __m512i number) {
      return weight == 1 ? number : _mm512_mullo_epi16(_mm512_set1_epi16(weight), number);
    };
    for (int k = 0; k < 2; ++k) {
      const int outer = Stencil::weight(dy, Stencil::radius), inner = Stencil::weight(dy, 0);
      if (outer) sums.outer[k] = _mm512_add_epi16(sums.outer[k], weighted(outer, numbers[k]));
      if (inner) sums.inner[k] = _mm512_add_epi16(sums.inner[k], weighted(inner, numbers[k]));
    }
  }
  return sums;
}

// The stencil on `count` <= kFiltered pixels from in[0] on: Pillow's rule in 16 bits. Every byte is
// loaded once for each of the stencil's rows; its neighbours then come from registers.
template <class Stencil>
void filter_inside(const uint8_t* in, int64_t width, int count, uint8_t* d) {
  constexpr int radius = Stencil::radius, last = 2 * radius;
  // Rounded: half a unit more is no other whole number than this. The quotient comes times four.
  constexpr int half = Stencil::sum / 2, over = ((1 << 18) + Stencil::sum - 1) / Stencil::sum;
  const auto quotient = [](__m512i sum) {
    return _mm512_mulhi_epu16(_mm512_add_epi16(sum, _mm512_set1_epi16(half)),
                              _mm512_set1_epi16(over));
  };
  uint16_t lanes[32 + radius];
  for (int k = 0; k < 32 + radius; ++k) lanes[k] = static_cast<uint16_t>(k);
  const int reach = count + last;
  const uint8_t* const start = in - radius;
  Columns now = columns<Stencil>(start, width, first(reach));
  for (int i = 0; i < count; i += 64) {
    fetch_ahead(in + i + radius * width, d + i);
    const int there = reach - i - 64;
    const Columns next = columns<Stencil>(start + i + 64, width, first(there));
    // The column `x` to the right of the first one, for every second pixel.
    const auto at = [&](const __m512i* sums, const __m512i* after, int x) {
      const __m512i from = _mm512_loadu_si512(lanes + x / 2);
      return x < 2 ? sums[x] : _mm512_permutex2var_epi16(sums[x % 2], from, after[x % 2]);
    };
    __m512i sum[2];
    for (int k = 0; k < 2; ++k) {
      sum[k] = _mm512_add_epi16(at(now.outer, next.outer, k), at(now.outer, next.outer, last + k));
      for (int x = 1; x < last; ++x)
        sum[k] = _mm512_add_epi16(sum[k], at(now.inner, next.inner, x + k));
    }
    const __m512i even = _mm512_srli_epi16(quotient(sum[0]), 2);
    const __m512i odd = _mm512_slli_epi16(quotient(sum[1]), 6);
    _mm512_mask_storeu_epi8(d + i, first(count - i),
                            _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, even, odd));
    now = next;
  }
}
#else
// The stencil on `count` <= kFiltered pixels from in[0] on: Pillow's rule in 16 bits, which hold
// twice the largest sum. Both stencils have columns of two kinds, the outermost and those between.
// (Not inline: in its callers' loops the compiler makes less of it.)
template <class Stencil>
__attribute__((noinline)) void filter_inside(const uint8_t* in, int64_t width, int count,
                                             uint8_t* __restrict d) {
  constexpr int radius = Stencil::radius;
  uint16_t outer[kFiltered + 2 * radius], inner[kFiltered + 2 * radius];
  const auto column = [&](const uint8_t* at, int dx) {
    uint16_t sum = 0;
    for (int dy = -radius; dy <= radius; ++dy)
      sum = static_cast<uint16_t>(sum + Stencil::weight(dy, dx) * at[dy * width]);
    return sum;
  };
  for (int i = 0; i < count + 2 * radius; ++i) {
    outer[i] = column(in + i - radius, radius);
    inner[i] = column(in + i - radius, 0);
  }
  for (int i = 0; i < count; ++i) {
    uint16_t sum = static_cast<uint16_t>(outer[i] + outer[i + 2 * radius]);
    for (int dx = 1; dx < 2 * radius; ++dx) sum = static_cast<uint16_t>(sum + inner[i + dx]);
    d[i] = static_cast<uint8_t>(static_cast<uint16_t>(2 * sum + Stencil::sum) / (2 * Stencil::sum));
  }
}
#endif

// The stencil at in[0], on floats.
template <class Stencil, class T>
PYAUG_LANE Compute<T> filtered(const T* in, int64_t width) {
  using F = Compute<T>;
  constexpr int radius = Stencil::radius;
  F sum(0);
  for (int dy = -radius; dy <= radius; ++dy)
    for (int dx = -radius; dx <= radius; ++dx)
      if (Stencil::weight(dy, dx) != 0) sum += F(Stencil::weight(dy, dx)) * F(in[dy * width + dx]);
  return sum / F(Stencil::sum);
}

// A plane of bytes through the stencil.
template <class Stencil>
void filter_plane(const uint8_t* plane, int height, int64_t width, uint8_t* out) {
  constexpr int radius = Stencil::radius;
  const int64_t area = height * width, border = radius * width + radius;
  if (height <= 2 * radius || width <= 2 * radius) {
    std::memcpy(out, plane, static_cast<size_t>(area));
    return;
  }
  std::memcpy(out, plane, static_cast<size_t>(border));
  int64_t start = border + width - radius;  // of a row
  for (int64_t i = border; i < area - border; i += kFiltered) {
    const int count = static_cast<int>(std::min<int64_t>(kFiltered, area - border - i));
    filter_inside<Stencil>(plane + i, width, count, out + i);
    for (; start + radius <= i + count; start += width)
      std::memcpy(out + start - radius, plane + start - radius, 2 * radius);
  }
  std::memcpy(out + area - border, plane + area - border, static_cast<size_t>(border));
}

// d[i] for `count` floats of a plane from `first` on: the stencil, on the border the pixel itself.
template <class Stencil, class T>
PYAUG_LANE void filter(const T* plane, int height, int64_t width, int64_t first, int count,
                       Compute<T>* d) {
  constexpr int radius = Stencil::radius;
  const int64_t last = first + count, area = height * width;
  const bool interior = height > 2 * radius && width > 2 * radius;
  const int64_t inner_first = interior ? radius * width + radius : area;
  const int64_t inner_last = area - (radius * width + radius);
  const int64_t from = std::clamp(inner_first, first, last);
  const int64_t to = std::clamp(inner_last, from, last);
  const auto copy = [&](int64_t i) { d[i - first] = static_cast<Compute<T>>(plane[i]); };
  for (int64_t i = first; i < from; ++i) copy(i);
  for (int64_t i = from; i < to; ++i) d[i - first] = filtered<Stencil>(plane + i, width);
  for (int64_t i = to; i < last; ++i) copy(i);
  if (from == to) return;
  for (int64_t y = first / width; y * width < last; ++y)
    for (int64_t x = 0; x < radius; ++x)
      for (const int64_t i : {y * width + x, (y + 1) * width - 1 - x})
        if (i >= first && i < last) copy(i);
}

}  // namespace pyaug::inline PYAUG_ISA
