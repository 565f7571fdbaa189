#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Posterize : PointOperation<Posterize>, NoSlope, UnitGain {
  static constexpr bool tabulated = false;
  static constexpr OperationInfo info{
      .name = "posterize",
      .summary = "Keeps the highest bits of every value; fractional bits count up.",
      .unit = Unit::bits,
      .low = 0,
      .high = 8,
      .identity = 8,
      .image_gradient = Gradient::straight_through,
      .magnitude_gradient = Gradient::straight_through,
      .span = 8,
  };
  struct Parameters {
    int mask;
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>&, const Step<T>& step, Parameters& p) {
    if (team.lane() != 0) return;
    const double bits = ceil(step.magnitude);
    p.mask = bits > 0 ? (bits < 8 ? 256 - (1 << (8 - static_cast<int>(bits))) : 255) : 0;
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int) {
    return static_cast<uint8_t>(v & p.mask);
  }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters& p, int) {
    return of_level<F>(level(v) & p.mask);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
