// 16-bit pixels are stored as such and computed in float32.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include "platform.h"

namespace pyaug {

template <>
struct ComputeOf<c10::Half> {
  using type = float;
};
template <>
struct ComputeOf<c10::BFloat16> {
  using type = float;
};

}  // namespace pyaug
