#pragma once

#include "enhance.h"

namespace pyaug::inline PYAUG_ISA {

struct Contrast : FlatEnhancer<Contrast> {
  static constexpr OperationInfo info =
      enhancer("contrast", "Blends with the mean grey: 0 flat, 1 the image, 2 twice the contrast.");

  // The mean luma: of whole numbers and rounded on uint8, unrounded on floats.
  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>& step,
                                 Parameters& p) {
    const int64_t area = image.area();
    double mean;
    if constexpr (is_exact<T>) {
      mean = static_cast<double>((2 * team.total_luma(image) + area) / (2 * area));
    } else {
      const double sum =
          team.total(area, [image](int64_t i) { return static_cast<double>(luma(image, i)); });
      mean = sum / static_cast<double>(area);
    }
    if (team.lane() == 0) p = {step.magnitude, mean};
  }
  PYAUG_LANE static double flat(const Parameters& p) { return p.mean; }
  template <class T>
  PYAUG_LANE static Compute<T> degenerate_adjoint(const Image<T>& image, const Image<Compute<T>>&,
                                                  double total, Position& at) {
    return luma_weight<Compute<T>>(image.channels, at.c) *
           Compute<T>(total / static_cast<double>(image.area()));
  }
};

}  // namespace pyaug::inline PYAUG_ISA
