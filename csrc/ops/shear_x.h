#pragma once

#include "warp.h"

namespace pyaug::inline PYAUG_ISA {

struct ShearX : Warp<ShearX> {
  static constexpr OperationInfo info =
      warp("shear_x", "Shears along x about the origin.", Unit::tangent, -10, 10);

  PYAUG_LANE static void place(double magnitude, const float*, int, int, Matrix& matrix,
                               Matrix& slope) {
    matrix.b = magnitude;
    slope.b = 1;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
