// What an operation is: a row of facts, and five functions of one image.
//
// - prepare: what all pixels share (a matrix, a statistic, a table), computed by the whole team.
// - exact: one output byte, Pillow's rule.
// - value: one output pixel t of a float image, before the clamp to [0, 1].
// - slope: dt / d magnitude at that pixel.
// - adjoint: what one input pixel receives, given g = d loss / dt of every output pixel (zero where
//   the clamp stopped it) and the sum of g over the image. A gather, never a scatter: no atomics,
//   so the same bits every time.
//
// Geometry also has a Place, found by locate once for all channels of an output pixel.
#pragma once

#include "../core/affine.h"
#include "../core/team.h"

namespace pyaug::inline PYAUG_ISA {

enum class Unit : int {
  none,
  threshold,
  addend,
  bits,
  factor,
  tangent,
  fraction,
  degrees,
  area,
  weight
};

enum class Gradient : int { none, exact, straight_through };

struct OperationInfo {
  const char* name;
  const char* summary;
  Unit unit = Unit::none;
  double low = 0, high = 0;  // magnitudes that make sense
  double identity = 0;       // the magnitude that changes nothing
  Gradient image_gradient = Gradient::exact;
  Gradient magnitude_gradient = Gradient::none;
  double span = 1;        // straight-through: dt / d magnitude = 1 / span
  bool mirrored = false;  // a random sign takes m to 2 identity - m
  bool interpolates = false;
  bool fills = false;
  bool square = false;  // H must equal W
  int noise = 0;        // how many of the four noise values it reads
};

// What a step gives an operation besides the image.
template <class T>
struct Step {
  double magnitude;
  const float* noise;  // [4] in [0, 1)
  const T* partner;    // [C, H, W]
  const double* fill;  // [kMaxChannels], in the image's unit
  bool bilinear;
};

struct NoParameters {};

// An operation without a gradient to its magnitude.
struct NoSlope {
  template <class T, class P>
  PYAUG_LANE static Compute<T> slope(const Image<T>&, const P&, Position&) {
    return Compute<T>(0);
  }
};

// An operation that needs no preparation.
struct NoPreparation {
  using Parameters = NoParameters;
  template <class Team, class T>
  PYAUG_LANE static void prepare(Team&, const Image<T>&, const Step<T>&, Parameters&) {}
};

// An output pixel that depends on the same input pixel alone. `Self` gives, of one value v,
// exact_point, value_point and gain_point = dt / dv.
template <class Self>
struct PointOperation {
  static constexpr bool tabulated = true;  // on bytes: a table costs less than its formula

  template <class P>
  PYAUG_LANE static uint8_t exact(const Image<uint8_t>& image, const P& p, Position& at) {
    return Self::exact_point(image.raw(at.c, at.y, at.x), p, at.c);
  }
  template <class T, class P>
  PYAUG_LANE static Compute<T> value(const Image<T>& image, const P& p, Position& at) {
    return Self::value_point(image(at.c, at.y, at.x), p, at.c);
  }
  template <class T, class P>
  PYAUG_LANE static Compute<T> adjoint(const Image<T>& image, const P& p,
                                       const Image<Compute<T>>& g, double, Position& at) {
    return g(at.c, at.y, at.x) * Self::gain_point(image(at.c, at.y, at.x), p, at.c);
  }
};

// Straight-through to the image: dt / dv = 1.
struct UnitGain {
  template <class F, class P>
  PYAUG_LANE static F gain_point(F, const P&, int) {
    return F(1);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
