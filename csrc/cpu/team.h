// The team of a CPU: one thread that works on whole rows and planes, in loops that the compiler
// vectorises.
#pragma once

#include <utility>

#include "../step.h"
#include "bilinear.h"
#include "blend.h"
#include "histogram.h"
#include "look_up.h"
#include "nearest.h"
#include "sum.h"
#include "values.h"

namespace pyaug::inline PYAUG_ISA {

// One step on bytes, whole images at a time.
template <class Op>
bool run_bytes(const Image<uint8_t> image, const typename Op::Parameters& parameters, Room& room,
               uint8_t* const out) {
  const typename Op::Parameters p = parameters;  // a store to bytes may alias anything else
  const int64_t area = image.area();
  if constexpr (Warping<Op>) {
    if (!p.bilinear) return nearest_rows(image, p.affine, p.fill, room, out);
    if (p.affine.path == Affine::kSeparable)
      bilinear_separable(image, p.affine, p.fill, out);
    else
      bilinear_bytes(image, p.affine, p.fill, out);
  } else if constexpr (Rearranging<Op>) {
    if constexpr (Op::info.square)
      turn(image, p, out);
    else
      rearrange_rows(image, p, out);
  } else if constexpr (std::is_same_v<Op, Cutout>) {
    cut_rows(image, p, out);
  } else if constexpr (std::is_same_v<Op, SamplePairing>) {
    const uint8_t* partner = static_cast<const uint8_t*>(p.partner);
    const Blend blend(static_cast<float>(p.weight));
    blend(image.pixels, partner, image.size(), out);
  } else if constexpr (std::is_same_v<Op, Identity>) {
    std::memcpy(out, image.pixels, static_cast<size_t>(image.size()));
  } else if constexpr (requires { Op::flat(p); }) {
    const Blend blend(static_cast<float>(p.factor));
    blend(static_cast<uint8_t>(Op::flat(p)), image.pixels, image.size(), out);
  } else if constexpr (OfPoints<Op>) {
    for (int c = 0; c < image.channels; ++c) {
      const uint8_t* in = image.pixels + c * area;
      uint8_t* to = out + c * area;
      if constexpr (Op::tabulated) {
        uint8_t table[256];
        for (int v = 0; v < 256; ++v) table[v] = Op::exact_point(static_cast<uint8_t>(v), p, c);
        look_up(table, in, area, to);
      } else {
        each_block(image, [&](int64_t first, int count) {
          for (int i = 0; i < count; i += 64) fetch_ahead(in + first + i, to + first + i);
          for (int i = 0; i < count; ++i) to[first + i] = Op::exact_point(in[first + i], p, c);
        });
      }
    }
  } else if constexpr (std::is_same_v<Op, Color>) {
    const uint8_t *r = image.pixels, *g = r + area, *b = g + area;
    const uint8_t* const in[3] = {r, g, b};
    uint8_t* const to[3] = {out, out + area, out + 2 * area};
    const Blend blend(static_cast<float>(p.factor));
    if (image.channels == 1)  // its own luma
      blend(r, r, area, out);
    else
      color_row(in, blend, area, to);
  } else if constexpr (Filtering<Op>) {
    for (int c = 0; c < image.channels; ++c)
      filter_plane<typename Op::Stencil>(image.pixels + c * area, image.height, image.width,
                                         out + c * area);
  } else {
    static_assert(std::is_same_v<Op, Sharpness>);
    const Blend blend(static_cast<float>(p.factor));
    for (int c = 0; c < image.channels; ++c) {
      const uint8_t* plane = image.pixels + c * area;
      uint8_t* to = out + c * area;
      filter_plane<SmoothStencil>(plane, image.height, image.width, to);
      blend(to, plane, area, to);
    }
  }
  return true;
}

class RowTeam : public SerialTeam {
 public:
  static constexpr bool whole_rows = true;  // program.h and mixture.h leave the loops to it

  // Around the terms of a mixture, which share an image and the gradient to it.
  void begin_terms() {
    rooms_.one_image_comes();
    returned_.start();
  }
  template <class F>
  void end_terms(const Image<F>& shape, F* grad) {
    rooms_.others_come();
    returned_.finish(shape.channels, Framed{shape.width, shape.height}, grad);
  }

  // core/team.h's count.
  template <class T, class Bin>
  void count(const T* plane, int64_t n, int first, const Bin& bin) {
#ifdef __AVX512VBMI__
    if constexpr (is_exact<T>) {
      count_pixels(plane, n, histogram() + first);
    } else {
      constexpr int64_t most = 8192;
      uint8_t bins[most];
      for (int64_t start = 0; start < n; start += most) {
        const int64_t here = std::min(most, n - start);
        for (int64_t i = 0; i < here; ++i) bins[i] = static_cast<uint8_t>(bin(plane[start + i]));
        count_pixels(bins, here, histogram() + first);
      }
    }
#else
    SerialTeam::count(plane, n, first, bin);
#endif
  }

  // The sum of all pixels' luma.
  int64_t total_luma(const Image<uint8_t>& image) const {
    const uint8_t *r = image.pixels, *g = r + image.area(), *b = g + image.area();
    int64_t total = 0;
    each_block(image, [&](int64_t first, int count) {
      uint8_t lumas[kBlock];
      if (image.channels == 3) luma_row(r + first, g + first, b + first, count, lumas);
      const uint8_t* const d = image.channels == 3 ? lumas : r + first;
      total += sum_of_bytes(d, count);
    });
    return total;
  }

  template <class T>
  static constexpr bool runs = true;
  // One step of a program; false where only the walk over pixels knows how.
  template <class Op, class T>
  bool run(const Image<T>& image, const typename Op::Parameters& p, T* out) {
    if constexpr (is_exact<T>) {
      return run_bytes<Op>(image, p, rooms_.plain, out);
    } else {
      using F = Compute<T>;
      const int64_t area = image.area();
      each_run<Op, false>(image, p, rooms_, [&](Run run, const F* value, const F*, const auto&...) {
        T* to = out + run.c * area + run.first;
        for (int i = 0; i < run.count; ++i) to[i] = static_cast<T>(clamp_unit(value[i]));
      });
      return true;
    }
  }

  // sum += weight * clamped value.
  template <class Op, class T>
  void add(const Image<T>& image, const typename Op::Parameters& p, Compute<T> weight,
           Compute<T>* sum) {
    using F = Compute<T>;
    const int64_t area = image.area();
    each_run<Op, false>(image, p, rooms_, [&](Run run, const F* value, const F*, const auto&...) {
      F* to = sum + run.c * area + run.first;
      for (int i = 0; i < run.count; ++i) to[i] += weight * clamp_unit(value[i]);
    });
  }

  // step.h's pull_back, by runs. What a run gives to the input without asking other runs goes to
  // `grad` at once, if there is one: g then is not written.
  template <class Op, bool with_loss, class T, class Incoming>
  StepSums pull_back(const Image<T>& image, const typename Op::Parameters& parameters,
                     const Incoming& incoming, Compute<T> scale, Compute<T>* g, Compute<T>* grad) {
    using F = Compute<T>;
    constexpr bool with_slope = Op::info.magnitude_gradient == Gradient::exact;
    constexpr bool with_total = Op::info.magnitude_gradient == Gradient::straight_through ||
                                std::is_same_v<Op, Contrast>;  // nobody else asks for it
    const typename Op::Parameters p = parameters;
    const int64_t area = image.area();
    Sum loss, gradient, magnitude;
    bool added = false;
    Rows<F> all;
    if constexpr (Warping<Op>)
      if (image.channels == 1) std::fill(all[1], all[1] + 2 * kBlock, F(0));
    each_run<Op, with_slope>(
        image, p, rooms_, [&](Run run, const F* value, const F* slope, const auto&... points) {
          const int64_t start = run.c * area + run.first;
          F* const passed = all[Warping<Op> ? run.c : 0];
          F lost[kBlock];
          for (int i = 0; i < run.count; ++i) {
            const F arriving = incoming(start + i), through = scale * arriving;
            passed[i] = (value[i] >= F(0)) & (value[i] <= F(1)) ? through : F(0);
            if constexpr (with_loss) lost[i] = arriving * clamp_unit(value[i]);
          }
          if constexpr (with_total) gradient.add(passed, run.count);
          if constexpr (with_loss) loss.add(lost, run.count);
          if constexpr (with_slope) magnitude.add_products(passed, slope, run.count);
          if constexpr (sizeof...(points) > 0) {
            added = grad != nullptr;
            if (added && run.c + 1 == image.channels)
              returned_.scatter(points..., all, image.channels);
          } else if (grad) {
            added = give<Op>(image, p, run, passed, grad + run.c * area);
          }
          if (!added) std::copy(passed, passed + run.count, g + start);
        });
    return {loss.total(), gradient.total(), magnitude.total(), added};
  }

  // grad += what the input receives.
  template <class Op, class T>
  void add_adjoint(const Image<T>& image, const typename Op::Parameters& p,
                   const Image<Compute<T>>& g, double total, Compute<T>* grad) {
    using F = Compute<T>;
    const int64_t area = image.area();
    if constexpr (Warping<Op>) {
      if (p.bilinear) {
        Points<F> points;
        Rows<F> rows = {};
        returned_.start();
        each_part(image.width, image.height, [&](const Part& part) {
          points.template find<false>(p.affine, part, image.width, image.height);
          for (int c = 0; c < image.channels; ++c) {
            const F* from = g.pixels + image.index(c, part.y, part.first);
            std::copy(from, from + part.count(), rows[c]);
          }
          returned_.scatter(points, rows, image.channels);
        });
        returned_.finish(image.channels, Framed{image.width, image.height}, grad);
      } else {
        each_pixel(image, [&](Position& at) {
          grad[image.index(at.c, at.y, at.x)] += Op::adjoint(image, p, g, total, at);
        });
      }
    } else {
      each_run_of_adjoint<Op>(image, p, g, total, rooms_.plain, [&](Run run, const F* value) {
        F* to = grad + run.c * area + run.first;
        for (int i = 0; i < run.count; ++i) to[i] += value[i];
      });
    }
  }

 private:
  // Adds to a plane what a run's gradients give to the input; false where that takes other runs'.
  template <class Op, class T>
  static bool give(const Image<T>& image, const typename Op::Parameters& p, Run run,
                   const Compute<T>* g, Compute<T>* plane) {
    using F = Compute<T>;
    const T* in = image.pixels + run.c * image.area() + run.first;
    F* to = plane + run.first;
    if constexpr (requires { Op::gain_point(F(0), p, 0); }) {
      for (int i = 0; i < run.count; ++i)
        to[i] += g[i] * Op::gain_point(static_cast<F>(in[i]), p, run.c);
    } else if constexpr (std::is_same_v<Op, SamplePairing>) {
      for (int i = 0; i < run.count; ++i) to[i] += F(1 - p.weight) * g[i];
    } else {
      return false;
    }
    return true;
  }

  Rooms rooms_;
  Returned returned_;
};

}  // namespace pyaug::inline PYAUG_ISA
