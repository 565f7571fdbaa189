// The instruction sets that the CPU kernels are compiled for, and which of them is used.
#pragma once

#include <cstdlib>
#include <cstring>

namespace pyaug {

// `lanes` is the baseline running the GPU's code, the lanes of a block by turns: for the tests.
enum class InstructionSet : int { lanes, baseline, avx2, avx512 };
constexpr const char* kInstructionSets[] = {"lanes", "baseline", "avx2", "avx512"};

// Whether this build has it and this CPU runs it.
inline bool runs_here(InstructionSet set) {
#ifdef __x86_64__
  if (set == InstructionSet::avx2) return __builtin_cpu_supports("x86-64-v3");
  // With instructions that look bytes up and count bits: Ice Lake, Zen 4 and later.
  if (set == InstructionSet::avx512)
    return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("gfni");
  return true;
#else
  return set <= InstructionSet::baseline;
#endif
}

// The best one, or what the environment variable PYAUG_CPU says; pyaug/_native.py refuses a wrong
// name.
inline InstructionSet instruction_set() {
  const char* forced = std::getenv("PYAUG_CPU");
  InstructionSet best = InstructionSet::baseline;
  for (int i = 0; i < 4; ++i) {
    const InstructionSet set = static_cast<InstructionSet>(i);
    if (!runs_here(set)) continue;
    if (forced && std::strcmp(forced, kInstructionSets[i]) == 0) return set;
    if (set > best) best = set;
  }
  return best;
}

}  // namespace pyaug
