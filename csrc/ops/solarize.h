#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Solarize : PointOperation<Solarize>, NoSlope {
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
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>&, const Step<T>& step, Parameters& p) {
    if (team.lane() == 0) p.threshold = step.magnitude;
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int) {
    return v < p.threshold ? v : 255 - v;
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
