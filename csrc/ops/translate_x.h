#pragma once

#include "warp.h"

namespace pyaug::inline PYAUG_ISA {

struct TranslateX : Warp<TranslateX> {
  static constexpr OperationInfo info =
      warp("translate_x", "Moves the content against x by a fraction of the width.", Unit::fraction,
           -1, 1);

  PYAUG_LANE static void place(double magnitude, const float*, int width, int, Matrix& matrix,
                               Matrix& slope) {
    matrix.c = magnitude * width;
    slope.c = width;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
