// The kernels of an instruction set, as the launcher calls them.
#pragma once

#include "../core/half.h"
#include "../tasks.h"
#include "instruction_sets.h"

namespace pyaug {

// Images (or rows of a program) [begin, end); none: there are no more.
struct Turn {
  int64_t begin, end;
};

// Where a thread's work comes from, a turn at a time.
class Turns {
 public:
  virtual Turn next() = 0;

 protected:
  ~Turns() = default;
};

// Works until there are no more turns. cpu/kernels.cpp defines it for the instruction set that it
// is compiled for.
template <InstructionSet set, class Task>
void run(const Task& task, unsigned char* scratch, Turns& turns);

// Bytes and float32 are compiled for every set. The other floats, which a CPU seldom sees, take the
// baseline's kernels: they would triple the size of the library and the time to build it.
template <class Task>
inline constexpr bool for_every_set = true;
template <template <class> class Task>
inline constexpr bool for_every_set<Task<double>> = false;
template <template <class> class Task>
inline constexpr bool for_every_set<Task<c10::Half>> = false;
template <template <class> class Task>
inline constexpr bool for_every_set<Task<c10::BFloat16>> = false;

}  // namespace pyaug
