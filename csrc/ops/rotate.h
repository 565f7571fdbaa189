#pragma once

#include "../core/trigonometry.h"
#include "warp.h"

namespace pyaug::inline PYAUG_ISA {

struct Rotate : Warp<Rotate> {
  static constexpr OperationInfo info =
      warp("rotate", "Turns anticlockwise about the centre.", Unit::degrees, -360, 360);

  PYAUG_LANE static void place(double magnitude, const float*, int width, int height,
                               Matrix& matrix, Matrix& slope) {
    const double to_radians = kPi / 180;
    double degrees = fmod(magnitude, 360.0);  // Python's %: never negative
    if (degrees < 0) degrees += 360.0;
    const SineCosine turn = sine_cosine(-(degrees * to_radians));
    const double a = round_15(turn.cosine), b = round_15(turn.sine), d = round_15(-turn.sine);
    const double x = width / 2.0, y = height / 2.0;
    matrix = {a, b, a * -x + b * -y + x, d, a, d * -x + a * -y + y};
    // d cos / d degrees and d sin / d degrees, the angle being minus the degrees.
    const double da = turn.sine * to_radians, db = -turn.cosine * to_radians;
    slope = {da, db, da * -x + db * -y, -db, da, -db * -x + da * -y};
  }
};

}  // namespace pyaug::inline PYAUG_ISA
