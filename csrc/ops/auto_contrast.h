#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct AutoContrast : PointOperation<AutoContrast>, NoSlope, UnitGain {
  static constexpr OperationInfo info{
      .name = "auto_contrast",
      .summary = "Stretches every channel to the full range.",
      .image_gradient = Gradient::straight_through,
  };
  struct Parameters {
    // uint8: scale v, then add the offset, as Pillow's table. float: (v - offset) / scale, the
    // offset the smallest value and the scale the range, so that the largest becomes 1 exactly.
    double scale[kMaxChannels], offset[kMaxChannels];
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>&, Parameters& p) {
    for (int c = 0; c < image.channels; ++c) {
      using F = Compute<T>;
      const auto found = team.range(image.pixels + c * image.area(), image.area());
      if (team.lane() != 0) continue;
      const double low = static_cast<double>(found.low), high = static_cast<double>(found.high);
      const bool flat = !(high > low);
      const double range = is_exact<T> ? 255.0 / (high - low) : F(high) - F(low);
      p.scale[c] = flat ? 1.0 : range;
      p.offset[c] = flat ? 0.0 : is_exact<T> ? -low * p.scale[c] : low;
    }
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int c) {
    return clip_byte(v * p.scale[c] + p.offset[c]);
  }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters& p, int c) {
    return (v - F(p.offset[c])) / F(p.scale[c]);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
