#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Identity : PointOperation<Identity>, NoPreparation, NoSlope, UnitGain {
  static constexpr bool tabulated = false;
  static constexpr OperationInfo info{.name = "identity", .summary = "The image itself."};

  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters&, int) { return v; }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters&, int) {
    return v;
  }
};

}  // namespace pyaug::inline PYAUG_ISA
