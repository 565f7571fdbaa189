#pragma once

#include "enhance.h"

namespace pyaug::inline PYAUG_ISA {

struct Color : Enhancer<Color> {
  static constexpr OperationInfo info =
      enhancer("color", "Blends with the grey image: 0 grey, 1 the image, 2 twice as colourful.");

  PYAUG_LANE static int degenerate_exact(const Image<uint8_t>& image, const Parameters&,
                                         Position& at) {
    return luma(image, image.index(0, at.y, at.x));
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate(const Image<T>& image, const Parameters&, Position& at) {
    return luma(image, image.index(0, at.y, at.x));
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate_adjoint(const Image<T>& image, const Image<Compute<T>>& g,
                                                  double, Position& at) {
    Compute<T> sum(0);
    for (int c = 0; c < image.channels; ++c) sum += g(c, at.y, at.x);
    return luma_weight<Compute<T>>(image.channels, at.c) * sum;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
