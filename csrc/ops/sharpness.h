#pragma once

#include "enhance.h"
#include "stencil.h"

namespace pyaug::inline PYAUG_ISA {

struct Sharpness : Enhancer<Sharpness> {
  static constexpr OperationInfo info =
      enhancer("sharpness", "Blends with the smoothed image: 0 smooth, 1 the image, 2 sharpened.");

  PYAUG_LANE static int degenerate_exact(const Image<uint8_t>& image, const Parameters&,
                                         Position& at) {
    return Filter<SmoothStencil>::exact(image, at);
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate(const Image<T>& image, const Parameters&, Position& at) {
    return Filter<SmoothStencil>::value(image, at);
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate_adjoint(const Image<T>&, const Image<Compute<T>>& g,
                                                  double, Position& at) {
    return Filter<SmoothStencil>::adjoint(g, at.c, at.y, at.x);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
