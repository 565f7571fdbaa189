#pragma once

#include "rearrange.h"

namespace pyaug::inline PYAUG_ISA {

struct Crop : Rearrange<Crop> {
  static constexpr OperationInfo info{
      .name = "crop",
      .summary = "Pads every side by a fraction of it and cuts the image's size at random.",
      .unit = Unit::fraction,
      .low = 0,
      .high = 1,
      .identity = 0,
      .fills = true,
      .noise = 2,
  };

  PYAUG_LANE static Rearrangement place(double magnitude, const float* noise, int width,
                                        int height) {
    return {1, 0, shift(magnitude, noise[0], width), 0, 1, shift(magnitude, noise[1], height), {}};
  }
  PYAUG_LANE static int shift(double magnitude, float noise, int size) {
    const double padding = floor(magnitude * size + 0.5);
    if (!(padding > 0)) return 0;
    const double offset = floor(noise * (2 * padding + 1)) - padding;
    return static_cast<int>(fmax(-1.0 * size, fmin(offset, 1.0 * size)));
  }
};

}  // namespace pyaug::inline PYAUG_ISA
