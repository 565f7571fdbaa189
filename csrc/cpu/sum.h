// Sums in lanes, which the compiler does not find by itself, or must not.
#pragma once

#include <cstring>

#include "lanes.h"

namespace pyaug::inline PYAUG_ISA {

// Of runs of values, in an order of its own: lanes of the values' own type take a run each time,
// and their sums are added up in doubles. So a lane adds sixteen floats of a run of kBlock, at the
// price of a part in a million of the sum of their sizes.
class Sum {
 public:
  template <class F>
  void add(const F* x, int n) {
    add_each<F>(n, [x](int i) { return x[i]; }, [x](int i) { return load(x + i); });
  }
  template <class F>
  void add_products(const F* x, const F* y, int n) {
    add_each<F>(
        n, [=](int i) { return x[i] * y[i]; }, [=](int i) { return load(x + i) * load(y + i); });
  }
  double total() const {
    const Lanes all = (part_[0] + part_[1]) + (part_[2] + part_[3]);
    double sum = 0;
    for (int l = 0; l < 8; ++l) sum += all[l];
    return sum;
  }

 private:
  template <class F>
  struct PackOf {
    typedef F Type __attribute__((vector_size(64)));
  };
  template <class F>
  using Pack = typename PackOf<F>::Type;
  using Lanes = Pack<double>;

  template <class F>
  PYAUG_LANE static Pack<F> load(const F* x) {
    Pack<F> pack;
    std::memcpy(&pack, x, sizeof pack);
    return pack;
  }
  template <class F, class One, class Several>
  PYAUG_LANE void add_each(int n, const One& one, const Several& several) {
    constexpr int lanes = 64 / sizeof(F);
    Pack<F> few[2] = {};
    int i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes)
      for (int k = 0; k < 2; ++k) few[k] += several(i + k * lanes);
    for (int l = 0; i < n; ++i, ++l) part_[0][l % 8] += static_cast<double>(one(i));
    typedef F Half __attribute__((vector_size(8 * sizeof(F))));
    constexpr int halves = lanes / 8;
    Half half[2 * halves];
    std::memcpy(half, few, sizeof half);
    for (int k = 0; k < 2 * halves; ++k) part_[k] += __builtin_convertvector(half[k], Lanes);
  }

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
