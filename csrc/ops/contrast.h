#pragma once

#include "enhance.h"

namespace pyaug {

struct Contrast : Enhancer<Contrast> {
  static constexpr OperationInfo info =
      enhancer("contrast", "Blends with the mean grey: 0 flat, 1 the image, 2 twice the contrast.");

  // The mean luma: of whole numbers and rounded on uint8, unrounded on floats.
  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>& step,
                                 Parameters& p) {
    Image<T> plane = image;  // one channel's positions: luma reads all channels itself
    plane.channels = 1;
    double mean;
    if constexpr (is_exact<T>) {
      int64_t sum = 0;
      team.each_pixel(plane, [&](Position& at) { sum += luma(image, at.y, at.x); });
      sum = team.sum(sum);
      mean = static_cast<double>((2 * sum + image.area()) / (2 * image.area()));
    } else {
      double sum = 0;
      team.each_pixel(plane,
                      [&](Position& at) { sum += static_cast<double>(luma(image, at.y, at.x)); });
      mean = team.sum(sum) / static_cast<double>(image.area());
    }
    if (team.lane() == 0) p = {step.magnitude, mean};
  }
  PYAUG_LANE static int degenerate_exact(const Image<uint8_t>&, const Parameters& p, Position&) {
    return static_cast<int>(p.mean);
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate(const Image<T>&, const Parameters& p, Position&) {
    return Compute<T>(p.mean);
  }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate_adjoint(const Image<T>& image, const Image<Compute<T>>&,
                                                  double total, Position& at) {
    return luma_weight<Compute<T>>(image.channels, at.c) *
           Compute<T>(total / static_cast<double>(image.area()));
  }
};

}  // namespace pyaug
