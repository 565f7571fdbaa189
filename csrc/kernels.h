// What a launcher runs for an image of each kind of task.
#pragma once

#include "mixture.h"
#include "program.h"
#include "sampler.h"

namespace pyaug::inline PYAUG_ISA {

template <class A>
PYAUG_LANE A* carve(unsigned char*& scratch, int64_t count) {
  A* part = reinterpret_cast<A*>(scratch);
  scratch += aligned_bytes<A>(count);
  return part;
}

template <class Team, class T>
PYAUG_LANE void work(Team& team, TeamMemory& memory, const ApplyTask<T>& task, int64_t b,
                     unsigned char* scratch) {
  apply_program(team, memory, task.batch, task.operation, b, task.out + b * task.batch.pixels(),
                reinterpret_cast<T*>(scratch));
}

template <class Team, class T>
PYAUG_LANE void work(Team& team, TeamMemory& memory, const ReverseApplyTask<T>& task, int64_t b,
                     unsigned char* scratch) {
  const int64_t pixels = task.batch.pixels();
  T* history = carve<T>(scratch, (task.batch.steps - 1) * pixels);
  Compute<T>* grad = carve<Compute<T>>(scratch, pixels);
  Compute<T>* g = carve<Compute<T>>(scratch, pixels);
  reverse_program(team, memory, task.batch, task.operation, task.grad_out + b * pixels, b,
                  task.grad_images + b * pixels, task.grad_magnitude + b * task.batch.steps,
                  history, grad, g);
}

template <class Team, class T>
PYAUG_LANE void work(Team& team, TeamMemory& memory, const MixTask<T>& task, int64_t b,
                     unsigned char* scratch) {
  T* image = task.out + b * task.batch.pixels();
  Compute<T>* sum = reinterpret_cast<Compute<T>*>(scratch);
  if constexpr (sums_in_place<T>) sum = image;
  mix_image(team, memory, task.batch, task.operation, task.weight, b, image, sum);
}

template <class Team, class T>
PYAUG_LANE void work(Team& team, TeamMemory& memory, const ReverseMixTask<T>& task, int64_t b,
                     unsigned char* scratch) {
  const int64_t pixels = task.batch.pixels();
  T* grad_image = task.grad_images + b * pixels;
  Compute<T>* g = carve<Compute<T>>(scratch, pixels);
  Compute<T>* grad = reinterpret_cast<Compute<T>*>(scratch);
  if constexpr (sums_in_place<T>) grad = grad_image;
  reverse_mix(team, memory, task.batch, task.operation, task.weight, task.grad_out + b * pixels, b,
              grad_image, task.grad_weight, task.grad_magnitude, grad, g);
}

PYAUG_LANE void work(const SampleTask& task, int64_t b) { sample_row(task, b); }

PYAUG_LANE void work(const AdvanceTask& task, int64_t) { task.state[1] += task.count; }

}  // namespace pyaug::inline PYAUG_ISA
