// Pillow's SMOOTH and BLUR: a weighted mean over a square; pixels nearer to the border than its
// radius stay as they are, and so does an image smaller than the square.
#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

// 3x3: ones around a five. The sum is 13.
struct SmoothStencil {
  static constexpr int radius = 1, sum = 13;
  PYAUG_LANE static int weight(int dy, int dx) { return dy == 0 && dx == 0 ? 5 : 1; }
};

// 5x5: the sixteen outer pixels.
struct BlurStencil {
  static constexpr int radius = 2, sum = 16;
  PYAUG_LANE static int weight(int dy, int dx) {
    return dy == -2 || dy == 2 || dx == -2 || dx == 2 ? 1 : 0;
  }
};

template <class Stencil>
struct Filter {
  static constexpr int radius = Stencil::radius;

  template <class T>
  PYAUG_LANE static bool interior(const Image<T>& image, int y, int x) {
    return y >= radius && y < image.height - radius && x >= radius && x < image.width - radius;
  }

  // Sum of weight * pixel; the pixels must lie inside.
  template <class A, class T>
  PYAUG_LANE static A weighted(const Image<T>& image, int c, int y, int x) {
    A sum(0);
    for (int dy = -radius; dy <= radius; ++dy)
      for (int dx = -radius; dx <= radius; ++dx)
        if (Stencil::weight(dy, dx) != 0)
          sum += A(Stencil::weight(dy, dx)) * A(image.raw(c, y + dy, x + dx));
    return sum;
  }

  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const Position& at) {
    if (!interior(image, at.y, at.x)) return image.raw(at.c, at.y, at.x);
    return rounded(weighted<int>(image, at.c, at.y, at.x));
  }
  PYAUG_LANE static uint8_t rounded(int sum) {
    return static_cast<uint8_t>((2 * sum + Stencil::sum) / (2 * Stencil::sum));
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Position& at) {
    if (!interior(image, at.y, at.x)) return image(at.c, at.y, at.x);
    return weighted<Compute<T>>(image, at.c, at.y, at.x) / Compute<T>(Stencil::sum);
  }
  // The stencils are symmetric: an input pixel receives from the interior pixels around it.
  template <class F>
  PYAUG_LANE static F adjoint(const Image<F>& g, int c, int y, int x) {
    F sum(0);
    for (int dy = -radius; dy <= radius; ++dy)
      for (int dx = -radius; dx <= radius; ++dx)
        if (Stencil::weight(dy, dx) != 0 && interior(g, y + dy, x + dx))
          sum += F(Stencil::weight(dy, dx)) * g.raw(c, y + dy, x + dx);
    return sum / F(Stencil::sum) + (interior(g, y, x) ? F(0) : g.raw(c, y, x));
  }
};

template <class Kernel>
struct FilterOperation : NoPreparation, NoSlope {
  using Stencil = Kernel;

  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const Parameters&, Position& at) {
    return Filter<Stencil>::exact(image, at);
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Parameters&, Position& at) {
    return Filter<Stencil>::value(image, at);
  }
  template <class T>
  PYAUG_LANE static Compute<T> adjoint(const Image<T>&, const Parameters&,
                                       const Image<Compute<T>>& g, double, Position& at) {
    return Filter<Stencil>::adjoint(g, at.c, at.y, at.x);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
