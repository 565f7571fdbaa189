#pragma once

#include "rearrange.h"

namespace pyaug::inline PYAUG_ISA {

struct FlipY : Rearrange<FlipY> {
  static constexpr OperationInfo info{.name = "flip_y", .summary = "Mirrors top and bottom."};

  PYAUG_LANE static Rearrangement place(double, const float*, int, int height) {
    return {1, 0, 0, 0, -1, height - 1, {}};
  }
};

}  // namespace pyaug::inline PYAUG_ISA
