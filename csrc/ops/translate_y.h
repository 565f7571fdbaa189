#pragma once

#include "warp.h"

namespace pyaug::inline PYAUG_ISA {

struct TranslateY : Warp<TranslateY> {
  static constexpr OperationInfo info =
      warp("translate_y", "Moves the content against y by a fraction of the height.",
           Unit::fraction, -1, 1);

  PYAUG_LANE static void place(double magnitude, const float*, int, int height, Matrix& matrix,
                               Matrix& slope) {
    matrix.f = magnitude * height;
    slope.f = height;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
