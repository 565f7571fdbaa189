#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Cutout : NoSlope {
  static constexpr OperationInfo info{
      .name = "cutout",
      .summary = "Fills a square at a random place; its side is a fraction of the shorter side.",
      .unit = Unit::fraction,
      .low = 0,
      .high = 1,
      .identity = 0,
      .magnitude_gradient = Gradient::straight_through,
      .span = 1,
      .fills = true,
      .noise = 2,
  };
  struct Parameters {
    int x0, x1, y0, y1;  // the square, ends excluded
    double fill[kMaxChannels];
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>& step,
                                 Parameters& p) {
    if (team.lane() != 0) return;
    const int shorter = image.width < image.height ? image.width : image.height;
    const double side = floor(step.magnitude * shorter + 0.5);
    const int longest = 2 * (image.width + image.height);  // covers the image from any centre
    const int q = side > 0 ? (side < longest ? static_cast<int>(side) : longest) : 0;
    p.x0 = static_cast<int>(floor(static_cast<double>(step.noise[0]) * image.width)) - q / 2;
    p.y0 = static_cast<int>(floor(static_cast<double>(step.noise[1]) * image.height)) - q / 2;
    p.x1 = p.x0 + q;
    p.y1 = p.y0 + q;
    for (int c = 0; c < image.channels; ++c) p.fill[c] = step.fill[c];
  }
  PYAUG_LANE static bool cut(const Parameters& p, int y, int x) {
    return x >= p.x0 && x < p.x1 && y >= p.y0 && y < p.y1;
  }
  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const Parameters& p, Position& at) {
    return cut(p, at.y, at.x) ? clip_byte(p.fill[at.c]) : image.raw(at.c, at.y, at.x);
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Parameters& p, Position& at) {
    return cut(p, at.y, at.x) ? Compute<T>(p.fill[at.c]) : image(at.c, at.y, at.x);
  }
  template <class T>
  PYAUG_LANE static Compute<T> adjoint(const Image<T>&, const Parameters& p,
                                       const Image<Compute<T>>& g, double, Position& at) {
    return cut(p, at.y, at.x) ? Compute<T>(0) : g(at.c, at.y, at.x);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
