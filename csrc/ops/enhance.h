// The four enhancers of Pillow's ImageEnhance: a blend between a degenerate image d and the image
// v, t = d + f (v - d). Each enhancer says what d is and how d depends on the image.
#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

constexpr OperationInfo enhancer(const char* name, const char* summary) {
  return {.name = name,
          .summary = summary,
          .unit = Unit::factor,
          .low = 0,
          .high = 10,
          .identity = 1,
          .magnitude_gradient = Gradient::exact,
          .mirrored = true};
}

// `Self` gives degenerate_exact and degenerate (the value of d at a pixel) and
// degenerate_adjoint (what an input pixel receives through d, before the factor 1 - f).
template <class Self>
struct Enhancer {
  struct Parameters {
    double factor;
    double mean;  // contrast's
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>&, const Step<T>& step, Parameters& p) {
    if (team.lane() == 0) p.factor = step.magnitude;
  }
  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const Parameters& p, Position& at) {
    return blend(Self::degenerate_exact(image, p, at), image.raw(at.c, at.y, at.x),
                 static_cast<float>(p.factor));
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Parameters& p, Position& at) {
    return mixed(Self::degenerate(image, p, at), image(at.c, at.y, at.x), Compute<T>(p.factor));
  }
  template <class F>
  PYAUG_LANE static F mixed(F d, F v, F factor) {
    return d + factor * (v - d);
  }
  template <class T>
  PYAUG_LANE static Compute<T> slope(const Image<T>& image, const Parameters& p, Position& at) {
    return image(at.c, at.y, at.x) - Self::degenerate(image, p, at);
  }
  template <class T>
  PYAUG_LANE static Compute<T> adjoint(const Image<T>& image, const Parameters& p,
                                       const Image<Compute<T>>& g, double total, Position& at) {
    const Compute<T> f = Compute<T>(p.factor);
    return f * g(at.c, at.y, at.x) +
           (Compute<T>(1) - f) * Self::degenerate_adjoint(image, g, total, at);
  }
};

// An enhancer whose d is the same at all pixels: `Self` gives it as flat(parameters).
template <class Self>
struct FlatEnhancer : Enhancer<Self> {
  template <class P>
  PYAUG_LANE static int degenerate_exact(const Image<uint8_t>&, const P& p, Position&) {
    return static_cast<int>(Self::flat(p));
  }
  template <class T, class P>
  PYAUG_LANE static Compute<T> degenerate(const Image<T>&, const P& p, Position&) {
    return Compute<T>(Self::flat(p));
  }
  template <class F, class P>
  PYAUG_LANE static F value_point(F v, const P& p, int) {
    return Enhancer<Self>::mixed(F(Self::flat(p)), v, F(p.factor));
  }
};

}  // namespace pyaug::inline PYAUG_ISA
