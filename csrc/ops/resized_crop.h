#pragma once

#include "../core/trigonometry.h"
#include "warp.h"

namespace pyaug::inline PYAUG_ISA {

struct ResizedCrop : Warp<ResizedCrop> {
  static constexpr OperationInfo info{
      .name = "resized_crop",
      .summary = "Cuts a random window of at least this share of the area and enlarges it.",
      .unit = Unit::area,
      .low = 0.01,
      .high = 1,
      .identity = 1,
      .fills = true,
      .noise = 4,
  };
  static constexpr bool always_bilinear = true;

  PYAUG_LANE static void place(double magnitude, const float* noise, int width, int height,
                               Matrix& matrix, Matrix&) {
    constexpr double log_aspect = 0.28768207245178096;  // log(4 / 3)
    const double area = magnitude + noise[0] * (1 - magnitude);
    const double aspect = exp_small((2.0 * noise[1] - 1) * log_aspect);
    const double w = fmin(1.0, sqrt(area * aspect)), h = fmin(1.0, sqrt(area / aspect));
    matrix = {w, 0, noise[2] * (1 - w) * width, 0, h, noise[3] * (1 - h) * height};
  }
  // The window's place is drawn, not learned.
  template <class T>
  PYAUG_LANE static Compute<T> slope(const Image<T>&, const Parameters&, Position&) {
    return Compute<T>(0);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
