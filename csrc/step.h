// One operation on one image: what program.h chains and mixture.h sums.
#pragma once

#include "ops/ops.h"

namespace pyaug {

// Everything about a call that is the same for all its images. Passed to kernels by value.
template <class T>
struct Batch {
  const T* images;    // [B, C, H, W]
  const T* partners;  // [P, C, H, W]
  int64_t partner_count;
  int channels, height, width;
  int steps;                // K of a program, N of a mixture
  const float* noise;       // [B, K, 4]
  const double* magnitude;  // [B, K]
  double fill[kMaxChannels];
  bool bilinear;

  PYAUG_BOTH int64_t pixels() const { return static_cast<int64_t>(channels) * height * width; }
  PYAUG_LANE Image<T> view(const T* pixels) const { return {pixels, channels, height, width}; }
  PYAUG_LANE Image<T> image(int64_t b) const { return view(images + b * pixels()); }

  PYAUG_LANE Step<T> step(int64_t b, int k) const {
    const float* four = noise + (b * steps + k) * 4;
    int64_t partner = static_cast<int64_t>(static_cast<double>(four[0]) * partner_count);
    if (!(partner >= 0 && partner < partner_count)) partner = 0;
    return {magnitude[b * steps + k], four, partners + partner * pixels(), fill, bilinear};
  }
};

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

// What a step's output pixels say together: sums over the image, equal on every lane.
struct StepSums {
  double loss;       // sum of G * clamped t: the gradient to a mixture's weight, if asked for
  double gradient;   // sum of g
  double magnitude;  // gradient to the magnitude
};

// Phase one of a step's adjoint. For every output pixel: t again, g = scale * G where the clamp let
// it through and zero elsewhere, written to `g`. `incoming(i)` is G. Ends with a barrier.
template <class Op, bool with_loss, class Team, class T, class Incoming>
PYAUG_LANE StepSums pull_back(Team& team, const Image<T>& image,
                              const typename Op::Parameters& parameters, Incoming incoming,
                              Compute<T> scale, Compute<T>* g) {
  using F = Compute<T>;
  StepSums sums{0, 0, 0};
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
  if constexpr (with_loss) sums.loss = team.sum(sums.loss);
  sums.gradient = team.sum(sums.gradient);
  if constexpr (Op::info.magnitude_gradient == Gradient::exact)
    sums.magnitude = team.sum(sums.magnitude);
  if constexpr (Op::info.magnitude_gradient == Gradient::straight_through)
    sums.magnitude = sums.gradient / Op::info.span;
  team.sync();
  return sums;
}

}  // namespace pyaug
