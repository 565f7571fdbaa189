// Stencils over blocks of a plane: neighbours lie at fixed distances in memory, so that one long
// loop serves all rows; what it makes of the border columns is put right afterwards.
#pragma once

#include "../ops/stencil.h"
#include "blocks.h"

namespace pyaug::inline PYAUG_ISA {

// The stencil at in[0]: on bytes by Pillow's rule, in 16 bits, which hold twice the largest sum.
template <class Stencil, class T>
PYAUG_LANE auto filtered(const T* in, int64_t width) {
  constexpr int radius = Stencil::radius;
  using Sum = std::conditional_t<is_exact<T>, uint16_t, Compute<T>>;
  Sum sum(0);
  for (int dy = -radius; dy <= radius; ++dy)
    for (int dx = -radius; dx <= radius; ++dx)
      if (Stencil::weight(dy, dx) != 0)
        sum = static_cast<Sum>(sum + static_cast<Sum>(Stencil::weight(dy, dx)) *
                                         static_cast<Sum>(in[dy * width + dx]));
  if constexpr (is_exact<T>)
    return static_cast<uint8_t>(static_cast<uint16_t>(2 * sum + Stencil::sum) / (2 * Stencil::sum));
  else
    return sum / Sum(Stencil::sum);
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
  for (int64_t i = from; i < to; ++i) d[i - first] = filtered<Stencil>(plane + i, width);
  for (int64_t i = to; i < last; ++i) d[i - first] = static_cast<D>(plane[i]);
  if (from == to) return;
  for (int64_t y = first / width; y * width < last; ++y)
    for (int64_t x = 0; x < radius; ++x)
      for (const int64_t i : {y * width + x, (y + 1) * width - 1 - x})
        if (i >= first && i < last) d[i - first] = static_cast<D>(plane[i]);
}

}  // namespace pyaug::inline PYAUG_ISA
