// Stencils over blocks of a plane: neighbours lie at fixed distances in memory, so that one long
// loop serves all rows; what it makes of the border columns is put right afterwards.
#pragma once

#include "../ops/stencil.h"
#include "blocks.h"

namespace pyaug::inline PYAUG_ISA {

// The stencil on `count` <= kBlock pixels from in[0] on: Pillow's rule in 16 bits, which hold twice
// the largest sum. Both stencils have columns of two kinds, the outermost and those between. (Not
// inline: in its callers' loops the compiler makes less of it.)
template <class Stencil>
__attribute__((noinline)) void filter_inside(const uint8_t* in, int64_t width, int count,
                                             uint8_t* __restrict d) {
  constexpr int radius = Stencil::radius;
  uint16_t outer[kBlock + 2 * radius], inner[kBlock + 2 * radius];
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

// d[i] for `count` pixels of a plane from `first` on: the stencil, on the border the pixel itself.
template <class Stencil, class T, class D>
PYAUG_LANE void filter(const T* plane, int height, int64_t width, int64_t first, int count, D* d) {
  constexpr int radius = Stencil::radius;
  const int64_t last = first + count, area = height * width;
  const bool interior = height > 2 * radius && width > 2 * radius;
  const int64_t inner_first = interior ? radius * width + radius : area;
  const int64_t inner_last = area - (radius * width + radius);
  const int64_t from = std::clamp(inner_first, first, last);
  const int64_t to = std::clamp(inner_last, from, last);
  for (int64_t i = first; i < from; ++i) d[i - first] = static_cast<D>(plane[i]);
  if constexpr (is_exact<T>)
    filter_inside<Stencil>(plane + from, width, static_cast<int>(to - from), d + (from - first));
  else
    for (int64_t i = from; i < to; ++i) d[i - first] = filtered<Stencil>(plane + i, width);
  for (int64_t i = to; i < last; ++i) d[i - first] = static_cast<D>(plane[i]);
  if (from == to) return;
  for (int64_t y = first / width; y * width < last; ++y)
    for (int64_t x = 0; x < radius; ++x)
      for (const int64_t i : {y * width + x, (y + 1) * width - 1 - x})
        if (i >= first && i < last) d[i - first] = static_cast<D>(plane[i]);
}

}  // namespace pyaug::inline PYAUG_ISA
