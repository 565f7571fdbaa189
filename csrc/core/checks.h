// What the entry points require of their tensors, said once for all devices.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <sstream>
#include <stdexcept>
#include <string>

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

inline std::string shape(const Tensor& tensor) {
  std::ostringstream text;
  text << "(";
  for (int64_t i = 0; i < tensor.dim(); ++i) text << (i ? ", " : "") << tensor.size(i);
  text << ")";
  return text.str();
}

inline void require_like(const Tensor& tensor, const Tensor& images, const char* name,
                         ScalarType type, std::initializer_list<int64_t> sizes) {
  bool same = tensor.dim() == static_cast<int64_t>(sizes.size());
  std::ostringstream expected;
  int64_t i = 0;
  for (int64_t size : sizes) {
    same = same && tensor.size(i) == size;
    expected << (i++ ? ", " : "") << size;
  }
  require(same, name, ": expected shape (", expected.str(), "), got ", shape(tensor));
  require(tensor.scalar_type() == type, name, ": wrong dtype");
  require(tensor.is_cuda() == images.is_cuda() &&
              tensor.get_device_index() == images.get_device_index(),
          name, ": expected on the images' device");
}

inline void require_images(const Tensor& images, const Tensor& partners, const Tensor& operation,
                           size_t fills) {
  require(images.dim() == 4, "images: expected (B, C, H, W), got ", shape(images));
  const int64_t channels = images.size(1), height = images.size(2), width = images.size(3);
  require(channels == 1 || channels == 3, "images: expected 1 or 3 channels, got ", channels);
  constexpr int64_t most = int64_t{1} << 30;
  require(height >= 1 && width >= 1 && height < most && width < most,
          "images: expected at least one pixel, got ", shape(images));
  require_like(partners, images, "partners", images.scalar_type(),
               {partners.dim() > 0 ? partners.size(0) : 0, channels, height, width});
  require(partners.size(0) > 0 || images.size(0) == 0, "partners: expected at least one image");
  require(fills == 1 || fills == static_cast<size_t>(channels), "fill: expected 1 or ", channels,
          " values, got ", fills);
  require(operation.size(operation.dim() - 1) >= 1, "operation: expected at least one step");
}

}  // namespace pyaug
