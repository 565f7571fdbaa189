// One operation on one image: what program.h chains and mixture.h sums.
#pragma once

#include "ops/ops.h"

namespace pyaug::inline PYAUG_ISA {

template <class T>
PYAUG_LANE const T* pixels_of(const Batch<T>& batch, int64_t b) {
  return batch.images + b * batch.pixels();
}

// An image of the batch's size. Made anew for each step: much follows from the size, and what one
// operation needs of it is not to be kept during the others.
template <class T, class P>
PYAUG_LANE Image<P> image_at(const Batch<T>& batch, const P* pixels) {
  return {pixels, of_unknown_origin(batch.channels), of_unknown_origin(batch.height),
          of_unknown_origin(batch.width)};
}

// Which of `count` partners sample_pairing takes.
PYAUG_LANE int64_t partner_row(const float* noise, int64_t count) {
  const int64_t row = static_cast<int64_t>(static_cast<double>(noise[0]) * count);
  return row >= 0 && row < count ? row : 0;
}

// The k-th step of image b.
template <class T>
PYAUG_LANE Step<T> step_of(const Batch<T>& batch, int64_t b, int k) {
  const int64_t bk = b * batch.steps + k;
  const float* four = batch.noise + bk * 4;
  const int64_t partner = partner_row(four, batch.partner_count);
  return {batch.magnitude[bk], four, batch.partners + partner * batch.pixels(), batch.fill,
          batch.bilinear};
}

// What the lanes of a team share while they work on one image.
struct TeamMemory {
  Operations::Parameters parameters;
};

// Prepares Op for an image; its parameters are ready for every lane afterwards. The barrier before
// keeps slow lanes from reading the next operation's parameters in place of the last one's.
template <class Op, class Team, class T>
PYAUG_LANE const typename Op::Parameters& prepare(Team& team, TeamMemory& memory,
                                                  const Image<T>& image, const Step<T>& step) {
  auto& parameters = *reinterpret_cast<typename Op::Parameters*>(memory.parameters.room);
  team.sync();
  Op::prepare(team, image, step, parameters);
  team.sync();
  return parameters;
}

// One output pixel, clamped.
template <class Op, class T, class... Where>
PYAUG_LANE T pixel(const Image<T>& image, const typename Op::Parameters& parameters,
                   Where&&... where) {
  if constexpr (is_exact<T>)
    return Op::exact(image, parameters, where...);
  else
    return static_cast<T>(clamp_unit(Op::value(image, parameters, where...)));
}

// A step pixel by pixel.
template <class Op, class Team, class T>
PYAUG_LANE void walk(Team& team, const Image<T> image, const typename Op::Parameters& parameters,
                     T* const out) {
  if constexpr (requires { typename Op::Place; }) {
    Image<T> plane = image;
    plane.channels = 1;
    team.each_pixel(plane, [&](Position& at) {
      const auto place = Op::locate(image, parameters, at);
      for (int c = 0; c < image.channels; ++c)
        out[image.index(c, at.y, at.x)] = pixel<Op>(image, parameters, place, c);
    });
  } else {
    team.each_pixel(image, [&](Position& at) {
      out[image.index(at.c, at.y, at.x)] = pixel<Op>(image, parameters, at);
    });
  }
}

// A lane returns to the same pixels in every pass, so that sums need no barrier.
template <class Team, class F>
PYAUG_LANE void clear(Team& team, const Image<F>& image, F* pixels) {
  team.each_pixel(image, [&](Position& at) { pixels[image.index(at.c, at.y, at.x)] = F(0); });
}

template <class Team, class T>
PYAUG_LANE void store(Team& team, const Image<T>& image, const Compute<T>* from, T* to) {
  if (static_cast<const void*>(from) == to) return;
  team.each_pixel(image, [&](Position& at) {
    const int64_t i = image.index(at.c, at.y, at.x);
    to[i] = static_cast<T>(from[i]);
  });
}

// What a step's output pixels say together: sums over the image, equal on every lane.
struct StepSums {
  double loss;       // sum of G * clamped t: the gradient to a mixture's weight, if asked for
  double gradient;   // sum of g
  double magnitude;  // gradient to the magnitude
  bool added;        // whether the input has received its share already
};

// Phase one of a step's adjoint. For every output pixel: t again, g = scale * G where the clamp let
// it through and zero elsewhere, written to `g`. `incoming(i)` is G. A team may add what the input
// receives to `grad`, if there is one, on the way. The sums bring a barrier.
template <class Op, bool with_loss, class Team, class T, class Incoming>
PYAUG_LANE StepSums pull_back(Team& team, const Image<T>& image,
                              const typename Op::Parameters& parameters, Incoming incoming,
                              Compute<T> scale, Compute<T>* g, Compute<T>* grad = nullptr) {
  using F = Compute<T>;
  StepSums sums{0, 0, 0, false};
  if constexpr (requires { Team::whole_rows; }) {
    sums = team.template pull_back<Op, with_loss>(image, parameters, incoming, scale, g, grad);
  } else {
    team.each_pixel(image, [&](Position& at) {
      const int64_t i = image.index(at.c, at.y, at.x);
      const F t = Op::value(image, parameters, at);
      const F arriving = incoming(i);
      const F passed = t >= F(0) && t <= F(1) ? scale * arriving : F(0);
      g[i] = passed;
      if constexpr (with_loss) sums.loss += static_cast<double>(arriving * clamp_unit(t));
      sums.gradient += static_cast<double>(passed);
      if constexpr (Op::info.magnitude_gradient == Gradient::exact)
        sums.magnitude += static_cast<double>(passed * Op::slope(image, parameters, at));
    });
  }
  if constexpr (with_loss) sums.loss = team.sum(sums.loss);
  sums.gradient = team.sum(sums.gradient);
  if constexpr (Op::info.magnitude_gradient == Gradient::exact)
    sums.magnitude = team.sum(sums.magnitude);
  if constexpr (Op::info.magnitude_gradient == Gradient::straight_through)
    sums.magnitude = sums.gradient / Op::info.span;
  return sums;
}

}  // namespace pyaug::inline PYAUG_ISA
