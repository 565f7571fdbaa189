// The kernels, compiled once for each instruction set: PYAUG_ISA is its name, the flags its
// instructions.
#include "kernels.h"

#include "../kernels.h"
#ifdef PYAUG_LANES
#include "../cuda/team.h"
#include "block.h"
#else
#include "team.h"
#endif

namespace pyaug::inline PYAUG_ISA {
namespace {

template <class Task>
void run_here(const Task& task, unsigned char* scratch, Turns& turns) {
  if constexpr (requires { task.scratch_bytes(); }) {
    TeamMemory memory;
#ifdef PYAUG_LANES
    Block block(lanes_for(task));
    BlockTeam<Block>::Shared shared;
    for (Turn turn; (turn = turns.next()).begin < turn.end;)
      block.run([&] {
        BlockTeam<Block> team(block, shared);
        for (int64_t b = turn.begin; b < turn.end; ++b) work(team, memory, task, b, scratch);
      });
#else
    RowTeam team;
    for (Turn turn; (turn = turns.next()).begin < turn.end;)
      for (int64_t b = turn.begin; b < turn.end; ++b) work(team, memory, task, b, scratch);
#endif
  } else {
    for (Turn turn; (turn = turns.next()).begin < turn.end;)
      for (int64_t b = turn.begin; b < turn.end; ++b) work(task, b);
  }
}

}  // namespace
}  // namespace pyaug::inline PYAUG_ISA

namespace pyaug {

#define PYAUG_DEFINE(...)                                                                  \
  template <>                                                                              \
  void run<InstructionSet::PYAUG_ISA, __VA_ARGS__>(const __VA_ARGS__& task,                \
                                                   unsigned char* scratch, Turns& turns) { \
    run_here(task, scratch, turns);                                                        \
  }
#define PYAUG_DEFINE_FLOAT(T)       \
  PYAUG_DEFINE(ApplyTask<T>)        \
  PYAUG_DEFINE(ReverseApplyTask<T>) \
  PYAUG_DEFINE(MixTask<T>)          \
  PYAUG_DEFINE(ReverseMixTask<T>)

PYAUG_DEFINE(SampleTask)
PYAUG_DEFINE(ApplyTask<uint8_t>)
PYAUG_DEFINE_FLOAT(float)
#ifdef PYAUG_EVERY_TYPE
PYAUG_DEFINE_FLOAT(double)
PYAUG_DEFINE_FLOAT(c10::Half)
PYAUG_DEFINE_FLOAT(c10::BFloat16)
#endif

}  // namespace pyaug
