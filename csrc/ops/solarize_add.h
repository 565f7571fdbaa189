#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct SolarizeAdd : PointOperation<SolarizeAdd> {
  static constexpr bool tabulated = false;
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
    uint8_t whole, low, high;  // what is added to bytes, modulo 256, after a clip to these
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>&, const Step<T>& step, Parameters& p) {
    if (team.lane() != 0) return;
    p.addend = step.magnitude;
    const int whole = static_cast<int>(fmax(-255.0, fmin(floor(step.magnitude), 255.0)));
    p.whole = static_cast<uint8_t>(whole);
    p.low = static_cast<uint8_t>(whole < 0 ? -whole : 0);
    p.high = static_cast<uint8_t>(whole > 0 ? 255 - whole : 255);
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int) {
    const uint8_t clipped = v < p.low ? p.low : v > p.high ? p.high : v;
    return v >= 128 ? v : static_cast<uint8_t>(clipped + p.whole);
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
