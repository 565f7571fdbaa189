#pragma once

#include "operation.h"

namespace pyaug {

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
  PYAUG_LANE static int bin(const Image<T>& image, const Position& at) {
    if constexpr (is_exact<T>)
      return image.raw(at.c, at.y, at.x);
    else
      return level(image(at.c, at.y, at.x));
  }

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>&, Parameters& p) {
    team.clear_histogram();
    team.each_pixel(image, [&](Position& at) { team.count(256 * at.c + bin(image, at)); });
    team.sync();
    for (int c = team.lane(); c < image.channels; c += team.size())
      tabulate(team.histogram() + 256 * c, image.area(), p.table[c]);
  }
  // Pillow's table: an exclusive running sum, in steps of 1/255 of the image.
  PYAUG_LANE static void tabulate(const uint32_t* histogram, int64_t area, uint8_t* table) {
    int used = 0, last = 0;
    for (int i = 0; i < 256; ++i)
      if (histogram[i] != 0) {
        ++used;
        last = i;
      }
    const int64_t step = used > 1 ? (area - histogram[last]) / 255 : 0;
    int64_t sum = step / 2;
    for (int i = 0; i < 256; ++i) {
      const int64_t q = step == 0 ? i : sum / step;
      table[i] = static_cast<uint8_t>(q < 255 ? q : 255);
      sum += histogram[i];
    }
  }
  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters& p, int c) {
    return p.table[c][v];
  }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters& p, int c) {
    return F(p.table[c][level(v)]) / F(255);
  }
};

}  // namespace pyaug
