#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Equalize : PointOperation<Equalize>, NoSlope, UnitGain {
  static constexpr OperationInfo info{
      .name = "equalize",
      .summary = "Flattens the histogram of every channel.",
      .image_gradient = Gradient::straight_through,
  };
  struct Parameters {
    uint8_t table[kMaxChannels][256];
  };

  template <class T>
  PYAUG_LANE static int bin(T v) {
    if constexpr (is_exact<T>)
      return v;
    else
      return level(static_cast<Compute<T>>(v));
  }

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>&, Parameters& p) {
    const int64_t area = image.area();
    team.clear_histogram();
    for (int c = 0; c < image.channels; ++c)
      team.count(image.pixels + c * area, area, 256 * c, [](T v) { return bin(v); });
    for (int c = 0; c < image.channels; ++c) {
      // 1/255 of the pixels but those of the last bin in use: 0 where one bin holds them all.
      const uint32_t step = team.accumulate(256 * c) / 255;
      const uint32_t* below = team.histogram() + 256 * c;
      if (area < 1 << 22)
        tabulate<float>(team, below, step, p.table[c]);
      else
        tabulate<double>(team, below, step, p.table[c]);
    }
  }
  // Pillow's table. F divides whole numbers well enough to truncate: float below 2^22, double below
  // 2^52.
  template <class F, class Team>
  PYAUG_LANE static void tabulate(const Team& team, const uint32_t* __restrict below, uint32_t step,
                                  uint8_t* __restrict table) {
    const uint32_t half = step / 2;
    const F size = static_cast<F>(step);
    for (int v = team.lane(); v < 256; v += team.size()) {
      const F q = static_cast<F>(below[v] + half) / size;
      table[v] = static_cast<uint8_t>(static_cast<int>(q < F(255) ? q : F(255)));
    }
    if (step == 0)
      for (int v = team.lane(); v < 256; v += team.size()) table[v] = static_cast<uint8_t>(v);
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int c) {
    return p.table[c][v];
  }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters& p, int c) {
    return of_level<F>(p.table[c][level(v)]);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
