#pragma once

#include "enhance.h"

namespace pyaug {

struct Brightness : Enhancer<Brightness> {
  static constexpr OperationInfo info =
      enhancer("brightness", "Blends with black: 0 black, 1 the image, 2 twice as bright.");

  PYAUG_LANE static int degenerate_exact(const Image<uint8_t>&, const Parameters&, Position&) {
    return 0;
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate(const Image<T>&, const Parameters&, Position&) {
    return Compute<T>(0);
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate_adjoint(const Image<T>&, const Image<Compute<T>>&, double,
                                                  Position&) {
    return Compute<T>(0);
  }
};

}  // namespace pyaug
