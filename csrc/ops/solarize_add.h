#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct SolarizeAdd : PointOperation<SolarizeAdd> {
  static constexpr OperationInfo info{
      .name = "solarize_add",
      .summary = "Adds to the values of the darker half.",
      .unit = Unit::addend,
      .low = 0,
      .high = 110,
      .identity = 0,
      .magnitude_gradient = Gradient::exact,
  };
  struct Parameters {
    double addend;
    int whole;  // what truncation leaves of it beside a whole number
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>&, const Step<T>& step, Parameters& p) {
    if (team.lane() != 0) return;
    p.addend = step.magnitude;
    p.whole = static_cast<int>(fmax(-256.0, fmin(floor(step.magnitude), 256.0)));
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int) {
    const int sum = v + p.whole;
    return static_cast<uint8_t>(v >= 128 ? v : sum < 0 ? 0 : sum < 255 ? sum : 255);
  }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters& p, int) {
    return v < F(128.0 / 255) ? v + F(p.addend / 255) : v;
  }
  template <class F>
  PYAUG_LANE static F gain_point(F, const Parameters&, int) {
    return F(1);
  }
  template <class F>
  PYAUG_LANE static F slope_point(F v, const Parameters&, int) {
    return v < F(128.0 / 255) ? F(1.0 / 255) : F(0);
  }
  template <class T>
  PYAUG_LANE static Compute<T> slope(const Image<T>& image, const Parameters& p, Position& at) {
    return slope_point(image(at.c, at.y, at.x), p, at.c);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
