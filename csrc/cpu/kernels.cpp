// The kernels, compiled once for each instruction set: PYAUG_ISA is its name, the flags its
// instructions.
#include "kernels.h"

#include "../kernels.h"
#include "team.h"

namespace pyaug::inline PYAUG_ISA {
namespace {

#ifdef PYAUG_WALK_PIXELS
using Team = SerialTeam;
#else
using Team = RowTeam;
#endif

template <class Task>
void run(const Task& task, unsigned char* scratch, int64_t begin, int64_t end) {
  if constexpr (requires { task.scratch_bytes(); }) {
    Team team;
    TeamMemory memory;
    for (int64_t b = begin; b < end; ++b) work(team, memory, task, b, scratch);
  } else {
    for (int64_t b = begin; b < end; ++b) work(task, b);
  }
}

template <class... Tasks>
void fill(Runners<Tasks...>& runners) {
  ((static_cast<Runner<Tasks>&>(runners).run = run<Tasks>), ...);
}

}  // namespace
}  // namespace pyaug::inline PYAUG_ISA

template <>
pyaug::CpuKernels pyaug::kernels_for<pyaug::InstructionSet::PYAUG_ISA>() {
  CpuKernels all;
  fill(static_cast<Runners<SampleTask, AdvanceTask, ApplyTask<uint8_t>>&>(all));
  fill(static_cast<ForFloats<ApplyTask, ReverseApplyTask, MixTask, ReverseMixTask>::type&>(all));
  return all;
}
