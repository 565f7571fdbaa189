// Bytes of several arrays, visited side by side by the lanes of a block: sixteen a load, several
// loads on their way at a time, as a GPU's memory answers late.
#pragma once

#include "../core/platform.h"

namespace pyaug::inline PYAUG_ISA {

// Bytes in words, the first one lowest, as both memories have them: by themselves they would take a
// register each.
struct alignas(16) Sixteen {
  uint32_t word[4];
};
PYAUG_LANE uint8_t byte_of(uint32_t word, int k) { return static_cast<uint8_t>(word >> (8 * k)); }
PYAUG_LANE uint32_t as_byte(uint8_t v, int k) { return static_cast<uint32_t>(v) << (8 * k); }

template <int In, int Out>
struct Streams {
  const uint8_t* in[In];
  uint8_t* out[Out > 0 ? Out : 1];

  PYAUG_LANE bool aligned() const {
    uintptr_t all = 0;
    for (int k = 0; k < In; ++k) all |= reinterpret_cast<uintptr_t>(in[k]);
    for (int k = 0; k < Out; ++k) all |= reinterpret_cast<uintptr_t>(out[k]);
    return all % 16 == 0;
  }
};

// f(from, to): one byte of each array, those of `to` to be given. The arrays lie in device memory.
template <class Team, int In, int Out, class F>
PYAUG_LANE void stream(const Team& team, Streams<In, Out> arrays, int64_t n, const F& f) {
  constexpr int at_once = In < 3 ? 4 / In : 1;
  const int lane = team.lane(), lanes = team.size();
  for (int a = 0; a < In; ++a) arrays.in[a] = team.in_device_memory(arrays.in[a]);
  const int64_t vectors = arrays.aligned() ? n / 16 : 0;
  for (int64_t first = lane; first < vectors; first += int64_t{at_once} * lanes) {
    Sixteen from[at_once][In];
    for (int k = 0; k < at_once; ++k) {
      const int64_t at = first + k * lanes;
      for (int a = 0; a < In; ++a)  // the last one again, rather than a branch
        from[k][a] =
            reinterpret_cast<const Sixteen*>(arrays.in[a])[at < vectors ? at : vectors - 1];
    }
    for (int k = 0; k < at_once; ++k) {
      const int64_t at = first + k * lanes;
      if (at >= vectors) break;
      Sixteen to[Out > 0 ? Out : 1] = {};
      for (int i = 0; i < 16; ++i) {
        uint8_t v[In], r[Out > 0 ? Out : 1];
        for (int a = 0; a < In; ++a) v[a] = byte_of(from[k][a].word[i / 4], i % 4);
        f(v, r);
        for (int a = 0; a < Out; ++a) to[a].word[i / 4] |= as_byte(r[a], i % 4);
      }
      for (int a = 0; a < Out; ++a) reinterpret_cast<Sixteen*>(arrays.out[a])[at] = to[a];
    }
  }
  for (int64_t i = 16 * vectors + lane; i < n; i += lanes) {
    uint8_t v[In], r[Out > 0 ? Out : 1];
    for (int a = 0; a < In; ++a) v[a] = arrays.in[a][i];
    f(v, r);
    for (int a = 0; a < Out; ++a) arrays.out[a][i] = r[a];
  }
}

}  // namespace pyaug::inline PYAUG_ISA
