// Calls straight from Python, for bytes on the CPU and a result that has its place already: torch's
// way from Python to an entry point takes longer than a small image. They return whether they did
// it; what they leave, the entry points do, or say what is wrong with it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#undef TORCH_TARGET_VERSION  // DLPack's structures have a stable layout of their own
#include <ATen/dlpack.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "launch.h"

namespace py = pybind11;

namespace pyaug {
namespace {

// torch's class of tensors, and how it lends one, without a copy or a reference.
struct Lender {
  PyTypeObject* tensor = nullptr;
  int (*lend)(void* object, DLTensor* out) = nullptr;  // null: this torch does not

  void find() {
    const py::object found = py::module_::import("torch").attr("Tensor");
    tensor = reinterpret_cast<PyTypeObject*>(found.ptr());  // torch keeps it
#if DLPACK_MAJOR_VERSION == 1 && DLPACK_MINOR_VERSION >= 3
    const py::object capsule = py::getattr(found, "__dlpack_c_exchange_api__", py::none());
    constexpr const char* name = "dlpack_exchange_api";
    if (!PyCapsule_IsValid(capsule.ptr(), name)) return;
    const auto* const exchange =
        static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), name));
    if (exchange->header.version.major == DLPACK_MAJOR_VERSION)
      lend = exchange->dltensor_from_py_object_no_sync;
#endif
  }
} lender;

// A plain torch.Tensor, contiguous and on the CPU; any other object holds nothing.
class Lent {
 public:
  explicit Lent(py::handle object) {
    if (!lender.lend || Py_TYPE(object.ptr()) != lender.tensor) return;
    if (lender.lend(object.ptr(), &tensor_) == 0)
      usual_ = tensor_.device.device_type == kDLCPU && contiguous();
    else
      PyErr_Clear();
  }

  template <class T>
  bool holds() const {
    constexpr int kind = std::is_floating_point_v<T> ? kDLFloat
                         : std::is_signed_v<T>       ? kDLInt
                                                     : kDLUInt;
    return usual_ && tensor_.dtype.code == kind && tensor_.dtype.bits == 8 * sizeof(T) &&
           tensor_.dtype.lanes == 1;
  }
  template <class T>
  bool holds(std::initializer_list<int64_t> sizes) const {
    return holds<T>() && std::ranges::equal(shape(), sizes);
  }
  std::span<const int64_t> shape() const {
    return {tensor_.shape, static_cast<size_t>(tensor_.ndim)};
  }
  int64_t size(size_t d) const { return d < shape().size() ? shape()[d] : 0; }
  template <class T>
  T* values() const {
    return reinterpret_cast<T*>(static_cast<char*>(tensor_.data) + tensor_.byte_offset);
  }

 private:
  bool contiguous() const {
    if (!tensor_.strides) return true;
    int64_t step = 1;
    for (int d = tensor_.ndim; d-- > 0; step *= tensor_.shape[d])
      if (tensor_.shape[d] != 1 && tensor_.strides[d] != step) return false;
    return true;
  }

  DLTensor tensor_{};
  bool usual_ = false;
};

// Images (C, H, W) or (B, C, H, W) that are their own partners, and the result's place.
struct Pictures {
  Batch<uint8_t> batch{};
  uint8_t* out = nullptr;
  int64_t count = 0;  // 0: not the usual ones

  Pictures(py::handle images, py::handle result, const std::vector<double>& fill, bool bilinear) {
    const Lent from(images), to(result);
    if (!from.holds<uint8_t>() || !to.holds<uint8_t>()) return;
    const std::span<const int64_t> shape = from.shape();
    if (!std::ranges::equal(shape, to.shape()) || (shape.size() != 3 && shape.size() != 4)) return;
    const auto sizes = shape.last<3>();
    const int64_t channels = sizes[0], area = sizes[1] * sizes[2];
    const int64_t images_given = shape.size() == 4 ? shape[0] : 1;
    const bool fits = (channels == 1 || channels == 3) && area >= 1 && channels * area <= kMost;
    if (!fits || (fill.size() != 1 && fill.size() != static_cast<size_t>(channels))) return;
    const uint8_t *const first = from.values<uint8_t>(), *const end =
                                                             first + images_given * channels * area;
    out = to.values<uint8_t>();
    if (first < out + (end - first) && out < end) return;
    batch.images = batch.partners = first;
    batch.partner_count = count = images_given;
    batch.channels = static_cast<int>(channels);
    batch.height = static_cast<int>(sizes[1]);
    batch.width = static_cast<int>(sizes[2]);
    batch.fill_with(fill.data(), fill.size());
    batch.bilinear = bilinear;
  }

 private:
  static constexpr int64_t kMost = int64_t{1} << 28;  // the entry points take larger ones
};

// Whether all of these rows' operations are there and fit the images.
template <class Code>
bool known(const Code* codes, int64_t rows, int64_t columns, const Batch<uint8_t>& batch) {
  try {
    check_columns(codes, rows, columns, batch.height, batch.width);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

void run(const Pictures& pictures, const int32_t* operation, const SampleTask* draw) {
  const py::gil_scoped_release others_may_run;
  launch(pictures.count, {pictures.batch, operation, pictures.out}, draw);
}

bool apply(py::handle images, py::handle operation, py::handle magnitude, py::handle noise,
           const std::vector<double>& fill, bool bilinear, py::handle out) {
  Pictures pictures(images, out, fill, bilinear);
  const Lent codes(operation), magnitudes(magnitude), noises(noise);
  const int64_t count = pictures.count, steps = codes.size(1);
  if (count == 0 || steps == 0 || !codes.holds<int32_t>({count, steps}) ||
      !magnitudes.holds<double>({count, steps}) || !noises.holds<float>({count, steps, 4}) ||
      !known(codes.values<int32_t>(), count * steps, 1, pictures.batch))
    return false;
  pictures.batch.steps = static_cast<int>(steps);
  pictures.batch.magnitude = magnitudes.values<double>();
  pictures.batch.noise = noises.values<float>();
  run(pictures, codes.values<int32_t>(), nullptr);
  return true;
}

bool augment(py::handle images, py::handle sub_policies, py::handle stages, py::handle candidates,
             py::handle levels, py::handle state, const std::vector<double>& fill, bool bilinear,
             py::handle out) {
  Pictures pictures(images, out, fill, bilinear);
  const Lent chances(sub_policies), steps(stages), choices(candidates), magnitudes(levels);
  const Lent numbers(state);
  const int64_t policies = steps.size(0), stage_count = steps.size(1), rows = choices.size(0);
  if (pictures.count == 0 || policies == 0 || stage_count == 0 ||
      !chances.holds<int64_t>({policies, kSubPolicyColumns}) ||
      !steps.holds<int64_t>({policies, stage_count, kStageColumns}) ||
      !choices.holds<int64_t>({rows, kCandidateColumns}) ||
      !magnitudes.holds<double>({magnitudes.size(0)}) || !numbers.holds<int64_t>({2}) ||
      !known(choices.values<int64_t>(), rows, kCandidateColumns, pictures.batch))
    return false;
  const int64_t bytes = ProgramRows::bytes(pictures.count, stage_count);
  const auto room = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(bytes));
  const auto program = ProgramRows::in(room.get(), pictures.count, stage_count);
  pictures.batch.steps = static_cast<int>(stage_count);
  pictures.batch.magnitude = program.magnitude;
  pictures.batch.noise = program.noise;
  const PolicyTable table{chances.values<int64_t>(),
                          steps.values<int64_t>(),
                          choices.values<int64_t>(),
                          magnitudes.values<double>(),
                          static_cast<int>(policies),
                          static_cast<int>(stage_count),
                          rows,
                          magnitudes.size(0)};
  const SampleTask draw{table, numbers.values<int64_t>(), nullptr, nullptr, program};
  run(pictures, program.operation, &draw);
  return true;
}

}  // namespace
}  // namespace pyaug

PYBIND11_MODULE(_cpu, module) {
  module.doc() = "The CPU library: registers its entry points; calls past torch's dispatcher.";
  pyaug::lender.find();
  module.def("apply", &pyaug::apply,
             "The entry point `apply` on uint8 images (C, H, W) or (B, C, H, W), their own "
             "partners, into `out`; False where it is left to that.");
  module.def("augment", &pyaug::augment, "`augment`, in the same way.");
}
