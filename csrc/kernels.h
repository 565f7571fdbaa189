// What a launcher runs for every image: pointers, the scratch it needs, and the call.
#pragma once

#include "mixture.h"
#include "program.h"
#include "sampler.h"

namespace pyaug {

// Scratch comes in images of pixels or of gradients, each part aligned to 16 bytes.
template <class A>
PYAUG_BOTH int64_t aligned_bytes(int64_t count) {
  return (count * static_cast<int64_t>(sizeof(A)) + 15) / 16 * 16;
}
template <class A>
PYAUG_LANE A* carve(unsigned char*& scratch, int64_t count) {
  A* part = reinterpret_cast<A*>(scratch);
  scratch += aligned_bytes<A>(count);
  return part;
}

// A type that computes in itself can sum into its own output.
template <class T>
inline constexpr bool sums_in_place = sizeof(Compute<T>) == sizeof(T);

template <class T>
struct ApplyKernel {
  Batch<T> batch;
  const int32_t* operation;
  T* out;

  int64_t scratch_bytes() const { return batch.steps > 1 ? aligned_bytes<T>(batch.pixels()) : 0; }
  template <class Team>
  PYAUG_LANE void operator()(Team& team, TeamMemory& memory, int64_t b,
                             unsigned char* scratch) const {
    apply_program(team, memory, batch, operation, b, out + b * batch.pixels(),
                  reinterpret_cast<T*>(scratch));
  }
};

template <class T>
struct ReverseApplyKernel {
  Batch<T> batch;
  const int32_t* operation;
  const T* grad_out;
  T* grad_images;
  double* grad_magnitude;

  int64_t scratch_bytes() const {
    const int64_t pixels = batch.pixels();
    return aligned_bytes<T>((batch.steps - 1) * pixels) + 2 * aligned_bytes<Compute<T>>(pixels);
  }
  template <class Team>
  PYAUG_LANE void operator()(Team& team, TeamMemory& memory, int64_t b,
                             unsigned char* scratch) const {
    const int64_t pixels = batch.pixels();
    T* history = carve<T>(scratch, (batch.steps - 1) * pixels);
    Compute<T>* grad = carve<Compute<T>>(scratch, pixels);
    Compute<T>* g = carve<Compute<T>>(scratch, pixels);
    reverse_program(team, memory, batch, operation, grad_out + b * pixels, b,
                    grad_images + b * pixels, grad_magnitude + b * batch.steps, history, grad, g);
  }
};

template <class T>
struct MixKernel {
  Batch<T> batch;
  const int32_t* operation;
  const double* weight;
  T* out;

  int64_t scratch_bytes() const {
    return sums_in_place<T> ? 0 : aligned_bytes<Compute<T>>(batch.pixels());
  }
  template <class Team>
  PYAUG_LANE void operator()(Team& team, TeamMemory& memory, int64_t b,
                             unsigned char* scratch) const {
    T* image = out + b * batch.pixels();
    Compute<T>* sum = reinterpret_cast<Compute<T>*>(scratch);
    if constexpr (sums_in_place<T>) sum = image;
    mix_image(team, memory, batch, operation, weight, b, image, sum);
  }
};

template <class T>
struct ReverseMixKernel {
  Batch<T> batch;
  const int32_t* operation;
  const double* weight;
  const T* grad_out;
  T* grad_images;
  double* grad_weight;
  double* grad_magnitude;

  int64_t scratch_bytes() const {
    return (sums_in_place<T> ? 1 : 2) * aligned_bytes<Compute<T>>(batch.pixels());
  }
  template <class Team>
  PYAUG_LANE void operator()(Team& team, TeamMemory& memory, int64_t b,
                             unsigned char* scratch) const {
    const int64_t pixels = batch.pixels();
    T* grad_image = grad_images + b * pixels;
    Compute<T>* g = carve<Compute<T>>(scratch, pixels);
    Compute<T>* grad = reinterpret_cast<Compute<T>*>(scratch);
    if constexpr (sums_in_place<T>) grad = grad_image;
    reverse_mix(team, memory, batch, operation, weight, grad_out + b * pixels, b, grad_image,
                grad_weight, grad_magnitude, grad, g);
  }
};

struct SampleKernel {
  PolicyTable table;
  const int64_t* state;  // seed, running number of the first image
  const int64_t* index;  // [B] running numbers, or null
  const int32_t* force;  // [B, 1 + K], or null
  ProgramRows rows;

  PYAUG_LANE void operator()(int64_t b) const {
    const uint64_t running = static_cast<uint64_t>(index ? index[b] : state[1] + b);
    sample_image(table, static_cast<uint64_t>(state[0]), running,
                 force ? force + b * (1 + table.stage_count) : nullptr, b, rows);
  }
};

// After a batch that counted for itself: the next one goes on where it ended.
struct AdvanceKernel {
  int64_t* state;
  int64_t count;

  PYAUG_LANE void operator()(int64_t) const { state[1] += count; }
};

}  // namespace pyaug
