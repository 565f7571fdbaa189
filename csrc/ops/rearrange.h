// Whole pixels moved to other places: x' = a x + b y + c, y' = d x + e y + f in integers, the
// linear part a turn or a mirror, so that its inverse is its transpose.
#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Rearrangement {
  int a, b, c, d, e, f;
  double fill[kMaxChannels];
};

// What all rearrangements share.
struct AnyRearrangement : NoSlope {
  using Parameters = Rearrangement;

  template <class T>
  PYAUG_LANE static bool inside(const Image<T>& image, int x, int y) {
    return x >= 0 && x < image.width && y >= 0 && y < image.height;
  }
  template <class T>
  PYAUG_LANE static bool source(const Image<T>& image, const Parameters& p, const Position& at,
                                int& x, int& y) {
    x = p.a * at.x + p.b * at.y + p.c;
    y = p.d * at.x + p.e * at.y + p.f;
    return inside(image, x, y);
  }
  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const Parameters& p, Position& at) {
    int x, y;
    return source(image, p, at, x, y) ? image.raw(at.c, y, x) : clip_byte(p.fill[at.c]);
  }
  template <class T>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const Parameters& p, Position& at) {
    int x, y;
    return source(image, p, at, x, y) ? image(at.c, y, x) : Compute<T>(p.fill[at.c]);
  }
  template <class T>
  PYAUG_LANE static Compute<T> adjoint(const Image<T>&, const Parameters& p,
                                       const Image<Compute<T>>& g, double, Position& at) {
    const int u = at.x - p.c, v = at.y - p.f;
    const int x = p.a * u + p.d * v, y = p.b * u + p.e * v;
    return inside(g, x, y) ? g(at.c, y, x) : Compute<T>(0);
  }
};

// `Self` gives place(magnitude, noise, width, height), without the fill.
template <class Self>
struct Rearrange : AnyRearrangement {
  template <class Team, class T>
  PYAUG_LANE static void prepare(Team& team, const Image<T>& image, const Step<T>& step,
                                 Parameters& p) {
    if (team.lane() != 0) return;
    p = Self::place(step.magnitude, step.noise, image.width, image.height);
    for (int c = 0; c < image.channels; ++c) p.fill[c] = step.fill[c];
  }
};

}  // namespace pyaug::inline PYAUG_ISA
