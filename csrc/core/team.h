// Who works on one image: one thread of a CPU, here, or the lanes of a GPU's block (cuda/team.h).
//
// Code written for a team visits pixels through `each_pixel` and combines what its lanes found with
// sum, whose order is fixed: the same bits every time.
#pragma once

#include <cstring>
#include <type_traits>

#include "image.h"

namespace pyaug::inline PYAUG_ISA {

constexpr int kHistogramBins = kMaxChannels * 256;

template <class V>
struct Range {
  V low, high;
};

class SerialTeam {
 public:
  int lane() const { return 0; }
  int size() const { return 1; }
  void sync() const {}
  template <class T>
  T sum(T value) const {
    return value;
  }
  // The sum of f(i) over [0, n), by turns in several parts, as each addition waits for the one
  // before.
  template <class F>
  double total(int64_t n, const F& f) const {
    constexpr int lanes = 32;
    double part[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (int l = 0; l < lanes; ++l) part[l] += f(i + l);
    for (; i < n; ++i) part[0] += f(i);
    for (int l = 1; l < lanes; ++l) part[0] += part[l];
    return part[0];
  }
  // The smallest and the largest of n >= 1 pixels.
  template <class T>
  auto range(const T* plane, int64_t n) const {
    using V = std::conditional_t<is_exact<T>, uint8_t, Compute<T>>;
    constexpr int lanes = 64;
    V low[lanes], high[lanes];
    for (int l = 0; l < lanes; ++l) low[l] = high[l] = static_cast<V>(plane[l < n ? l : n - 1]);
    int64_t i = 0;
    const auto meet = [&](V v, int l) {
      low[l] = v < low[l] ? v : low[l];
      high[l] = v > high[l] ? v : high[l];
    };
    for (; i + lanes <= n; i += lanes)
      for (int l = 0; l < lanes; ++l) meet(static_cast<V>(plane[i + l]), l);
    for (; i < n; ++i) meet(static_cast<V>(plane[i]), 0);
    for (int l = 1; l < lanes; ++l) {
      low[0] = low[l] < low[0] ? low[l] : low[0];
      high[0] = high[l] > high[0] ? high[l] : high[0];
    }
    return Range<V>{low[0], high[0]};
  }
  uint32_t* histogram() { return histogram_; }
  void clear_histogram() {
    for (uint32_t& bin : histogram_) bin = 0;
  }
  // Counts the n pixels of a plane in the 256 bins from `first` on: bin(v), from 0 to 255, says in
  // which, and for bytes is the byte itself. Eight counters by turns: the next pixel often falls
  // into the same bin, and must not wait for this one. All eight of a bin lie together, so that
  // neighbours often write to one line of the cache.
  template <class T, class Bin>
  void count(const T* plane, int64_t n, int first, const Bin& bin) {
    constexpr int64_t most = 1 << 15;  // that 16 bits count
    constexpr int at_once = 1024;
    for (int64_t start = 0; start < n; start += most) {
      uint16_t counters[256][8] = {};
      const int64_t end = n - start < most ? n : start + most;
      for (int64_t i = start; i < end; i += at_once) {
        const int count = end - i < at_once ? static_cast<int>(end - i) : at_once;
        uint8_t bins[at_once];
        for (int k = 0; k < count; ++k) bins[k] = static_cast<uint8_t>(bin(plane[i + k]));
        int k = 0;
        for (; k + 8 <= count; k += 8) {
          uint64_t eight;
          std::memcpy(&eight, bins + k, 8);
          ++counters[eight & 255][0];
          ++counters[eight >> 8 & 255][1];
          ++counters[eight >> 16 & 255][2];
          ++counters[eight >> 24 & 255][3];
          ++counters[eight >> 32 & 255][4];
          ++counters[eight >> 40 & 255][5];
          ++counters[eight >> 48 & 255][6];
          ++counters[eight >> 56][7];
        }
        for (; k < count; ++k) ++counters[bins[k]][0];
      }
      uint32_t* const sums = histogram_ + first;
      for (int b = 0; b < 256; ++b)
        for (const uint16_t count : counters[b]) sums[b] += count;
    }
  }
  // Puts the running sum of the 256 bins from `first` on, each without its own, in their places;
  // returns that of the last bin in use.
  uint32_t accumulate(int first) {
    uint32_t* const bins = histogram_ + first;
    int last = 255;
    while (last > 0 && bins[last] == 0) --last;
    uint32_t sum = 0;
    for (int i = 0; i < 256; ++i) {
      const uint32_t count = bins[i];
      bins[i] = sum;
      sum += count;
    }
    return bins[last];
  }
  template <class T, class Body>
  void each_pixel(const Image<T>& image, Body body) const {
    Position at;
    for (at.c = 0; at.c < image.channels; ++at.c)
      for (at.y = 0; at.y < image.height; ++at.y)
        for (at.x = 0; at.x < image.width; ++at.x) body(at);
  }

 private:
  uint32_t histogram_[kHistogramBins];
};

}  // namespace pyaug::inline PYAUG_ISA
