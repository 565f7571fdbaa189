#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

// The pixels of the partner are read where the image's are; the partner gets no gradient.
struct SamplePairing {
  static constexpr OperationInfo info{
      .name = "sample_pairing",
      .summary = "Blends with another image of the batch as it came in.",
      .unit = Unit::weight,
      .low = 0,
      .high = 0.5,
      .identity = 0,
      .magnitude_gradient = Gradient::exact,
      .noise = 1,
  };
  struct Parameters {
    double weight;
    const void* partner;
  };

  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>&, const Step<T>& step, Parameters& p) {
    if (team.lane() == 0) p = {step.magnitude, step.partner};
  }
  template <class T>
  PYAUG_LANE static Image<T> partner(const Image<T>& image, const Parameters& p) {
    return {static_cast<const T*>(p.partner), image.channels, image.height, image.width};
  }
  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const Parameters& p, Position& at) {
    return blend(image.raw(at.c, at.y, at.x), partner(image, p).raw(at.c, at.y, at.x),
                 static_cast<float>(p.weight));
  }
  template <class T>
  PYAUG_LANE static Compute<T> slope(const Image<T>& image, const Parameters& p, Position& at) {
    return partner(image, p)(at.c, at.y, at.x) - image(at.c, at.y, at.x);
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Parameters& p, Position& at) {
    return image(at.c, at.y, at.x) + Compute<T>(p.weight) * slope(image, p, at);
  }
  template <class T>
  PYAUG_LANE static Compute<T> adjoint(const Image<T>&, const Parameters& p,
                                       const Image<Compute<T>>& g, double, Position& at) {
    return Compute<T>(1 - p.weight) * g(at.c, at.y, at.x);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
