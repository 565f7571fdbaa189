// Operations on float pixels, run by run: the values before the clamp, their slopes, and what the
// input receives from a gradient. The formulas are the operations' own.
#pragma once

#include <type_traits>

#include "../ops/ops.h"
#include "look_up.h"
#include "stencils.h"
#include "warps.h"

namespace pyaug::inline PYAUG_ISA {

// Runs whose values need nothing but a walk over pixels: where no better way is worth its code.
template <class Op, bool with_slope, class T, class Use>
void each_run_by_pixels(const Image<T>& image, const typename Op::Parameters& p, const Use& use) {
  Compute<T> value[kBlock], slope[kBlock];
  Position at;
  for (at.c = 0; at.c < image.channels; ++at.c)
    for (at.y = 0; at.y < image.height; ++at.y)
      each_row_block(image.width, [&](int first, int last) {
        for (at.x = first; at.x < last; ++at.x) {
          value[at.x - first] = Op::value(image, p, at);
          if constexpr (with_slope) slope[at.x - first] = Op::slope(image, p, at);
        }
        use(Run{at.c, image.index(0, at.y, first), last - first}, value, slope);
      });
}

// What a thread keeps beside an image.
class Rooms {
 public:
  Room plain;

  // Until `others_come`, all operations are on the same image, which nobody writes to.
  void one_image_comes() {
    lasts_ = true;
    planes_.of = quads_.of = nullptr;
  }
  void others_come() { lasts_ = false; }

  // The image in a frame, as planes and as quads.
  template <class F, class T>
  const F* planes(const Image<T>& image) {
    return planes_.kept<F>(image, lasts_, Source<F>::template planes<T>);
  }
  template <class F, class T>
  const Quad<F>* quads(const Image<T>& image) {
    return quads_.kept<Quad<F>>(image, lasts_, Source<F>::template quads<T>);
  }

 private:
  struct Copy {
    Room room;
    const void* of = nullptr;
    const void* first = nullptr;

    template <class V, class T, class Make>
    const V* kept(const Image<T>& image, bool lasts, const Make& make) {
      if (!lasts || of != image.pixels) first = make(image, room);
      of = image.pixels;
      return static_cast<const V*>(first);
    }
  };

  Copy planes_, quads_;
  bool lasts_ = false;
};

template <class Op, bool with_slope, class T, class Use>
void each_run_of_warp(const Image<T>& image, const typename Op::Parameters& p, Rooms& rooms,
                      const Use& use) {
  using F = Compute<T>;
  if (!p.bilinear) return each_run_by_pixels<Op, with_slope>(image, p, use);
  Points<F> points;
  F value[kBlock], slope[kBlock];
  Quad<F> values[kBlock], slopes[kBlock];
  const F* planes = nullptr;
  const Quad<F>* quads = nullptr;
  each_part(image.width, image.height, [&](const Part& part) {
    points.template find<with_slope>(p.affine, part, image.width, image.height);
    if (points.straight) {
      if (!planes) planes = rooms.planes<F>(image);
    } else {
      if (!quads) quads = rooms.quads<F>(image);
      quad_values<with_slope>(points, quads, values, slopes);
    }
    for (int c = 0; c < image.channels; ++c) {
      const F fill = F(p.fill[c]);
      if (points.straight) {
        straight_values<with_slope>(points, planes + c * points.framed.area(), fill, value, slope);
      } else {
        channel_of(values, c, points, fill, value);
        if constexpr (with_slope) channel_of(slopes, c, points, F(0), slope);
      }
      use(Run{c, image.index(0, part.y, part.first), part.count()}, value, slope, points);
    }
  });
}

template <class T, class Use>
void each_run_rearranged(const Image<T>& image, const Rearrangement& p, const Use& use) {
  using F = Compute<T>;
  F value[kBlock];
  const int64_t step = int64_t{p.d} * image.width + p.a;
  for (int c = 0; c < image.channels; ++c)
    each_part(image.width, image.height, [&](const Part& part) {
      const int last = part.first + part.columns;
      for (int y = part.y; y < part.y + part.rows; ++y) {
        const int64_t u = int64_t{p.b} * y + p.c, v = int64_t{p.e} * y + p.f;
        Interval inside{part.first, last};
        inside.clip(u, p.a, image.width);
        inside.clip(v, p.d, image.height);
        if (inside.empty()) inside = {part.first, part.first};
        const T* from = image.pixels + c * image.area() + v * image.width + u + step * inside.first;
        F* const row = value + (y - part.y) * part.columns;
        F* const to = row + (inside.first - part.first);
        std::fill(row, to, F(p.fill[c]));
        const auto move = [&](int64_t by) {
          for (int i = 0; i < inside.count(); ++i) to[i] = static_cast<F>(from[by * i]);
        };
        step == 1 ? move(1) : step == -1 ? move(-1) : move(step);
        std::fill(to + inside.count(), row + part.columns, F(p.fill[c]));
      }
      use(Run{c, image.index(0, part.y, part.first), part.count()}, value, value);
    });
}

template <class T, class Use>
void each_run_cut(const Image<T>& image, const Cutout::Parameters& p, const Use& use) {
  using F = Compute<T>;
  F value[kBlock];
  for (int c = 0; c < image.channels; ++c)
    each_part(image.width, image.height, [&](const Part& part) {
      const int64_t start = image.index(0, part.y, part.first);
      const T* in = image.pixels + c * image.area() + start;
      for (int i = 0; i < part.count(); ++i) value[i] = static_cast<F>(in[i]);
      const int left = std::clamp(p.x0 - part.first, 0, part.columns);
      const int right = std::clamp(p.x1 - part.first, left, part.columns);
      for (int y = std::max(p.y0, part.y); y < std::min(p.y1, part.y + part.rows); ++y) {
        F* const row = value + (y - part.y) * part.columns;
        std::fill(row + left, row + right, F(p.fill[c]));
      }
      use(Run{c, start, part.count()}, value, value);
    });
}

// d of an enhancer at the pixels of a run.
template <class Op, class T>
PYAUG_LANE void degenerate(const Image<T>& image, const typename Op::Parameters& p, Run run,
                           Compute<T>* d) {
  if constexpr (std::is_same_v<Op, Color>)
    for (int i = 0; i < run.count; ++i) d[i] = luma(image, run.first + i);
  else if constexpr (std::is_same_v<Op, Sharpness>)
    filter<SmoothStencil>(image.pixels + run.c * image.area(), image.height, image.width, run.first,
                          run.count, d);
  else
    std::fill(d, d + run.count, Compute<T>(Op::flat(p)));
}

// use(run, value, slope) for all pixels; `slope` is valid where with_slope asks for it. A bilinear
// warp adds the points that the values come from.
template <class Op, bool with_slope, class T, class Use>
void each_run(const Image<T>& image, const typename Op::Parameters& parameters, Rooms& rooms,
              const Use& use) {
  using F = Compute<T>;
  const typename Op::Parameters p = parameters;
  if constexpr (Warping<Op>) {
    each_run_of_warp<Op, with_slope>(image, p, rooms, use);
  } else if constexpr (Rearranging<Op>) {
    each_run_rearranged(image, p, use);
  } else if constexpr (std::is_same_v<Op, Cutout>) {
    each_run_cut(image, p, use);
  } else {
    F value[kBlock], slope[kBlock];
    for (int c = 0; c < image.channels; ++c)
      each_block(image, [&](int64_t first, int count) {
        const T* in = image.pixels + c * image.area() + first;
        if constexpr (std::is_same_v<Op, Identity> && std::is_same_v<T, F>) {
          return use(Run{c, first, count}, in, slope);
        } else if constexpr (Enhancing<Op>) {
          const F factor = F(p.factor);
          degenerate<Op>(image, p, {c, first, count}, slope);
          for (int i = 0; i < count; ++i) {
            const F v = static_cast<F>(in[i]), d = slope[i];
            value[i] = Op::mixed(d, v, factor);
            slope[i] = v - d;
          }
        } else if constexpr (std::is_same_v<Op, SamplePairing>) {
          const T* other = static_cast<const T*>(p.partner) + c * image.area() + first;
          const F weight = F(p.weight);
          for (int i = 0; i < count; ++i) {
            const F v = static_cast<F>(in[i]);
            slope[i] = static_cast<F>(other[i]) - v;
            value[i] = v + weight * slope[i];
          }
        } else if constexpr (Filtering<Op>) {
          filter<typename Op::Stencil>(image.pixels + c * image.area(), image.height, image.width,
                                       first, count, value);
        } else if constexpr (std::is_same_v<Op, Equalize>) {
          uint8_t levels[kBlock];
          for (int i = 0; i < count; ++i)
            levels[i] = static_cast<uint8_t>(level(static_cast<F>(in[i])));
          look_up(p.table[c], levels, count, levels);
          for (int i = 0; i < count; ++i) value[i] = of_level<F>(levels[i]);
        } else {
          for (int i = 0; i < count; ++i) value[i] = Op::value_point(static_cast<F>(in[i]), p, c);
          if constexpr (with_slope)
            for (int i = 0; i < count; ++i) slope[i] = Op::slope_point(static_cast<F>(in[i]), p, c);
        }
        use(Run{c, first, count}, value, slope);
      });
  }
}

// The stencils' adjoint is the stencil itself on what the interior received; the border keeps its
// own. `room` holds a plane whose border is zero: so is then what lies beyond the end of a row.
template <class Stencil, class F, class Use>
void each_run_of_filter_adjoint(const Image<F>& g, Room& room, const Use& use) {
  constexpr int radius = Stencil::radius;
  const int64_t width = g.width, height = g.height, area = g.area();
  const int64_t reach = radius * (width + 1);
  F* const all = room.of<F>(area + 2 * reach);
  F* const inner = all + reach;
  std::fill(all, all + area + 2 * reach, F(0));
  F value[kBlock];
  for (int c = 0; c < g.channels; ++c) {
    const F* plane = g.pixels + c * area;
    for (int64_t y = radius; y < height - radius; ++y)
      for (int64_t x = radius; x < width - radius; ++x) inner[y * width + x] = plane[y * width + x];
    each_block(g, [&](int64_t first, int count) {
      for (int i = 0; i < count; ++i) value[i] = filtered<Stencil>(inner + first + i, width);
      const int64_t last = first + count;
      const int64_t from = std::clamp(radius * width, first, last);
      const int64_t to = std::clamp((height - radius) * width, from, last);
      for (int64_t i = first; i < from; ++i) value[i - first] += plane[i];
      for (int64_t i = to; i < last; ++i) value[i - first] += plane[i];
      const auto keep = [&](int64_t i) {
        if (i >= from && i < to) value[i - first] += plane[i];
      };
      for (int64_t row = from / width * width; row < to; row += width) {
        for (int64_t x = 0; x < std::min<int64_t>(radius, width); ++x) keep(row + x);
        for (int64_t x = std::max<int64_t>(width - radius, radius); x < width; ++x) keep(row + x);
      }
      use(Run{c, first, count}, value);
    });
  }
}

// use(run, value): what the input receives, given g = d loss / dt and the sum of it. Warps take
// another way: Returned::scatter.
template <class Op, class T, class Use>
void each_run_of_adjoint(const Image<T>& image, const typename Op::Parameters& parameters,
                         const Image<Compute<T>>& g, double total, Room& room, const Use& use) {
  using F = Compute<T>;
  const typename Op::Parameters p = parameters;
  if constexpr (Rearranging<Op>) {
    const Rearrangement back{p.a, p.d, -(p.a * p.c + p.d * p.f), p.b, p.e, -(p.b * p.c + p.e * p.f),
                             {}};
    each_run_rearranged(g, back, [&](Run run, const F* value, F*) { use(run, value); });
  } else if constexpr (std::is_same_v<Op, Cutout>) {
    Cutout::Parameters cut = p;
    std::fill(cut.fill, cut.fill + kMaxChannels, 0.0);
    each_run_cut(g, cut, [&](Run run, const F* value, F*) { use(run, value); });
  } else if constexpr (Filtering<Op>) {
    each_run_of_filter_adjoint<typename Op::Stencil>(g, room, use);
  } else if constexpr (std::is_same_v<Op, Sharpness>) {
    const F factor = F(p.factor);
    each_run_of_filter_adjoint<SmoothStencil>(g, room, [&](Run run, F* value) {
      const F* own = g.pixels + run.c * g.area() + run.first;
      for (int i = 0; i < run.count; ++i) value[i] = factor * own[i] + (F(1) - factor) * value[i];
      use(run, value);
    });
  } else {
    F value[kBlock];
    for (int c = 0; c < image.channels; ++c)
      each_block(image, [&](int64_t first, int count) {
        const T* in = image.pixels + c * image.area() + first;
        const F* own = g.pixels + c * image.area() + first;
        if constexpr (Enhancing<Op>) {
          const F factor = F(p.factor), rest = F(1) - factor;
          F share(0);
          if constexpr (std::is_same_v<Op, Contrast>)
            share =
                luma_weight<F>(image.channels, c) * F(total / static_cast<double>(image.area()));
          std::fill(value, value + count, share);
          if constexpr (std::is_same_v<Op, Color>) {
            std::fill(value, value + count, F(0));
            for (int k = 0; k < image.channels; ++k)
              for (int i = 0; i < count; ++i) value[i] += g.pixels[k * image.area() + first + i];
            const F weight = luma_weight<F>(image.channels, c);
            for (int i = 0; i < count; ++i) value[i] *= weight;
          }
          for (int i = 0; i < count; ++i) value[i] = factor * own[i] + rest * value[i];
        } else if constexpr (std::is_same_v<Op, SamplePairing>) {
          const F rest = F(1 - p.weight);
          for (int i = 0; i < count; ++i) value[i] = rest * own[i];
        } else {
          for (int i = 0; i < count; ++i)
            value[i] = own[i] * Op::gain_point(static_cast<F>(in[i]), p, c);
        }
        use(Run{c, first, count}, value);
      });
  }
}

}  // namespace pyaug::inline PYAUG_ISA
