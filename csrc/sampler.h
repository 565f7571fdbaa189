// A policy's table to the program of one image.
//
// Every decision compares 32 random bits with an integer threshold, so that all devices decide
// alike. The bits are Philox's: key = the seed, counter = (running number low, high, stage, draw).
#pragma once

#include "core/philox.h"
#include "core/platform.h"
#include "ops/ops.h"

namespace pyaug::inline PYAUG_ISA {

// The first row in [first, last) whose cumulative weight lies above `bits`; the last one at most.
PYAUG_LANE int pick(const int64_t* rows, int columns, int column, int first, int last,
                    uint32_t bits) {
  while (first + 1 < last) {
    const int middle = first + (last - first) / 2;
    if (static_cast<int64_t>(bits) < rows[static_cast<int64_t>(middle - 1) * columns + column])
      last = middle;
    else
      first = middle;
  }
  return first;
}

PYAUG_LANE double draw_magnitude(const PolicyTable& table, const int64_t* candidate, Words bits) {
  const int64_t count = candidate[kCandidateLevels], sets = candidate[kCandidateSign] != 0 ? 2 : 1;
  const int64_t first = candidate[kCandidateFirstLevel];
  const int64_t room = table.level_count;
  if (count <= 0 || count > room || first < 0 || first > room - sets * count) return 0.0;
  const double* levels = table.levels + first;
  if (sets == 2 && bits.word[3] < 0x80000000u) levels += count;
  const bool smooth = candidate[kCandidateSmooth] != 0;
  // 2^32 equal parts of the levels (or of the gaps between quantiles).
  const uint64_t place = static_cast<uint64_t>(bits.word[2]) * (smooth ? count - 1 : count);
  const int64_t i = static_cast<int64_t>(place >> 32);
  double m = levels[i];
  if (smooth && count > 1)
    m += static_cast<double>(place & 0xffffffffu) * (1.0 / 4294967296.0) * (levels[i + 1] - m);
  return m;
}

// force [1 + K] or null: which sub-policy and candidates to take; -1: drawn. It says which, never
// whether: probabilities are still drawn.
PYAUG_LANE void sample_image(const PolicyTable& table, uint64_t seed, uint64_t running,
                             const int32_t* force, int64_t b, const ProgramRows& out) {
  const uint32_t low = static_cast<uint32_t>(running), high = static_cast<uint32_t>(running >> 32);
  const int steps = table.stage_count;
  const Words top = philox(seed, {{low, high, 0u, 0u}});
  int policy = pick(table.sub_policies, kSubPolicyColumns, kSubPolicyCumulative, 0,
                    table.sub_policy_count, top.word[0]);
  if (force && force[0] >= 0 && force[0] < table.sub_policy_count) policy = force[0];
  const bool applied = static_cast<int64_t>(top.word[1]) <
                       table.sub_policies[policy * kSubPolicyColumns + kSubPolicyGate];
  int32_t* choice = out.choice + b * (1 + steps);
  choice[0] = applied ? policy : -1;
  for (int k = 0; k < steps; ++k) {
    const int64_t bk = b * steps + k;
    const uint32_t stage = static_cast<uint32_t>(k) + 1;
    const Words four = philox(seed, {{low, high, stage, 1u}});
    for (int i = 0; i < 4; ++i) out.noise[bk * 4 + i] = unit_float(four.word[i]);
    out.operation[bk] = kIdentity;
    out.magnitude[bk] = 0.0;
    choice[1 + k] = -1;
    const int64_t* range =
        table.stages + (static_cast<int64_t>(policy) * steps + k) * kStageColumns;
    const int first = static_cast<int>(range[kStageFirst]),
              last = static_cast<int>(range[kStageLast]);
    if (!applied || first < 0 || first >= last || last > table.candidate_count) continue;
    const Words bits = philox(seed, {{low, high, stage, 0u}});
    int drawn =
        pick(table.candidates, kCandidateColumns, kCandidateCumulative, first, last, bits.word[0]);
    if (force && force[1 + k] >= 0 && force[1 + k] < last - first) drawn = first + force[1 + k];
    const int64_t* candidate = table.candidates + static_cast<int64_t>(drawn) * kCandidateColumns;
    if (static_cast<int64_t>(bits.word[1]) >= candidate[kCandidateGate]) continue;
    choice[1 + k] = drawn - first;
    out.operation[bk] = static_cast<int32_t>(candidate[kCandidateOperation]);
    out.magnitude[bk] = draw_magnitude(table, candidate, bits);
  }
}

PYAUG_LANE void sample_row(const SampleTask& task, int64_t b) {
  const uint64_t running = static_cast<uint64_t>(task.index ? task.index[b] : task.state[1] + b);
  sample_image(task.table, static_cast<uint64_t>(task.state[0]), running,
               task.force ? task.force + b * (1 + task.table.stage_count) : nullptr, b, task.rows);
}

}  // namespace pyaug::inline PYAUG_ISA
