#pragma once

#include "stencil.h"

namespace pyaug::inline PYAUG_ISA {

struct Blur : FilterOperation<BlurStencil> {
  static constexpr OperationInfo info{.name = "blur", .summary = "Pillow's BLUR, 5x5."};
};

}  // namespace pyaug::inline PYAUG_ISA
