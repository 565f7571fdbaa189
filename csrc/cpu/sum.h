// Sums in lanes, which the compiler does not find by itself, or must not.
#pragma once

#include <cstring>

#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

// In doubles, in an order of its own.
class Sum {
 public:
  template <class F>
  void add(const F* x, int n) {
    typedef F Pack __attribute__((vector_size(8 * sizeof(F))));
    int i = 0;
    for (; i + 32 <= n; i += 32)
      for (int k = 0; k < 4; ++k) {
        Pack eight;
        std::memcpy(&eight, x + i + 8 * k, sizeof eight);
        part_[k] += __builtin_convertvector(eight, Lanes);
      }
    for (; i < n; ++i) part_[0][i % 8] += static_cast<double>(x[i]);
  }
  double total() const {
    const Lanes all = (part_[0] + part_[1]) + (part_[2] + part_[3]);
    double sum = 0;
    for (int l = 0; l < 8; ++l) sum += all[l];
    return sum;
  }

 private:
  using Lanes = double __attribute__((vector_size(64)));
  Lanes part_[4] = {};
};

// The sum of n <= kBlock bytes.
inline int64_t sum_of_bytes(const uint8_t* bytes, int n) {
  int64_t total = 0;
#ifdef __AVX512VBMI__
  __m512i sum = _mm512_setzero_si512();
  for (int i = 0; i < n; i += 64)
    sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_maskz_loadu_epi8(first(n - i), bytes + i),
                                                _mm512_setzero_si512()));
  int64_t lane[8];
  _mm512_storeu_si512(lane, sum);
  for (const int64_t part : lane) total += part;
#else
  uint32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += bytes[i];
  total = sum;
#endif
  return total;
}

}  // namespace pyaug::inline PYAUG_ISA
