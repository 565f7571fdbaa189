// One image through the K steps of its program, and the adjoint of that.
#pragma once

#include "step.h"

namespace pyaug::inline PYAUG_ISA {

// The steps of one image that do something. A program of identities keeps one of them: it copies.
struct ActiveSteps {
  const int32_t* operation;  // [K]
  int steps;

  PYAUG_LANE int count() const {
    int n = 0;
    PYAUG_ROLLED
    for (int k = 0; k < steps; ++k) n += operation[k] != kIdentity;
    return n > 0 ? n : 1;
  }
  // The j-th of them.
  PYAUG_LANE int at(int j) const {
    PYAUG_ROLLED
    for (int k = 0; k < steps; ++k)
      if (operation[k] != kIdentity && j-- == 0) return k;
    return 0;
  }
};

template <class Team, class T>
struct RunStep {
  Team& team;
  TeamMemory& memory;
  const Image<T>& image;
  const Step<T>& step;
  T* out;

  template <class Op>
  PYAUG_LANE void operator()() const {
    const auto& parameters = prepare<Op>(team, memory, image, step);
    if constexpr (Team::template runs<T>)
      if (team.template run<Op>(image, parameters, out)) return;
    walk<Op>(team, image, parameters, out);
  }
};

// out [C, H, W]; between: room for one image, used where the program has two or more active steps.
template <class Team, class T>
PYAUG_LANE void apply_program(Team& team, TeamMemory& memory, const Batch<T>& batch,
                              const int32_t* operation, int64_t b, T* out, T* between) {
  const ActiveSteps active{operation + b * batch.steps, batch.steps};
  const int count = active.count();
  const T* source = pixels_of(batch, b);
  for (int j = 0; j < count; ++j) {
    const int k = active.at(j);
    T* target = (count - 1 - j) % 2 == 0 ? out : between;
    const Image<T> image = image_at(batch, source);
    const Step<T> step = step_of(batch, b, k);
    Operations::visit(active.operation[k], RunStep<Team, T>{team, memory, image, step, target});
    source = target;
  }
}

template <class Team, class T>
struct ReverseStep {
  using F = Compute<T>;
  Team& team;
  TeamMemory& memory;
  const Image<T>& image;
  const Step<T>& step;
  const T* grad_out;  // read by the last step, `grad` by the others
  F* grad;            // gradient to the step's output, then to its input
  F* g;
  T* grad_image;  // written by the first step; else null
  double& grad_magnitude;

  template <class Op>
  PYAUG_LANE void operator()() const {
    const auto& parameters = prepare<Op>(team, memory, image, step);
    const auto incoming = [&](int64_t i) {
      return grad_out ? static_cast<F>(grad_out[i]) : grad[i];
    };
    const StepSums sums = pull_back<Op, false>(team, image, parameters, incoming, F(1), g);
    if (team.lane() == 0) grad_magnitude = sums.magnitude;
    const Image<F> gradients{g, image.channels, image.height, image.width};
    if constexpr (requires { Team::whole_rows; }) {
      F* const sum = sums_in_place<T> && grad_image ? reinterpret_cast<F*>(grad_image) : grad;
      std::fill(sum, sum + image.size(), F(0));
      team.template add_adjoint<Op>(image, parameters, gradients, sums.gradient, sum);
      if (grad_image) store(team, image, sum, grad_image);
      return;
    }
    team.each_pixel(image, [&](Position& at) {
      const int64_t i = image.index(at.c, at.y, at.x);
      const F v = Op::adjoint(image, parameters, gradients, sums.gradient, at);
      if (grad_image)
        grad_image[i] = static_cast<T>(v);
      else
        grad[i] = v;
    });
  }
};

// history: room for K - 1 images; grad and g: room for one gradient image each.
// grad_magnitude [K] must come in as zeros.
template <class Team, class T>
PYAUG_LANE void reverse_program(Team& team, TeamMemory& memory, const Batch<T>& batch,
                                const int32_t* operation, const T* grad_out, int64_t b,
                                T* grad_image, double* grad_magnitude, T* history, Compute<T>* grad,
                                Compute<T>* g) {
  const ActiveSteps active{operation + b * batch.steps, batch.steps};
  const int count = active.count();
  const int64_t pixels = batch.pixels();
  const auto input = [&](int j) {
    return image_at(batch, j == 0 ? pixels_of(batch, b) : history + (j - 1) * pixels);
  };
  for (int j = 0; j + 1 < count; ++j) {
    const int k = active.at(j);
    const Image<T> image = input(j);
    const Step<T> step = step_of(batch, b, k);
    Operations::visit(active.operation[k],
                      RunStep<Team, T>{team, memory, image, step, history + j * pixels});
  }
  for (int j = count - 1; j >= 0; --j) {
    const int k = active.at(j);
    const Image<T> image = input(j);
    const Step<T> step = step_of(batch, b, k);
    Operations::visit(
        active.operation[k],
        ReverseStep<Team, T>{team, memory, image, step, j == count - 1 ? grad_out : nullptr, grad,
                             g, j == 0 ? grad_image : nullptr, grad_magnitude[k]});
  }
}

}  // namespace pyaug::inline PYAUG_ISA
