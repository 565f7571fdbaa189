// The kernels of one instruction set, as the launcher calls them.
#pragma once

#include "../core/half.h"
#include "../tasks.h"
#include "instruction_sets.h"

namespace pyaug {

// Works on images (or rows of a program) [begin, end).
template <class Task>
struct Runner {
  void (*run)(const Task& task, unsigned char* scratch, int64_t begin, int64_t end);
};

template <class... Tasks>
struct Runners : Runner<Tasks>... {};

template <template <class> class... Task>
struct ForFloats {
  using type = Runners<Task<float>..., Task<double>..., Task<c10::Half>..., Task<c10::BFloat16>...>;
};

struct CpuKernels : Runners<SampleTask, AdvanceTask, ApplyTask<uint8_t>>,
                    ForFloats<ApplyTask, ReverseApplyTask, MixTask, ReverseMixTask>::type {};

// cpu/kernels.cpp defines it for the instruction set that it is compiled for.
template <InstructionSet set>
CpuKernels kernels_for();

}  // namespace pyaug
