// What a call asks of a launcher: pointers and sizes, no code but the scratch that each image
// needs. The same types for every device and instruction set.
#pragma once

#include "core/platform.h"

namespace pyaug {

constexpr int kMaxChannels = 3;

// Everything about a call that is the same for all its images. Passed to kernels by value.
template <class T>
struct Batch {
  const T* images;    // [B, C, H, W]
  const T* partners;  // [P, C, H, W]
  int64_t partner_count;
  int channels, height, width;
  int steps;                // K of a program, N of a mixture
  const float* noise;       // [B, K, 4]
  const double* magnitude;  // [B, K]
  double fill[kMaxChannels];
  bool bilinear;

  PYAUG_BOTH int64_t pixels() const { return static_cast<int64_t>(channels) * height * width; }
  // One value for all channels, or one for each.
  void fill_with(const double* values, size_t count) {
    for (size_t c = 0; c < kMaxChannels; ++c) fill[c] = values[c % count];
  }
};

// Scratch comes in images of pixels or of gradients, each part aligned to 64 bytes.
template <class A>
PYAUG_BOTH int64_t aligned_bytes(int64_t count) {
  return (count * static_cast<int64_t>(sizeof(A)) + 63) / 64 * 64;
}

// A type that computes in itself can sum into its own output.
template <class T>
inline constexpr bool sums_in_place = sizeof(Compute<T>) == sizeof(T);

template <class T>
struct ApplyTask {
  Batch<T> batch;
  const int32_t* operation;  // [B, K]
  T* out;                    // [B, C, H, W]

  PYAUG_BOTH int64_t scratch_bytes() const {
    return batch.steps > 1 ? aligned_bytes<T>(batch.pixels()) : 0;
  }
};

template <class T>
struct ReverseApplyTask {
  Batch<T> batch;
  const int32_t* operation;
  const T* grad_out;
  T* grad_images;
  double* grad_magnitude;  // [B, K], zeros

  PYAUG_BOTH int64_t scratch_bytes() const {
    const int64_t pixels = batch.pixels();
    return aligned_bytes<T>((batch.steps - 1) * pixels) + 2 * aligned_bytes<Compute<T>>(pixels);
  }
};

template <class T>
struct MixTask {
  Batch<T> batch;
  const int32_t* operation;  // [N]
  const double* weight;      // [B, N]
  T* out;

  PYAUG_BOTH int64_t scratch_bytes() const {
    return sums_in_place<T> ? 0 : aligned_bytes<Compute<T>>(batch.pixels());
  }
};

template <class T>
struct ReverseMixTask {
  Batch<T> batch;
  const int32_t* operation;
  const double* weight;
  const T* grad_out;
  T* grad_images;
  double* grad_weight;     // [B, N], zeros
  double* grad_magnitude;  // [B, N], zeros

  PYAUG_BOTH int64_t scratch_bytes() const {
    return (sums_in_place<T> ? 1 : 2) * aligned_bytes<Compute<T>>(batch.pixels());
  }
};

struct PolicyTable {
  const int64_t* sub_policies;  // [L, kSubPolicyColumns]
  const int64_t* stages;        // [L, K, kStageColumns]
  const int64_t* candidates;    // [N, kCandidateColumns]
  const double* levels;         // [M]
  int sub_policy_count, stage_count;
  int64_t candidate_count, level_count;
};

// Columns of the table's rows; pyaug/policy.py writes them.
enum SubPolicyColumn : int { kSubPolicyCumulative, kSubPolicyGate, kSubPolicyColumns };
enum StageColumn : int { kStageFirst, kStageLast, kStageColumns };  // candidates [first, last)
enum CandidateColumn : int {
  kCandidateOperation,
  kCandidateCumulative,  // within its stage, of 2^32
  kCandidateGate,        // applied if 32 random bits are below, of 2^32
  kCandidateSign,        // 1: half of the draws take the second set of levels, the mirrored one
  kCandidateFirstLevel,
  kCandidateLevels,
  kCandidateSmooth,  // 1: the levels are quantiles to interpolate between
  kCandidateColumns
};

struct ProgramRows {
  int32_t* operation;  // [B, K]
  double* magnitude;   // [B, K]
  float* noise;        // [B, K, 4]
  int32_t* choice;     // [B, 1 + K]: sub-policy, then each stage's candidate; -1: gated off

  // Of one piece of memory, aligned to 8 bytes.
  static int64_t bytes(int64_t batch, int64_t steps) { return batch * (steps * 32 + 4); }
  static ProgramRows in(void* memory, int64_t batch, int64_t steps) {
    const int64_t rows = batch * steps;
    double* const magnitude = static_cast<double*>(memory);
    float* const noise = reinterpret_cast<float*>(magnitude + rows);
    int32_t* const operation = reinterpret_cast<int32_t*>(noise + 4 * rows);
    return {operation, magnitude, noise, operation + rows};
  }
};

struct SampleTask {
  PolicyTable table;
  int64_t* state;        // seed, running number of the first image
  const int64_t* index;  // [B] running numbers, or null
  const int32_t* force;  // [B, 1 + K], or null
  ProgramRows rows;
};

// On a device whose rows read the state while they are drawn: the next batch goes on where this one
// ended.
struct AdvanceTask {
  int64_t* state;
  int64_t count;
};

}  // namespace pyaug
