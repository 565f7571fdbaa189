// The bilinear rule on bytes, row by row: where the pixels of a row come from is found once for all
// channels.
#pragma once

#include "../ops/warp.h"
#include "blocks.h"
#include "stretch.h"
#include "warps.h"

namespace pyaug::inline PYAUG_ISA {

constexpr int kLanes = 16;
constexpr int kSpilled = kBlock + kLanes;  // room for a loop that runs on

// The points that a block of one row comes from.
struct RowPoints {
  Interval inside;          // of the block's columns, those within the image
  int32_t at[kSpilled];     // the upper left neighbour's place in its plane
  int32_t right[kSpilled];  // how far the right neighbour is: 1, or 0 at the edge
  int32_t down[kSpilled];   // and the one below: the width, or 0
  double dx[kSpilled], dy[kSpilled];
  Interval straight{0, 0};  // of `inside`, where neighbours are neighbours in memory too

  void find(const Affine& affine, int y, int first, int last, int width, int height) {
    const Matrix& m = affine.matrix;
    const double v = y + 0.5;
    double sx[kBlock], sy[kBlock];
    const int count = last - first;
    for (int i = 0; i < count; ++i) {
      const double u = first + i + 0.5;
      sx[i] = m.a * u + m.b * v + m.c;
      sy[i] = m.d * u + m.e * v + m.f;
    }
    // Along a row both coordinates rise or fall, so that the points inside lie side by side.
    const auto within = [&](int i) {
      return sx[i] >= 0.0 && sx[i] < width && sy[i] >= 0.0 && sy[i] < height;
    };
    inside = {0, count};
    while (!inside.empty() && !within(inside.first)) ++inside.first;
    while (!inside.empty() && !within(inside.last - 1)) --inside.last;
    for (int i = inside.first; i < inside.last; ++i) {
      const double x = sx[i] - 0.5, z = sy[i] - 0.5;
      const int column = down_to(x), row = down_to(z);
      dx[i] = x - column;
      dy[i] = z - row;
      const int x0 = std::max(column, 0), y0 = std::max(row, 0);
      at[i] = y0 * width + x0;
      right[i] = std::min(column + 1, width - 1) - x0;
      down[i] = (std::min(row + 1, height - 1) - y0) * width;
    }
    straight = {inside.first, inside.first};
    if (m.a != 1.0 || m.d != 0.0 || inside.empty()) return;
    straight = inside;
    while (!straight.empty() && right[straight.first] == 0) ++straight.first;
    while (!straight.empty() && right[straight.last - 1] == 0) --straight.last;
    int bent = 0;
    for (int i = straight.first; i < straight.last; ++i)
      bent |= at[i] - at[straight.first] - (i - straight.first);
    if (bent != 0) straight.last = straight.first;
  }

  // Calls one(i, at, right, down) for the points inside; first for the straight ones, in a loop
  // whose memory accesses are consecutive. Where the plane is long enough, that loop runs on to a
  // multiple of kLanes: short rows would else be mostly remainder.
  template <class One>
  PYAUG_LANE void each(int64_t area, const One& one) const {
    if (!straight.empty()) {
      const int begin = straight.first;
      const int32_t start = at[begin], below = down[begin];
      const int whole = (straight.count() + kLanes - 1) / kLanes * kLanes;
      const auto run = [&](int count) {
        for (int i = 0; i < count; ++i) one(begin + i, start + i, 1, below);
      };
      if (int64_t{start} + whole + below < area)
        run(whole);
      else
        run(straight.count());
    }
    for (int i = inside.first; i < straight.first; ++i) one(i, at[i], right[i], down[i]);
    for (int i = straight.last; i < inside.last; ++i) one(i, at[i], right[i], down[i]);
  }
};

// Bytes where columns and rows do not depend on each other: rows of the image are brought to the
// output's columns once, and each output row lies between two of them.
inline void bilinear_separable(const Image<uint8_t>& image, const Affine& affine,
                               const double* fill, uint8_t* out) {
  const int width = image.width, height = image.height;
  const Matrix& m = affine.matrix;
  const auto source = [](double t, int size, int& first, int& step, double& way) {
    if (!(t >= 0.0 && t < size)) return false;
    const int low = down_to(t - 0.5);
    way = (t - 0.5) - low;
    first = std::max(low, 0);
    step = way == 0 ? 0 : std::min(low + 1, size - 1) - first;
    return true;
  };
  each_row_block(width, [&](int begin, int end) {
    int32_t left[kBlock], right[kBlock];
    double dx[kBlock];
    Interval inside{end, end};
    for (int x = begin; x < end; ++x) {
      int step = 0;
      const double t = m.a * (x + 0.5) + m.b * 0.5 + m.c;
      if (!source(t, width, left[x - begin], step, dx[x - begin])) continue;
      right[x - begin] = left[x - begin] + step;
      if (inside.empty()) inside.first = x;
      inside.last = x + 1;
    }
    const int skip = inside.first - begin, count = inside.count();
    const Stretch stretch(left + skip, right + skip, dx + skip, count, width);
    StretchedRow rows[2][kMaxChannels];
    int held[2] = {-1, -1};
    const auto row = [&](int y, int other) {
      for (int k : {0, 1})
        if (held[k] == y) return k;
      const int k = held[0] == other ? 1 : 0;
      for (int c = 0; c < image.channels; ++c)
        stretch.find(image.pixels + image.index(c, y, 0), rows[k][c]);
      held[k] = y;
      return k;
    };
    for (int y = 0; y < height; ++y) {
      int from = 0, step = 0;
      double dy = 0;
      const bool within = source(m.d * 0.5 + m.e * (y + 0.5) + m.f, height, from, step, dy);
      const int top = within ? row(from, from + step) : 0;
      const int bottom = within ? row(from + step, from) : 0;
      const Interval here = within ? inside : Interval{end, end};
      for (int c = 0; c < image.channels; ++c) {
        uint8_t* to = out + image.index(c, y, 0);
        std::fill(to + begin, to + here.first, clip_byte(fill[c]));
        if (within) stretch.between(rows[top][c], rows[bottom][c], dy, to + here.first);
        std::fill(to + here.last, to + end, clip_byte(fill[c]));
      }
    }
  });
}

inline void bilinear_bytes(const Image<uint8_t>& image, const Affine& affine, const double* fill,
                           uint8_t* out) {
  const int64_t area = image.area();
  RowPoints points;
  double value[kSpilled];
  for (int y = 0; y < image.height; ++y)
    each_row_block(image.width, [&](int first, int last) {
      points.find(affine, y, first, last, image.width, image.height);
      for (int c = 0; c < image.channels; ++c) {
        const uint8_t* plane = image.pixels + c * area;
        points.each(area, [&](int i, int32_t at, int32_t right,
                              int32_t down) __attribute__((always_inline)) {
          const uint8_t* p = plane + at;
          const double dx = points.dx[i], dy = points.dy[i];
          value[i] = bilinear_value<double>(p[0], p[right], p[down], p[down + right], dx, dy);
        });
        std::fill(value, value + points.inside.first, fill[c]);
        std::fill(value + points.inside.last, value + (last - first), fill[c]);
        uint8_t* to = out + image.index(c, y, first);
        for (int i = 0; i < last - first; ++i) to[i] = clip_byte(value[i]);
      }
    });
}

}  // namespace pyaug::inline PYAUG_ISA
