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
    int64_t step[kMaxChannels];
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
    team.sync();
    int64_t* const steps = p.step;
    for (int c = team.lane(); c < image.channels; c += team.size())
      steps[c] = accumulate(team.histogram() + 256 * c, area);
    team.sync();
    for (int c = 0; c < image.channels; ++c) {
      const uint32_t* below = team.histogram() + 256 * c;
      if (area < 1 << 22)
        tabulate<float>(team, below, steps[c], p.table[c]);
      else
        tabulate<double>(team, below, steps[c], p.table[c]);
    }
  }
  // The histogram's exclusive running sum, in its place; returns the step, 1/255 of the pixels but
  // those of the last bin in use: 0 where one bin holds them all.
  PYAUG_LANE static int64_t accumulate(uint32_t* histogram, int64_t area) {
    int last = 255;
    while (last > 0 && histogram[last] == 0) --last;
    const int64_t step = (area - histogram[last]) / 255;
    uint32_t sum = 0;
    PYAUG_ROLLED
    for (int i = 0; i < 256; ++i) {
      const uint32_t count = histogram[i];
      histogram[i] = sum;
      sum += count;
    }
    return step;
  }
  // Pillow's table. F divides whole numbers well enough to truncate: float below 2^22, double below
  // 2^52.
  template <class F, class Team>
  PYAUG_LANE static void tabulate(const Team& team, const uint32_t* __restrict below, int64_t step,
                                  uint8_t* __restrict table) {
    const uint32_t half = static_cast<uint32_t>(step / 2);
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
