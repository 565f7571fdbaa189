// One image through a weighted sum of operations, and the adjoint of that: one stage of a
// differentiable search. Nothing is kept per operation.
#pragma once

#include "step.h"

namespace pyaug::inline PYAUG_ISA {

template <class Team, class T>
struct AddTerm {
  using F = Compute<T>;
  Team& team;
  TeamMemory& memory;
  const Image<T>& image;
  const Step<T>& step;
  F weight;
  F* sum;

  template <class Op>
  PYAUG_LANE void operator()() const {
    const auto& parameters = prepare<Op>(team, memory, image, step);
    if constexpr (requires { Team::whole_rows; })
      return team.template add<Op>(image, parameters, weight, sum);
    team.each_pixel(image, [&](Position& at) {
      sum[image.index(at.c, at.y, at.x)] += weight * clamp_unit(Op::value(image, parameters, at));
    });
  }
};

// operation [N], weight [B, N]. `sum` may be `out` where T computes in itself.
template <class Team, class T>
PYAUG_LANE void mix_image(Team& team, TeamMemory& memory, const Batch<T>& batch,
                          const int32_t* operation, const double* weight, int64_t b, T* out,
                          Compute<T>* sum) {
  const Image<Compute<T>> sums = image_at(batch, sum);
  clear(team, sums, sum);
  if constexpr (requires { Team::whole_rows; }) team.begin_terms();
  for (int n = 0; n < batch.steps; ++n) {
    const Compute<T> w = static_cast<Compute<T>>(weight[b * batch.steps + n]);
    if (w == 0) continue;
    const Image<T> image = image_at(batch, pixels_of(batch, b));
    const Step<T> step = step_of(batch, b, n);
    Operations::visit(operation[n], AddTerm<Team, T>{team, memory, image, step, w, sum});
  }
  if constexpr (requires { Team::whole_rows; }) team.end_terms(sums, sum);
  store(team, image_at(batch, out), sum, out);
}

template <class Team, class T>
struct ReverseTerm {
  using F = Compute<T>;
  Team& team;
  TeamMemory& memory;
  const Image<T>& image;
  const Step<T>& step;
  const T* grad_out;
  F weight;
  F* grad;
  F* g;
  double& grad_weight;
  double& grad_magnitude;

  template <class Op>
  PYAUG_LANE void operator()() const {
    const auto& parameters = prepare<Op>(team, memory, image, step);
    const auto incoming = [&](int64_t i) { return static_cast<F>(grad_out[i]); };
    const StepSums sums = pull_back<Op, true>(team, image, parameters, incoming, weight, g, grad);
    if (team.lane() == 0) {
      grad_weight = sums.loss;
      grad_magnitude = sums.magnitude;
    }
    if (weight == F(0) || sums.added) return;  // if zero, g is zero everywhere
    const Image<F> gradients{g, image.channels, image.height, image.width};
    if constexpr (requires { Team::whole_rows; })
      return team.template add_adjoint<Op>(image, parameters, gradients, sums.gradient, grad);
    team.each_pixel(image, [&](Position& at) {
      grad[image.index(at.c, at.y, at.x)] +=
          Op::adjoint(image, parameters, gradients, sums.gradient, at);
    });
  }
};

// grad_weight, grad_magnitude [B, N]; g: room for one gradient image; `grad` may be `grad_image`
// where T computes in itself.
template <class Team, class T>
PYAUG_LANE void reverse_mix(Team& team, TeamMemory& memory, const Batch<T>& batch,
                            const int32_t* operation, const double* weight, const T* grad_out,
                            int64_t b, T* grad_image, double* grad_weight, double* grad_magnitude,
                            Compute<T>* grad, Compute<T>* g) {
  const Image<Compute<T>> sums = image_at(batch, grad);
  clear(team, sums, grad);
  if constexpr (requires { Team::whole_rows; }) team.begin_terms();
  for (int n = 0; n < batch.steps; ++n) {
    const int64_t bn = b * batch.steps + n;
    const Image<T> image = image_at(batch, pixels_of(batch, b));
    const Step<T> step = step_of(batch, b, n);
    Operations::visit(operation[n], ReverseTerm<Team, T>{team, memory, image, step, grad_out,
                                                         static_cast<Compute<T>>(weight[bn]), grad,
                                                         g, grad_weight[bn], grad_magnitude[bn]});
  }
  if constexpr (requires { Team::whole_rows; }) team.end_terms(sums, grad);
  store(team, image_at(batch, grad_image), grad, grad_image);
}

}  // namespace pyaug::inline PYAUG_ISA
