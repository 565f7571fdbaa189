// A sum in doubles, in lanes of its own order: the compiler must not, and need not, change it.
#pragma once

#include <cstring>

#include "blocks.h"

namespace pyaug::inline PYAUG_ISA {

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

}  // namespace pyaug::inline PYAUG_ISA
