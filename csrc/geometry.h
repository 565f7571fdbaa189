// What a step does to things that lie on an image: boxes, masks and points, which Python moves.
#pragma once

#include <type_traits>

#include "step.h"

namespace pyaug::inline PYAUG_ISA {

// In points: a pixel's centre lies half a pixel from its edges.
struct Motion {
  Matrix source{1, 0, 0, 0, 1, 0};     // where an output point comes from
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // what cutout fills, ends excluded
};

// Operations that move pixels, and with them whatever lies on the image.
template <class Op>
concept Moves = Warping<Op> || Rearranging<Op>;

struct MoveStep {
  double magnitude;
  const float* noise;  // [4]
  int width, height;
  Motion& motion;

  template <class Op>
  void operator()() const {
    if constexpr (Warping<Op>) {
      motion.source = prepared<Op>().affine.matrix;
    } else if constexpr (Rearranging<Op>) {
      const auto p = prepared<Op>();
      motion.source = {1.0 * p.a, 1.0 * p.b, p.c + (1 - p.a - p.b) / 2.0,
                       1.0 * p.d, 1.0 * p.e, p.f + (1 - p.d - p.e) / 2.0};
    } else if constexpr (std::is_same_v<Op, Cutout>) {
      const auto p = prepared<Op>();
      motion.x0 = p.x0;
      motion.y0 = p.y0;
      motion.x1 = p.x1;
      motion.y1 = p.y1;
    }
  }

  // Of an image without channels: no pixels, no fill, the geometry alone.
  template <class Op>
  typename Op::Parameters prepared() const {
    SerialTeam team;
    typename Op::Parameters p;
    Op::prepare(team, Image<uint8_t>{nullptr, 0, height, width},
                Step<uint8_t>{magnitude, noise, nullptr, nullptr, false}, p);
    return p;
  }
};

inline Motion motion_of(int operation, double magnitude, const float* noise, int width,
                        int height) {
  Motion motion;
  Operations::visit(operation, MoveStep{magnitude, noise, width, height, motion});
  return motion;
}

}  // namespace pyaug::inline PYAUG_ISA
