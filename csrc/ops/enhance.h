// The four enhancers of Pillow's ImageEnhance: a blend between a degenerate image d and the image
// v, t = d + f (v - d). Each enhancer says what d is and how d depends on the image.
#pragma once

#include "operation.h"

namespace pyaug {

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
    const Compute<T> d = Self::degenerate(image, p, at);
    return d + Compute<T>(p.factor) * (image(at.c, at.y, at.x) - d);
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

}  // namespace pyaug
