// What the entry points require of their tensors, said once for all devices.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace pyaug {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (holds) return;
  std::ostringstream message;
  message << "pyaug: ";
  (message << ... << parts);
  throw std::runtime_error(message.str());
}

// Sizes in a message, as (2, 3). They are only written when the message is: text is slow to make.
template <class Sizes>
struct Listed {
  Sizes sizes;
  friend std::ostream& operator<<(std::ostream& out, const Listed& self) {
    const char* before = "(";
    for (int64_t size : self.sizes) out << std::exchange(before, ", ") << size;
    return out << (self.sizes.size() ? ")" : "()");
  }
};

inline auto shape(const Tensor& tensor) { return Listed{tensor.sizes()}; }

inline const char* name(ScalarType type) {
  switch (type) {
    case ScalarType::Byte:
      return "uint8";
    case ScalarType::Char:
      return "int8";
    case ScalarType::Short:
      return "int16";
    case ScalarType::Int:
      return "int32";
    case ScalarType::Long:
      return "int64";
    case ScalarType::Half:
      return "float16";
    case ScalarType::BFloat16:
      return "bfloat16";
    case ScalarType::Float:
      return "float32";
    case ScalarType::Double:
      return "float64";
    case ScalarType::Bool:
      return "bool";
    default:
      return "another dtype";
  }
}

inline void require_like(const Tensor& tensor, const Tensor& images, const char* argument,
                         ScalarType type, std::initializer_list<int64_t> sizes) {
  require(std::ranges::equal(tensor.sizes(), sizes), argument, ": expected shape ", Listed{sizes},
          ", got ", shape(tensor));
  require(tensor.scalar_type() == type, argument, ": expected ", name(type), ", got ",
          name(tensor.scalar_type()));
  require(tensor.is_cuda() == images.is_cuda() &&
              tensor.get_device_index() == images.get_device_index(),
          argument, ": expected on the images' device");
}

// What every call requires of the images themselves; the rest of its tensors follow their shape.
inline void require_images(const Tensor& images, bool floats) {
  require(images.dim() == 4, "images: expected (B, C, H, W), got ", shape(images));
  const int64_t channels = images.size(1), height = images.size(2), width = images.size(3);
  require(channels == 1 || channels == 3, "images: expected 1 or 3 channels, got ", channels);
  require(height >= 1 && width >= 1, "images: expected at least one pixel, got ", shape(images));
  constexpr int64_t side = int64_t{1} << 28, plane = int64_t{1} << 31;  // 32 bits count pixels
  require(
      height < side && width < side && (height + 2) * (width + 2) < plane,
      "images: expected sides below 2^28 and fewer than 2^31 pixels a channel, with a border of "
      "one pixel, got ",
      shape(images));
  const ScalarType type = images.scalar_type();
  const bool is_float = type == ScalarType::Half || type == ScalarType::BFloat16 ||
                        type == ScalarType::Float || type == ScalarType::Double;
  require(is_float || (type == ScalarType::Byte && !floats), "images: expected ",
          floats ? "" : "uint8, ", "float16, bfloat16, float32 or float64, got ", name(type));
}

inline void require_company(const Tensor& images, const Tensor& partners, size_t fills) {
  const int64_t channels = images.size(1);
  require_like(
      partners, images, "partners", images.scalar_type(),
      {partners.dim() > 0 ? partners.size(0) : 0, channels, images.size(2), images.size(3)});
  require(partners.size(0) > 0 || images.size(0) == 0, "partners: expected at least one image");
  require(fills == 1 || fills == static_cast<size_t>(channels), "fill: expected 1 or ", channels,
          " values, got ", fills);
}

}  // namespace pyaug
