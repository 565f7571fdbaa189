// The instruction sets that the CPU kernels are compiled for, which of them is used, and what else
// depends on the processor.
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

// How many bytes ahead of its place a walk over rows asks for what it will come to. By themselves
// most processors fetch no further than the end of a page; AMD's family 25 (Zen 3 and 4) does, and
// is only disturbed: with 0 bytes the walk asks for what it reads in any case.
inline int bytes_ahead() {
#ifdef __x86_64__
  if (__builtin_cpu_is("amdfam19h")) return 0;
#endif
  return 1536;
}
extern const int kAhead;  // that; csrc/cpu.cpp has it

}  // namespace pyaug
