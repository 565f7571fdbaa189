// Sums in lanes, which the compiler does not find by itself, or must not.
#pragma once

#include <cstring>

#include "lanes.h"

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
#ifdef PYAUG_WIDE
  Wide sum{};
  const auto add = [&](Bytes some) { sum += PYAUG_WIDE(sad_epu8)((Wide)some, Wide{}); };
  constexpr int size = sizeof(Bytes);
  int i = 0;
  for (; i + size <= n; i += size) add(load_bytes(bytes + i, size));
  if (i < n) add(load_bytes(bytes + i, n - i));
  int64_t total = 0;
  for (size_t k = 0; k < sizeof sum / sizeof total; ++k) total += sum[k];
  return total;
#else
  uint32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += bytes[i];
  return sum;
#endif
}

}  // namespace pyaug::inline PYAUG_ISA
