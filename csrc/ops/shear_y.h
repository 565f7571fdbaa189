#pragma once

#include "warp.h"

namespace pyaug::inline PYAUG_ISA {

struct ShearY : Warp<ShearY> {
  static constexpr OperationInfo info =
      warp("shear_y", "Shears along y about the origin.", Unit::tangent, -10, 10);

  PYAUG_LANE static void place(double magnitude, const float*, int, int, Matrix& matrix,
                               Matrix& slope) {
    matrix.d = magnitude;
    slope.d = 1;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
