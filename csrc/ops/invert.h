#pragma once

#include "operation.h"

namespace pyaug::inline PYAUG_ISA {

struct Invert : PointOperation<Invert>, NoPreparation, NoSlope {
  static constexpr bool tabulated = false;
  static constexpr OperationInfo info{.name = "invert", .summary = "The negative: white minus v."};

  PYAUG_LANE static uint8_t exact_point(uint8_t v, const Parameters&, int) { return 255 - v; }
  template <class F>
  PYAUG_LANE static F value_point(F v, const Parameters&, int) {
    return F(1) - v;
  }
  template <class F>
  PYAUG_LANE static F gain_point(F, const Parameters&, int) {
    return F(-1);
  }
};

}  // namespace pyaug::inline PYAUG_ISA
