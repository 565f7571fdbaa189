// The entry points, the same for every device: check, make contiguous, allocate, choose the pixel
// type, launch. A Launcher gives
//   each_image(like, count, task)   one team for each image; with a SampleTask, after its draw
//   each_draw(like, count, task)    one lane for each row; takes the images' running numbers
//   check_codes(rows, images)       refuses unknown operations, which stand in the first column,
//                                   where that costs nothing
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "core/checks.h"
#include "core/half.h"
#include "tasks.h"

namespace pyaug {

template <class T>
inline constexpr ScalarType scalar_type_of = ScalarType::Undefined;
template <>
inline constexpr ScalarType scalar_type_of<float> = ScalarType::Float;
template <>
inline constexpr ScalarType scalar_type_of<double> = ScalarType::Double;
template <>
inline constexpr ScalarType scalar_type_of<c10::Half> = ScalarType::Half;
template <>
inline constexpr ScalarType scalar_type_of<c10::BFloat16> = ScalarType::BFloat16;

// Calls run<T>() for the float type of the images, which require_images has seen.
template <class Run>
void for_float_type(ScalarType type, Run run) {
  const auto attempt = [&]<class T>() {
    if (type != scalar_type_of<T>) return false;
    run.template operator()<T>();
    return true;
  };
  static_cast<void>(attempt.template operator()<float>() || attempt.template operator()<double>() ||
                    attempt.template operator()<c10::Half>() ||
                    attempt.template operator()<c10::BFloat16>());
}

// The same for bytes, too.
template <class Run>
void for_type(ScalarType type, Run run) {
  if (type == ScalarType::Byte)
    run.template operator()<uint8_t>();
  else
    for_float_type(type, run);
}

// torch::stable's own functions look an operator up by its name at every call, 0.5 us each.
inline Tensor packed(const Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : torch::stable::contiguous(tensor);
}

inline Tensor allocate(const Tensor& like, torch::headeronly::IntHeaderOnlyArrayRef sizes,
                       ScalarType type) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t d = sizes.size(); d-- > 1;) strides[d - 1] = strides[d] * sizes[d];
  int32_t device_type;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device_type));
  AtenTensorHandle made;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(
      static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(),
      torch::stable::detail::to<int32_t>(torch::stable::detail::from(type)), device_type,
      like.get_device_index(), &made));
  return Tensor(made);
}

// Whether contiguous tensors of one type share no memory.
inline bool apart(const Tensor& a, const Tensor& b) {
  const auto bytes = [](const Tensor& t) { return static_cast<const char*>(t.data_ptr()); };
  const auto end = [&](const Tensor& t) { return bytes(t) + t.numel() * t.element_size(); };
  return end(a) <= bytes(b) || end(b) <= bytes(a);
}

// Images and their partners, made contiguous.
struct Pictures {
  Tensor images, partners;

  Pictures(const Tensor& images_, const Tensor& partners_)
      : images(packed(images_)), partners(same(partners_, images_) ? images : packed(partners_)) {}

  // The same pixels need no second copy.
  static bool same(const Tensor& a, const Tensor& b) {
    return a.data_ptr() == b.data_ptr() && std::ranges::equal(a.sizes(), b.sizes()) &&
           std::ranges::equal(a.strides(), b.strides());
  }

  template <class T>
  Batch<T> batch(const std::vector<double>& fill, bool bilinear, int64_t steps, const float* noise,
                 const double* magnitude) const {
    Batch<T> b{};
    b.images = static_cast<const T*>(images.data_ptr());
    b.partners = static_cast<const T*>(partners.data_ptr());
    b.partner_count = partners.size(0);
    b.channels = static_cast<int>(images.size(1));
    b.height = static_cast<int>(images.size(2));
    b.width = static_cast<int>(images.size(3));
    b.steps = static_cast<int>(steps);
    b.noise = noise;
    b.magnitude = magnitude;
    b.fill_with(fill.data(), fill.size());
    b.bilinear = bilinear;
    return b;
  }
};

// And what is done to them.
struct Inputs : Pictures {
  Tensor operation, magnitude, noise;

  Inputs(const Tensor& images_, const Tensor& partners_, const Tensor& operation_,
         const Tensor& magnitude_, const Tensor& noise_)
      : Pictures(images_, partners_),
        operation(packed(operation_)),
        magnitude(packed(magnitude_)),
        noise(packed(noise_)) {}

  template <class T>
  Batch<T> batch(const std::vector<double>& fill, bool bilinear) const {
    return Pictures::batch<T>(fill, bilinear, magnitude.size(1),
                              static_cast<const float*>(noise.data_ptr()),
                              static_cast<const double*>(magnitude.data_ptr()));
  }
};

inline void require_program(const Tensor& images, const Tensor& operation, const Tensor& magnitude,
                            const Tensor& noise, bool floats) {
  require_images(images, floats);
  require(operation.dim() == 2 && operation.size(1) >= 1,
          "operation: expected (B, K) with at least one step, got ", shape(operation));
  const int64_t count = images.size(0), steps = operation.size(1);
  require_like(operation, images, "operation", ScalarType::Int, {count, steps});
  require_like(magnitude, images, "magnitude", ScalarType::Double, {count, steps});
  require_like(noise, images, "noise", ScalarType::Float, {count, steps, 4});
}

inline void require_mixture(const Tensor& images, const Tensor& operation, const Tensor& weight,
                            const Tensor& magnitude, const Tensor& noise) {
  require_images(images, true);
  require(operation.dim() == 1 && operation.size(0) >= 1,
          "operation: expected (N,) with at least one operation, got ", shape(operation));
  const int64_t count = images.size(0), terms = operation.size(0);
  require_like(operation, images, "operation", ScalarType::Int, {terms});
  require_like(weight, images, "weight", ScalarType::Double, {count, terms});
  require_like(magnitude, images, "magnitude", ScalarType::Double, {count, terms});
  require_like(noise, images, "noise", ScalarType::Float, {count, terms, 4});
}

// A policy's table with what is drawn from it for a batch.
struct Draws {
  Tensor sub_policies, stages, candidates, levels, state;
  std::optional<Tensor> index, force;
  int64_t batch;

  int64_t steps() const { return stages.size(1); }

  // Refuses what does not fit; makes contiguous what need not be.
  void check() {
    require(stages.dim() == 3, "stages: expected (L, K, 2), got ", shape(stages));
    const int64_t policies = stages.size(0);
    require(batch >= 0, "batch: expected 0 or more images, got ", batch);
    require(policies >= 1 && steps() >= 1, "stages: expected at least one, got ", shape(stages));
    require_like(sub_policies, stages, "sub_policies", ScalarType::Long,
                 {policies, kSubPolicyColumns});
    require_like(stages, stages, "stages", ScalarType::Long, {policies, steps(), kStageColumns});
    require_like(candidates, stages, "candidates", ScalarType::Long,
                 {candidates.size(0), kCandidateColumns});
    require_like(levels, stages, "levels", ScalarType::Double, {levels.size(0)});
    require_like(state, stages, "state", ScalarType::Long, {2});
    for (const Tensor& part : {sub_policies, stages, candidates, levels, state})
      require(part.is_contiguous(), "sample: expected a contiguous table");
    if (index) {
      require_like(*index, stages, "index", ScalarType::Long, {batch});
      index = packed(*index);
    }
    if (force) {
      require_like(*force, stages, "force", ScalarType::Int, {batch, 1 + steps()});
      force = packed(*force);
    }
  }
  SampleTask task(const ProgramRows& rows) const {
    return {{static_cast<const int64_t*>(sub_policies.data_ptr()),
             static_cast<const int64_t*>(stages.data_ptr()),
             static_cast<const int64_t*>(candidates.data_ptr()),
             static_cast<const double*>(levels.data_ptr()), static_cast<int>(stages.size(0)),
             static_cast<int>(steps()), candidates.size(0), levels.size(0)},
            static_cast<int64_t*>(state.data_ptr()),
            index ? static_cast<const int64_t*>(index->data_ptr()) : nullptr,
            force ? static_cast<const int32_t*>(force->data_ptr()) : nullptr,
            rows};
  }
};

inline void require_room(const Tensor& out, const Pictures& in) {
  const Tensor& images = in.images;
  require_like(out, images, "out", images.scalar_type(),
               {images.size(0), images.size(1), images.size(2), images.size(3)});
  require(out.is_contiguous(), "out: expected a contiguous tensor");
  require(apart(out, images) && apart(out, in.partners),
          "out: expected memory apart from the images'");
}

template <class Launcher>
struct Entry {
  static std::tuple<Tensor, Tensor, Tensor, Tensor> sample(
      Tensor sub_policies, Tensor stages, Tensor candidates, Tensor levels, Tensor state,
      std::optional<Tensor> index, std::optional<Tensor> force, int64_t batch) {
    Draws draws{sub_policies, stages, candidates, levels, state, index, force, batch};
    draws.check();
    const int64_t steps = draws.steps();
    Tensor operation = allocate(state, {batch, steps}, ScalarType::Int);
    Tensor magnitude = allocate(state, {batch, steps}, ScalarType::Double);
    Tensor noise = allocate(state, {batch, steps, 4}, ScalarType::Float);
    Tensor choice = allocate(state, {batch, 1 + steps}, ScalarType::Int);
    Launcher::each_draw(state, batch,
                        draws.task({static_cast<int32_t*>(operation.data_ptr()),
                                    static_cast<double*>(magnitude.data_ptr()),
                                    static_cast<float*>(noise.data_ptr()),
                                    static_cast<int32_t*>(choice.data_ptr())}));
    return {operation, magnitude, noise, choice};
  }

  // sample, then apply_out, and the program is forgotten.
  static void augment(Tensor images, Tensor partners, Tensor sub_policies, Tensor stages,
                      Tensor candidates, Tensor levels, Tensor state, std::optional<Tensor> index,
                      std::optional<Tensor> force, std::vector<double> fill, bool bilinear,
                      Tensor out) {
    require_images(images, false);
    require_company(images, partners, fill.size());
    const int64_t count = images.size(0);
    Draws draws{sub_policies, stages, candidates, levels, state, index, force, count};
    draws.check();
    const Pictures in(images, partners);
    require_room(out, in);
    require_like(state, images, "state", ScalarType::Long, {2});
    Launcher::check_codes(candidates, images);
    const int64_t steps = draws.steps();
    Tensor room = allocate(state, {ProgramRows::bytes(count, steps)}, ScalarType::Byte);
    const auto rows = ProgramRows::in(room.data_ptr(), count, steps);
    const SampleTask task = draws.task(rows);
    for_type(out.scalar_type(), [&]<class T>() {
      const auto batch = in.batch<T>(fill, bilinear, steps, rows.noise, rows.magnitude);
      Launcher::each_image(
          out, count, ApplyTask<T>{batch, rows.operation, static_cast<T*>(out.data_ptr())}, &task);
    });
  }

  static Tensor apply(Tensor images, Tensor partners, Tensor operation, Tensor magnitude,
                      Tensor noise, std::vector<double> fill, bool bilinear) {
    require_program(images, operation, magnitude, noise, false);
    require_company(images, partners, fill.size());
    const Inputs in(images, partners, operation, magnitude, noise);
    Tensor out = allocate(in.images, in.images.sizes(), images.scalar_type());
    apply_into(in, fill, bilinear, out);
    return out;
  }

  static void apply_out(Tensor images, Tensor partners, Tensor operation, Tensor magnitude,
                        Tensor noise, std::vector<double> fill, bool bilinear, Tensor out) {
    require_program(images, operation, magnitude, noise, false);
    require_company(images, partners, fill.size());
    const Inputs in(images, partners, operation, magnitude, noise);
    require_room(out, in);
    apply_into(in, fill, bilinear, out);
  }

  static void apply_into(const Inputs& in, const std::vector<double>& fill, bool bilinear,
                         const Tensor& out) {
    Launcher::check_codes(in.operation, in.images);
    for_type(out.scalar_type(), [&]<class T>() {
      Launcher::each_image(out, out.size(0),
                           ApplyTask<T>{in.batch<T>(fill, bilinear),
                                        static_cast<const int32_t*>(in.operation.data_ptr()),
                                        static_cast<T*>(out.data_ptr())});
    });
  }

  static std::tuple<Tensor, Tensor> apply_backward(Tensor grad, Tensor images, Tensor partners,
                                                   Tensor operation, Tensor magnitude, Tensor noise,
                                                   std::vector<double> fill, bool bilinear) {
    require_program(images, operation, magnitude, noise, true);
    require_company(images, partners, fill.size());
    const Inputs in(images, partners, operation, magnitude, noise);
    const Tensor grad_out = like_images(grad, in.images);
    Tensor grad_images = allocate(in.images, in.images.sizes(), images.scalar_type());
    Tensor grad_magnitude = torch::stable::new_zeros(in.magnitude, in.magnitude.sizes());
    for_float_type(images.scalar_type(), [&]<class T>() {
      Launcher::each_image(grad_images, images.size(0),
                           ReverseApplyTask<T>{in.batch<T>(fill, bilinear),
                                               static_cast<const int32_t*>(in.operation.data_ptr()),
                                               static_cast<const T*>(grad_out.data_ptr()),
                                               static_cast<T*>(grad_images.data_ptr()),
                                               static_cast<double*>(grad_magnitude.data_ptr())});
    });
    return {grad_images, grad_magnitude};
  }

  static Tensor mix(Tensor images, Tensor partners, Tensor operation, Tensor weight,
                    Tensor magnitude, Tensor noise, std::vector<double> fill, bool bilinear) {
    require_mixture(images, operation, weight, magnitude, noise);
    require_company(images, partners, fill.size());
    const Inputs in(images, partners, operation, magnitude, noise);
    Launcher::check_codes(in.operation, images);
    const Tensor weights = packed(weight);
    Tensor out = allocate(in.images, in.images.sizes(), images.scalar_type());
    for_float_type(images.scalar_type(), [&]<class T>() {
      Launcher::each_image(out, images.size(0),
                           MixTask<T>{in.batch<T>(fill, bilinear),
                                      static_cast<const int32_t*>(in.operation.data_ptr()),
                                      static_cast<const double*>(weights.data_ptr()),
                                      static_cast<T*>(out.data_ptr())});
    });
    return out;
  }

  static std::tuple<Tensor, Tensor, Tensor> mix_backward(Tensor grad, Tensor images,
                                                         Tensor partners, Tensor operation,
                                                         Tensor weight, Tensor magnitude,
                                                         Tensor noise, std::vector<double> fill,
                                                         bool bilinear) {
    require_mixture(images, operation, weight, magnitude, noise);
    require_company(images, partners, fill.size());
    const Inputs in(images, partners, operation, magnitude, noise);
    const Tensor weights = packed(weight);
    const Tensor grad_out = like_images(grad, in.images);
    Tensor grad_images = allocate(in.images, in.images.sizes(), images.scalar_type());
    Tensor grad_weight = torch::stable::new_zeros(weights, weights.sizes());
    Tensor grad_magnitude = torch::stable::new_zeros(weights, weights.sizes());
    for_float_type(images.scalar_type(), [&]<class T>() {
      Launcher::each_image(grad_images, images.size(0),
                           ReverseMixTask<T>{in.batch<T>(fill, bilinear),
                                             static_cast<const int32_t*>(in.operation.data_ptr()),
                                             static_cast<const double*>(weights.data_ptr()),
                                             static_cast<const T*>(grad_out.data_ptr()),
                                             static_cast<T*>(grad_images.data_ptr()),
                                             static_cast<double*>(grad_weight.data_ptr()),
                                             static_cast<double*>(grad_magnitude.data_ptr())});
    });
    return {grad_images, grad_weight, grad_magnitude};
  }

  static Tensor like_images(const Tensor& grad, const Tensor& images) {
    require_like(grad, images, "grad", images.scalar_type(),
                 {images.size(0), images.size(1), images.size(2), images.size(3)});
    return packed(grad);
  }
};

// Registers the entry points of one device's launcher.
template <class Launcher>
void register_entries(torch::stable::detail::StableLibrary& library) {
  library.impl("sample", TORCH_BOX(&Entry<Launcher>::sample));
  library.impl("augment", TORCH_BOX(&Entry<Launcher>::augment));
  library.impl("apply", TORCH_BOX(&Entry<Launcher>::apply));
  library.impl("apply_out", TORCH_BOX(&Entry<Launcher>::apply_out));
  library.impl("apply_backward", TORCH_BOX(&Entry<Launcher>::apply_backward));
  library.impl("mix", TORCH_BOX(&Entry<Launcher>::mix));
  library.impl("mix_backward", TORCH_BOX(&Entry<Launcher>::mix_backward));
}

}  // namespace pyaug
