#pragma once

#include "rearrange.h"

namespace pyaug::inline PYAUG_ISA {

struct FlipX : Rearrange<FlipX> {
  static constexpr OperationInfo info{.name = "flip_x", .summary = "Mirrors left and right."};

  PYAUG_LANE static Rearrangement place(double, const float*, int width, int) {
    return {-1, 0, width - 1, 0, 1, 0, {}};
  }
};

}  // namespace pyaug::inline PYAUG_ISA
