#pragma once

#include "rearrange.h"

namespace pyaug::inline PYAUG_ISA {

struct Rotate90 : Rearrange<Rotate90> {
  static constexpr OperationInfo info{.name = "rotate_90",
                                      .summary = "A quarter turn anticlockwise of a square image.",
                                      .square = true};

  PYAUG_LANE static Rearrangement place(double, const float*, int width, int) {
    return {0, -1, width - 1, 1, 0, 0, {}};
  }
};

}  // namespace pyaug::inline PYAUG_ISA
