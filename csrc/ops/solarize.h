#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Solarize : PointOperation<Solarize>, NoSlope {
  static constexpr bool tabulated = false;
  static constexpr OperationInfo info{
      .name = "solarize",
      .summary = "Inverts the values from a threshold on.",
      .unit = Unit::threshold,
      .low = 0,
      .high = 256,
      .identity = 256,
      .magnitude_gradient = Gradient::straight_through,
      .span = 256,
  };
  struct Parameters {
    double threshold;
    uint8_t first, flipped;  // bytes from the first on: their bits that change, all or none
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>&, const Step<T>& step, Parameters& p) {
    if (team.lane() != 0) return;
    const double first = ceil(step.magnitude);
    p.threshold = step.magnitude;
    p.first = static_cast<uint8_t>(first > 0 ? fmin(first, 255.0) : 0.0);
    p.flipped = first > 255 ? 0 : 255;
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int) {
    return static_cast<uint8_t>(v ^ (v >= p.first ? p.flipped : 0));
  }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters& p, int) {
    return v < F(p.threshold / 255) ? v : F(1) - v;
  }
  template <class F>
  PYAUG_LANE static F gain_point(F v, const Parameters& p, int) {
    return v < F(p.threshold / 255) ? F(1) : F(-1);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
