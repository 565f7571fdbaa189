// The schemas. The CPU library owns them; the CUDA one adds its kernels.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(pyaug, library) {
  library.def(
      "sample(Tensor sub_policies, Tensor stages, Tensor candidates, Tensor levels, "
      "Tensor(a!) state, Tensor? index, Tensor? force, SymInt batch) "
      "-> (Tensor operation, Tensor magnitude, Tensor noise, Tensor choice)");
  library.def(
      "augment(Tensor images, Tensor partners, Tensor sub_policies, Tensor stages, "
      "Tensor candidates, Tensor levels, Tensor(a!) state, Tensor? index, Tensor? force, "
      "float[] fill, bool bilinear, Tensor(b!) out) -> ()");
  library.def(
      "apply(Tensor images, Tensor partners, Tensor operation, Tensor magnitude, Tensor noise, "
      "float[] fill, bool bilinear) -> Tensor");
  library.def(
      "apply_out(Tensor images, Tensor partners, Tensor operation, Tensor magnitude, "
      "Tensor noise, float[] fill, bool bilinear, Tensor(a!) out) -> ()");
  library.def(
      "apply_backward(Tensor grad, Tensor images, Tensor partners, Tensor operation, "
      "Tensor magnitude, Tensor noise, float[] fill, bool bilinear) -> (Tensor, Tensor)");
  library.def(
      "mix(Tensor images, Tensor partners, Tensor operation, Tensor weight, Tensor magnitude, "
      "Tensor noise, float[] fill, bool bilinear) -> Tensor");
  library.def(
      "mix_backward(Tensor grad, Tensor images, Tensor partners, Tensor operation, Tensor weight, "
      "Tensor magnitude, Tensor noise, float[] fill, bool bilinear) -> (Tensor, Tensor, Tensor)");
}
