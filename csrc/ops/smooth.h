#pragma once

#include "stencil.h"

namespace pyaug::inline PYAUG_ISA {

struct Smooth : FilterOperation<SmoothStencil> {
  static constexpr OperationInfo info{.name = "smooth", .summary = "Pillow's SMOOTH, 3x3."};
};

}  // namespace pyaug::inline PYAUG_ISA
