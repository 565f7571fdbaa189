#pragma once

#include "enhance.h"

namespace pyaug::inline PYAUG_ISA {

struct Brightness : FlatEnhancer<Brightness> {
  static constexpr OperationInfo info =
      enhancer("brightness", "Blends with black: 0 black, 1 the image, 2 twice as bright.");

  PYAUG_LANE static double flat(const Parameters&) { return 0; }
  template <class F>
  PYAUG_LANE static F gain_point(F, const Parameters& p, int) {
    return F(p.factor);
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate_adjoint(const Image<T>&, const Image<Compute<T>>&, double,
                                                  Position&) {
    return Compute<T>(0);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
