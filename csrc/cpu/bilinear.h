// The bilinear rule row by row: where the pixels of a row come from is found once for all channels;
// then come the values, their slopes, and the gradients on their way back.
#pragma once

#include "../ops/warp.h"
#include "blend.h"
#include "blocks.h"
#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

constexpr int kLanes = 16;
constexpr int kSpilled = kBlock + kLanes;  // room for a loop that runs on

// The points that a block of one row comes from. F is the type of the weights.
template <class F>
struct Points {
  int first;                // the block's first column
  Interval inside;          // of the block's columns, those within the image
  int32_t at[kSpilled];     // the upper left neighbour's place in its plane
  int32_t right[kSpilled];  // how far the right neighbour is: 1, or 0 at the edge
  int32_t down[kSpilled];   // and the one below: the width, or 0
  F dx[kSpilled], dy[kSpilled];
  F slope_x[kSpilled], slope_y[kSpilled];  // how the point moves with the magnitude
  Interval straight{0, 0};  // of `inside`, where neighbours are neighbours in memory too

  template <bool with_slope = false>
  void find(const Affine& affine, int y, int first_, int last, int width, int height) {
    const Matrix& m = affine.matrix;
    const double v = y + 0.5;
    double sx[kBlock], sy[kBlock];
    first = first_;
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
      dx[i] = static_cast<F>(x - column);
      dy[i] = static_cast<F>(z - row);
      const int x0 = std::max(column, 0), y0 = std::max(row, 0);
      at[i] = y0 * width + x0;
      right[i] = std::min(column + 1, width - 1) - x0;
      down[i] = (std::min(row + 1, height - 1) - y0) * width;
    }
    if constexpr (with_slope) {
      const Matrix& s = affine.slope;
      for (int i = inside.first; i < inside.last; ++i) {
        const double u = first + i + 0.5;
        slope_x[i] = static_cast<F>(s.a * u + s.b * v + s.c);
        slope_y[i] = static_cast<F>(s.d * u + s.e * v + s.f);
      }
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
  // whose memory accesses are consecutive. Where `spill` allows it and the plane is long enough,
  // that loop runs on to a multiple of kLanes: short rows would else be mostly remainder.
  template <bool spill, class One>
  PYAUG_LANE void each(int64_t area, const One& one) const {
    if (!straight.empty()) {
      const int begin = straight.first;
      const int32_t start = at[begin], below = down[begin];
      const int whole = (straight.count() + kLanes - 1) / kLanes * kLanes;
      const auto run = [&](int count) {
        for (int i = 0; i < count; ++i) one(begin + i, start + i, 1, below);
      };
      if (spill && int64_t{start} + whole + below < area)
        run(whole);
      else
        run(straight.count());
    }
    for (int i = inside.first; i < straight.first; ++i) one(i, at[i], right[i], down[i]);
    for (int i = straight.last; i < inside.last; ++i) one(i, at[i], right[i], down[i]);
  }

  // Floor for |t| < 2^31, in instructions that every vector unit has.
  PYAUG_LANE static int down_to(double t) {
    const int whole = static_cast<int>(t);
    return whole - (t < whole ? 1 : 0);
  }
};

// value[i] before the clamp, and dt / d magnitude, for the points' block of a plane.
template <bool with_slope, class T, class F>
PYAUG_LANE void bilinear_values(const Points<F>& points, const T* plane, int64_t area, int count,
                                double fill, F* __restrict value, F* __restrict slope) {
  const auto fill_in = [&](int from, int to) {
    std::fill(value + from, value + to, F(fill));
    if (with_slope) std::fill(slope + from, slope + to, F(0));
  };
  points.template each<true>(
      area, [&](int i, int32_t at, int32_t right, int32_t down) __attribute__((always_inline)) {
        const T* p = plane + at;
        const F v00 = static_cast<F>(p[0]), v01 = static_cast<F>(p[right]);
        const F v10 = static_cast<F>(p[down]), v11 = static_cast<F>(p[down + right]);
        const F dx = points.dx[i], dy = points.dy[i];
        value[i] = between(between(v00, v01, dx), between(v10, v11, dx), dy);
        if constexpr (with_slope) {
          const F along_x = between(v01 - v00, v11 - v10, dy);
          const F along_y = between(v10 - v00, v11 - v01, dx);
          slope[i] = along_x * points.slope_x[i] + along_y * points.slope_y[i];
        }
      });
  fill_in(0, points.inside.first);
  fill_in(points.inside.last, count);
}

// The adjoint: every point gives its gradient g[i] to its four neighbours, by these weights.
template <class F>
struct Shares {
  F upper_left[kBlock], upper_right[kBlock], lower_left[kBlock], lower_right[kBlock];

  explicit Shares(const Points<F>& points) {
    for (int i = points.inside.first; i < points.inside.last; ++i) {
      const F dx = points.dx[i], dy = points.dy[i];
      upper_left[i] = (F(1) - dx) * (F(1) - dy);
      upper_right[i] = dx * (F(1) - dy);
      lower_left[i] = (F(1) - dx) * dy;
      lower_right[i] = dx * dy;
    }
  }

  // A loop for each neighbour, so that a sum seldom waits for the one before.
  PYAUG_LANE void scatter(const Points<F>& points, const F* g, F* __restrict plane) const {
    const auto give = [&](const F* share, const auto& place) __attribute__((always_inline)) {
      points.template each<false>(
          0, [&](int i, int at, int right, int down) __attribute__((always_inline)) {
            plane[place(at, right, down)] += share[i] * g[i];
          });
    };
    give(upper_left, [](int at, int, int) { return at; });
    give(upper_right, [](int at, int right, int) { return at + right; });
    give(lower_left, [](int at, int, int down) { return at + down; });
    give(lower_right, [](int at, int right, int down) { return at + right + down; });
  }
};

// The three channels of a pixel side by side, so that one access fetches them all, or adds to all.
// Where neighbours are neighbours in memory, planes are quicker.
template <class F>
struct Quads {
  typedef F Quad __attribute__((vector_size(4 * sizeof(F))));

  template <class T>
  static bool serve(const Image<T>& image, const Affine& affine) {
    return image.channels == 3 && (affine.matrix.a != 1.0 || affine.matrix.d != 0.0);
  }
  template <class T>
  static void join(const Image<T>& image, Quad* to) {
    const int64_t area = image.area();
    const T *r = image.pixels, *g = r + area, *b = g + area;
    for (int64_t i = 0; i < area; ++i)
      to[i] = Quad{static_cast<F>(r[i]), static_cast<F>(g[i]), static_cast<F>(b[i]), F(0)};
  }

  // bilinear_values for the points inside.
  template <bool with_slope>
  static void values(const Points<F>& points, const Quad* pixels, Quad* value, Quad* slope) {
    for (int i = points.inside.first; i < points.inside.last; ++i) {
      const Quad* p = pixels + points.at[i];
      const int right = points.right[i], down = points.down[i];
      const Quad v00 = p[0], v01 = p[right], v10 = p[down], v11 = p[down + right];
      const F x = points.dx[i], y = points.dy[i];
      const Quad dx{x, x, x, x}, dy{y, y, y, y};
      value[i] = between(between(v00, v01, dx), between(v10, v11, dx), dy);
      if constexpr (with_slope)
        slope[i] = between(v01 - v00, v11 - v10, dy) * points.slope_x[i] +
                   between(v10 - v00, v11 - v01, dx) * points.slope_y[i];
    }
  }
  // Shares::scatter for the points inside.
  static void scatter(const Points<F>& points, const Quad* g, Quad* pixels) {
    const Shares<F> shares(points);
    for (int i = points.inside.first; i < points.inside.last; ++i) {
      Quad* p = pixels + points.at[i];
      const int right = points.right[i], down = points.down[i];
      p[0] += shares.upper_left[i] * g[i];
      p[right] += shares.upper_right[i] * g[i];
      p[down] += shares.lower_left[i] * g[i];
      p[down + right] += shares.lower_right[i] * g[i];
    }
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
    const int low = Points<double>::down_to(t - 0.5);
    way = (t - 0.5) - low;
    first = std::max(low, 0);
    step = std::min(low + 1, size - 1) - first;
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
    const Picker lefts(left + skip, count), rights(right + skip, count);
    double rows[2][kMaxChannels][kBlock];
    int held[2] = {-1, -1};
    const auto row = [&](int y, int other) {
      for (int k : {0, 1})
        if (held[k] == y) return k;
      const int k = held[0] == other ? 1 : 0;
      for (int c = 0; c < image.channels; ++c) {
        uint8_t a[kBlock], b[kBlock];
        const uint8_t* in = image.pixels + image.index(c, y, 0);
        lefts(in, width, a);
        rights(in, width, b);
        between_columns(a, b, dx + skip, count, rows[k][c]);
      }
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
        if (within) between_rows(rows[top][c], rows[bottom][c], dy, count, to + here.first);
        std::fill(to + here.last, to + end, clip_byte(fill[c]));
      }
    }
  });
}

inline void bilinear_bytes(const Image<uint8_t>& image, const Affine& affine, const double* fill,
                           uint8_t* out) {
  const int64_t area = image.area();
  Points<double> points;
  double value[kSpilled];
  for (int y = 0; y < image.height; ++y)
    each_row_block(image.width, [&](int first, int last) {
      points.find(affine, y, first, last, image.width, image.height);
      for (int c = 0; c < image.channels; ++c) {
        bilinear_values<false>(points, image.pixels + c * area, area, last - first, fill[c], value,
                               static_cast<double*>(nullptr));
        uint8_t* to = out + image.index(c, y, first);
        for (int i = 0; i < last - first; ++i) to[i] = clip_byte(value[i]);
      }
    });
}

}  // namespace pyaug::inline PYAUG_ISA
