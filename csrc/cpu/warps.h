// The bilinear rule on floats: where pixels come from is found once for all channels, for several
// rows at a time, as a short row is over before a processor is under way. A frame around the image
// repeats its border, so that all four neighbours of a point are there, at fixed distances.
#pragma once

#include <utility>

#include "../ops/warp.h"
#include "blocks.h"

namespace pyaug::inline PYAUG_ISA {

// Whole rows of a plane, or a part of one: at most kBlock pixels.
struct Part {
  int y, first, rows, columns;

  int count() const { return rows * columns; }
};

template <class Use>
PYAUG_LANE void each_part(int width, int height, const Use& use) {
  const int rows = std::max(1, kBlock / width);
  for (int y = 0; y < height; y += rows)
    each_row_block(width, [&](int first, int last) {
      use(Part{y, first, std::min(rows, height - y), last - first});
    });
}

// An image within its frame: the place of pixel (x, y) is y * stride + x from the first pixel on.
struct Framed {
  int width, height;

  int64_t stride() const { return width + 2; }
  int64_t area() const { return stride() * (height + 2); }
  int64_t first() const { return stride() + 1; }
};

// Floor for |t| < 2^31: SSE2 has no instruction for it.
PYAUG_LANE double down_to(double t) {
#if defined(__SSE2__) && !defined(__SSE4_1__)
  const int whole = static_cast<int>(t);
  return whole - (t < whole ? 1 : 0);
#else
  return __builtin_floor(t);
#endif
}

// The points that a part of an image comes from. F is the type of the weights.
template <class F>
struct Points {
  // Of a row that comes from a row, all its points by the same way.
  struct Row {
    int32_t place;  // where the neighbours of the first point are, or would be
    int begin;      // level: of its points in `inside` and `dx`; rows that are alike share them
    bool inside;    // upright
    F dy, slope;
  };

  Part part;
  Framed framed;
  bool level, upright;  // whether all keep their row, or their column, whatever the magnitude
  bool straight;        // whether one of these holds, and rows come from rows
  Row row[kBlock];
  // If level or not straight. 0 for points outside, whose neighbours are any pixels, else -1.
  int32_t inside[kBlock];
  F dx[kBlock];  // unless upright alone
  // If not straight.
  int32_t at[kBlock];  // the upper left neighbour's place
  F dy[kBlock];
  F slope_x[kBlock], slope_y[kBlock];  // how the point moves with the magnitude

  template <bool with_slope>
  void find(const Affine& affine, const Part& which, int width, int height) {
    part = which;
    framed = {width, height};
    const Matrix &m = affine.matrix, &s = affine.slope;
    const auto zeros = [](const auto&... values) { return ((values == 0.0) && ...); };
    level = zeros(m.d, m.e - 1.0, m.f, s.d, s.e, s.f);
    upright = zeros(m.a - 1.0, m.b, m.c, s.a, s.b, s.c);
    if (level && zeros(m.a - 1.0, s.a))
      straight = find_level(m, s);
    else
      straight = upright && zeros(m.d, s.d);
    if (straight && !level) find_upright(m, s);
    if (!straight) upright ? find_any<with_slope, true>(m, s) : find_any<with_slope, false>(m, s);
  }

 private:
  // False if a row's points do not go by the same way, be it by the rounding of a coordinate.
  bool find_level(const Matrix& m, const Matrix& s) {
    const int width = framed.width;
    const double furthest = width + 1.0;
    const bool alike = m.b == 0.0;
    int32_t bent = 0;
    for (int r = 0; r < part.rows; ++r) {
      const double v = part.y + r + 0.5, first = part.first + 0.5, along = m.b * v;
      const double x = first + along + m.c - 0.5;
      const int column =
          static_cast<int>(down_to(x > -furthest ? (x < furthest ? x : furthest) : -furthest));
      const int begin = alike ? 0 : r * part.columns;
      row[r] = {(part.y + r) * (width + 2) + column, begin, true, F(0),
                static_cast<F>(s.b * v + s.c)};
      if (alike && r > 0) continue;
      for (int k = 0; k < part.columns; ++k) {
        const double sx = first + k + along + m.c, way = sx - 0.5 - (column + k);
        const int32_t in = (sx >= 0.0) & (sx < width) ? -1 : 0;
        const int32_t here = (way >= 0.0) & (way < 1.0) ? -1 : 0;
        bent |= in & ~here;
        inside[begin + k] = in;
        dx[begin + k] = static_cast<F>(here ? way : 0.0);
      }
    }
    return bent == 0;
  }
  void find_upright(const Matrix& m, const Matrix& s) {
    const int width = framed.width, height = framed.height;
    for (int r = 0; r < part.rows; ++r) {
      const double v = part.y + r + 0.5, sy = m.e * v + m.f;
      const double y = held(sy - 0.5, height), line = down_to(y);
      row[r] = {static_cast<int>(line) * (width + 2) + part.first, 0, sy >= 0.0 && sy < height,
                static_cast<F>(y - line), static_cast<F>(s.e * v + s.f)};
    }
  }
  template <bool with_slope, bool keeps_columns>
  void find_any(const Matrix& m, const Matrix& s) {
    const int width = framed.width, height = framed.height, stride = width + 2;
    for (int r = 0; r < part.rows; ++r) {
      const int begin = r * part.columns;
      const double v = part.y + r + 0.5;
      for (int k = 0; k < part.columns; ++k) {
        const double u = part.first + k + 0.5;
        const double sx = keeps_columns ? u : m.a * u + m.b * v + m.c, sy = m.d * u + m.e * v + m.f;
        const double x = keeps_columns ? u - 0.5 : held(sx - 0.5, width),
                     y = held(sy - 0.5, height);
        const double column = keeps_columns ? x : down_to(x), line = down_to(y);
        const int i = begin + k;
        inside[i] =
            (keeps_columns | ((sx >= 0.0) & (sx < width))) & (sy >= 0.0) & (sy < height) ? -1 : 0;
        at[i] = static_cast<int32_t>(line * stride + column);
        dy[i] = static_cast<F>(y - line);
        if constexpr (!keeps_columns) dx[i] = static_cast<F>(x - column);
        if constexpr (with_slope && !keeps_columns)
          slope_x[i] = static_cast<F>(s.a * u + s.b * v + s.c);
        if constexpr (with_slope) slope_y[i] = static_cast<F>(s.d * u + s.e * v + s.f);
      }
    }
  }
  // A coordinate as it is for points inside; NaN becomes the smallest.
  PYAUG_LANE static double held(double t, int size) {
    const double low = t > -0.5 ? t : -0.5;
    return low < size - 0.5 ? low : size - 0.5;
  }
};

// The three channels of a pixel side by side, so that one access fetches them all, or adds to all.
template <class F>
struct QuadOf {
  typedef F Quad __attribute__((vector_size(4 * sizeof(F))));
};
template <class F>
using Quad = typename QuadOf<F>::Quad;
template <class F>
PYAUG_LANE Quad<F> quad(F v) {
  return Quad<F>{v, v, v, v};
}

// V: one value, or those of all channels.
template <class V>
PYAUG_LANE V bilinear_value(V v00, V v01, V v10, V v11, V dx, V dy) {
  return between(between(v00, v01, dx), between(v10, v11, dx), dy);
}
template <class V>
PYAUG_LANE V bilinear_slope(V v00, V v01, V v10, V v11, V dx, V dy, V slope_x, V slope_y) {
  return between(v01 - v00, v11 - v10, dy) * slope_x + between(v10 - v00, v11 - v01, dx) * slope_y;
}

// An image in its frame, as planes or as quads, whichever was asked for.
template <class F>
class Source {
 public:
  template <class T>
  static const F* planes(const Image<T>& image, Room& room) {
    const Framed framed{image.width, image.height};
    F* const all = room.of<F>(image.channels * framed.area());
    for (int c = 0; c < image.channels; ++c) {
      const T* in = image.pixels + c * image.area();
      frame(framed, all + c * framed.area(),
            [=](int64_t i, F* to) __attribute__((always_inline)) { *to = static_cast<F>(in[i]); });
    }
    return all + framed.first();
  }
  template <class T>
  static const Quad<F>* quads(const Image<T>& image, Room& room) {
    const Framed framed{image.width, image.height};
    auto* const all = room.of<Quad<F>>(framed.area());
    const int64_t next = image.channels == 3 ? image.area() : 0;
    const T *a = image.pixels, *b = a + next, *c = b + next;
    frame(framed, all, [=](int64_t i, Quad<F>* to) __attribute__((always_inline)) {
      *to = Quad<F>{static_cast<F>(a[i]), static_cast<F>(b[i]), static_cast<F>(c[i]), F(0)};
    });
    return all + framed.first();
  }

 private:
  template <class V, class Pixel>
  static void frame(const Framed& framed, V* to, const Pixel& pixel) {
    const int64_t width = framed.width, height = framed.height, stride = framed.stride();
    for (int64_t y = 0; y < height; ++y) {
      V* const row = to + (y + 1) * stride + 1;
      for (int64_t x = 0; x < width; ++x) pixel(y * width + x, row + x);
      row[-1] = row[0];
      row[width] = row[width - 1];
    }
    std::copy(to + stride, to + 2 * stride, to);
    std::copy(to + height * stride, to + (height + 1) * stride, to + (height + 1) * stride);
  }
};

// value[c][i] before the clamp and dt / d magnitude, from the planes of an image. Where all points
// keep their row, the neighbours below do not count, and are not read; so those to the right where
// they keep their column.
template <bool with_slope, class F>
void straight_values(const Points<F>& points, const F* plane, F fill, F* __restrict value,
                     F* __restrict slope) {
  const int columns = points.part.columns;
  for (int r = 0; r < points.part.rows; ++r, value += columns, slope += columns) {
    const auto& row = points.row[r];
    const F* const from = plane + row.place;
    const F dy = row.dy, moves = row.slope;
    if (points.level) {
      const F* dx = points.dx + row.begin;
      const int32_t* inside = points.inside + row.begin;
      for (int k = 0; k < columns; ++k) {
        const F v0 = from[k], v1 = from[k + 1];
        value[k] = inside[k] ? between(v0, v1, dx[k]) : fill;
        if constexpr (with_slope) slope[k] = inside[k] ? (v1 - v0) * moves : F(0);
      }
    } else if (row.inside) {
      const F* const below = from + points.framed.stride();
      for (int k = 0; k < columns; ++k) {
        const F v0 = from[k], v1 = below[k];
        value[k] = between(v0, v1, dy);
        if constexpr (with_slope) slope[k] = (v1 - v0) * moves;
      }
    } else {
      std::fill(value, value + columns, fill);
      if constexpr (with_slope) std::fill(slope, slope + columns, F(0));
    }
  }
}

// The same of all channels, from the image's quads.
template <bool with_slope, class F>
void quad_values(const Points<F>& points, const Quad<F>* pixels, Quad<F>* value, Quad<F>* slope) {
  const int64_t stride = points.framed.stride();
  const int count = points.part.count();
  if (points.upright) {
    for (int i = 0; i < count; ++i) {
      const Quad<F> v0 = pixels[points.at[i]], v1 = pixels[points.at[i] + stride];
      value[i] = between(v0, v1, quad(points.dy[i]));
      if constexpr (with_slope) slope[i] = (v1 - v0) * quad(points.slope_y[i]);
    }
    return;
  }
  for (int i = 0; i < count; ++i) {
    const Quad<F>*upper = pixels + points.at[i], *lower = upper + stride;
    const Quad<F> v00 = upper[0], v01 = upper[1], v10 = lower[0], v11 = lower[1];
    const Quad<F> dx = quad(points.dx[i]), dy = quad(points.dy[i]);
    value[i] = bilinear_value(v00, v01, v10, v11, dx, dy);
    if constexpr (with_slope)
      slope[i] = bilinear_slope(v00, v01, v10, v11, dx, dy, quad(points.slope_x[i]),
                                quad(points.slope_y[i]));
  }
}

// One channel of a part's quads, and the fill outside.
template <class F>
void channel_of(const Quad<F>* quads, int c, const Points<F>& points, F fill, F* __restrict to) {
  const F* from = reinterpret_cast<const F*>(quads) + c;
  const int count = points.part.count();
  for (int i = 0; i < count; ++i) {
    const F t = from[4 * i];
    to[i] = points.inside[i] ? t : fill;
  }
}

// Gradients to the values of a part, channel by channel.
template <class F>
using Rows = F[kMaxChannels][kBlock];

// What the warps of one image give to it, summed within a frame, whose part goes to the border at
// the end.
class Returned {
 public:
  void start() { planes_.used = quads_.used = false; }

  template <class F>
  void scatter(const Points<F>& points, Rows<F>& g, int channels) {
    const Framed& framed = points.framed;
    if (points.straight)
      scatter_rows(points, g, channels, framed.area(), planes<F>(channels, framed));
    else
      scatter_quads(points, g, quads<F>(framed));
  }
  template <class F>
  void finish(int channels, const Framed& framed, F* grad) {
    const int64_t width = framed.width, height = framed.height;
    if (planes_.used)
      for (int c = 0; c < channels; ++c) {
        F* const inner = planes<F>(channels, framed) + c * framed.area();
        fold(framed, inner);
        add<1>(framed, inner, grad + c * width * height);
      }
    if (quads_.used) {
      Quad<F>* const inner = quads<F>(framed);
      fold(framed, inner);
      for (int c = 0; c < channels; ++c)
        add<4>(framed, reinterpret_cast<const F*>(inner) + c, grad + c * width * height);
    }
  }

 private:
  struct Sums {
    Room room;
    bool used = false;

    // Zero at first.
    template <class V>
    V* of(int64_t count) {
      V* const all = room.of<V>(count);
      if (!std::exchange(used, true)) std::fill(all, all + count, V{});
      return all;
    }
  };

  template <class F>
  F* planes(int channels, const Framed& framed) {
    return planes_.of<F>(channels * framed.area()) + framed.first();
  }
  template <class F>
  Quad<F>* quads(const Framed& framed) {
    return quads_.of<Quad<F>>(framed.area()) + framed.first();
  }

  template <class F>
  static void scatter_rows(const Points<F>& points, const Rows<F>& g, int channels, int64_t area,
                           F* planes) {
    for (int c = 0; c < channels; ++c)
      points.level ? scatter_level(points, g[c], planes + c * area)
                   : scatter_upright(points, g[c], planes + c * area);
  }
  // What points give to the left and to the right is put down first: a sum that reads what was just
  // added to the pixel before would wait for it.
  template <class F>
  static void scatter_level(const Points<F>& points, const F* g, F* plane) {
    const int rows = points.part.rows, columns = points.part.columns;
    F left[kBlock], right[2 * kBlock];  // one before each row's first
    for (int r = 0; r < rows; ++r) {
      const F *here = g + r * columns, *dx = points.dx + points.row[r].begin;
      const int32_t* inside = points.inside + points.row[r].begin;
      F *const before = left + r * columns, *const after = right + r * (columns + 1);
      after[0] = F(0);
      for (int k = 0; k < columns; ++k) {
        const F own = inside[k] ? here[k] : F(0);
        before[k] = (F(1) - dx[k]) * own;
        after[k + 1] = dx[k] * own;
      }
    }
    for (int r = 0; r < rows; ++r) {
      const F *here = left + r * columns, *before = right + r * (columns + 1);
      F* const __restrict to = plane + points.row[r].place;
      for (int k = 0; k < columns; ++k) to[k] += here[k] + before[k];
      to[columns] += before[columns];
    }
  }
  template <class F>
  static void scatter_upright(const Points<F>& points, const F* g, F* plane) {
    const int columns = points.part.columns;
    for (int r = 0; r < points.part.rows; ++r, g += columns) {
      const auto& row = points.row[r];
      if (!row.inside) continue;
      F* const __restrict upper = plane + row.place, * const lower = upper + points.framed.stride();
      for (int k = 0; k < columns; ++k) {
        upper[k] += (F(1) - row.dy) * g[k];
        lower[k] += row.dy * g[k];
      }
    }
  }
  template <class F>
  static void scatter_quads(const Points<F>& points, Rows<F>& g, Quad<F>* pixels) {
    const int count = points.part.count();
    const int64_t stride = points.framed.stride();
    if (points.upright) {  // nothing to the right
      for (int i = 0; i < count; ++i) {
        const Quad<F> own = points.inside[i] ? Quad<F>{g[0][i], g[1][i], g[2][i], F(0)} : Quad<F>{};
        const F dy = points.dy[i];
        Quad<F>* const upper = pixels + points.at[i];
        upper[0] += (F(1) - dy) * own;
        upper[stride] += dy * own;
      }
      return;
    }
    F upper_left[kBlock], upper_right[kBlock], lower_left[kBlock], lower_right[kBlock];
    for (int i = 0; i < count; ++i) {
      const F dx = points.dx[i], dy = points.dy[i];
      upper_left[i] = (F(1) - dx) * (F(1) - dy);
      upper_right[i] = dx * (F(1) - dy);
      lower_left[i] = (F(1) - dx) * dy;
      lower_right[i] = dx * dy;
      for (F* row : g) row[i] = points.inside[i] ? row[i] : F(0);
    }
    for (int i = 0; i < count; ++i) {
      const Quad<F> own{g[0][i], g[1][i], g[2][i], F(0)};
      Quad<F>*const upper = pixels + points.at[i], *const lower = upper + stride;
      upper[0] += upper_left[i] * own;
      upper[1] += upper_right[i] * own;
      lower[0] += lower_left[i] * own;
      lower[1] += lower_right[i] * own;
    }
  }
  template <int each, class F>
  static void add(const Framed& framed, const F* inner, F* grad) {
    const int64_t width = framed.width;
    for (int64_t y = 0; y < framed.height; ++y) {
      const F* const from = inner + y * framed.stride() * each;
      F* const __restrict to = grad + y * width;
      for (int64_t x = 0; x < width; ++x) to[x] += from[x * each];
    }
  }
  template <class V>
  static void fold(const Framed& framed, V* inner) {
    const int64_t width = framed.width, height = framed.height, stride = framed.stride();
    V* const last = inner + (height - 1) * stride;
    for (int64_t x = -1; x <= width; ++x) {
      inner[x] += inner[x - stride];
      last[x] += last[x + stride];
    }
    for (int64_t y = 0; y < height; ++y) {
      V* const row = inner + y * stride;
      row[0] += row[-1];
      row[width - 1] += row[width];
    }
  }

  Sums planes_, quads_;
};

}  // namespace pyaug::inline PYAUG_ISA
