// Who works on one image: one CPU thread, or the threads of one CUDA block.
//
// Code written for a team visits pixels through `each_pixel` and combines what its lanes found with
// sum, smallest and largest, whose order is fixed: the same bits every time.
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
  template <class T>
  T smallest(T value) const {
    return value;
  }
  template <class T>
  T largest(T value) const {
    return value;
  }
  // The sum of f(i) over [0, n): whole numbers as int64; others by turns in several parts, as each
  // addition waits for the one before.
  template <class F>
  auto total(int64_t n, const F& f) const {
    using V = decltype(f(int64_t{}));
    constexpr int lanes = std::is_integral_v<V> ? 1 : 32;
    std::conditional_t<std::is_integral_v<V>, int64_t, V> part[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (int l = 0; l < lanes; ++l) part[l] += f(i + l);
    for (; i < n; ++i) part[0] += f(i);
    for (int l = 1; l < lanes; ++l) part[0] += part[l];
    return part[0];
  }
  // The smallest and the largest f(i) over [0, n), n >= 1.
  template <class F>
  auto range(int64_t n, const F& f) const {
    using V = decltype(f(int64_t{}));
    constexpr int lanes = 64;
    V low[lanes], high[lanes];
    for (int l = 0; l < lanes; ++l) low[l] = high[l] = f(l < n ? l : n - 1);
    int64_t i = 0;
    const auto meet = [&](V v, int l) {
      low[l] = v < low[l] ? v : low[l];
      high[l] = v > high[l] ? v : high[l];
    };
    for (; i + lanes <= n; i += lanes)
      for (int l = 0; l < lanes; ++l) meet(f(i + l), l);
    for (; i < n; ++i) meet(f(i), 0);
    for (int l = 1; l < lanes; ++l) {
      low[0] = low[l] < low[0] ? low[l] : low[0];
      high[0] = high[l] > high[0] ? high[l] : high[0];
    }
    return Range<V>{low[0], high[0]};
  }
  // Parameters for a loop over pixels. A copy, as a store to bytes may alias anything else.
  template <class P>
  P local(const P& parameters) const {
    return parameters;
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
  // A margin above 0 makes a loop of its own for the pixels that lie further inside, one that the
  // compiler can vectorise.
  template <int margin = 0, class T, class Body>
  void each_pixel(const Image<T>& image, Body body) const {
    Position at;
    for (at.c = 0; at.c < image.channels; ++at.c)
      for (at.y = 0; at.y < image.height; ++at.y) {
        at.x = 0;
        if (margin > 0 && at.y >= margin && at.y < image.height - margin) {
          for (; at.x < margin && at.x < image.width; ++at.x) body(at);
          at.inner = true;
          for (; at.x < image.width - margin; ++at.x) body(at);
          at.inner = false;
        }
        for (; at.x < image.width; ++at.x) body(at);
      }
  }

 private:
  uint32_t histogram_[kHistogramBins];
};

#ifdef __CUDACC__

class BlockTeam {
 public:
  struct Shared {
    uint32_t histogram[kHistogramBins];
    double partial[32];
  };

  __device__ explicit BlockTeam(Shared& shared) : shared_(shared) {}

  __device__ int lane() const { return static_cast<int>(threadIdx.x); }
  __device__ int size() const { return static_cast<int>(blockDim.x); }
  __device__ void sync() const { __syncthreads(); }
  template <class T>
  __device__ T sum(T value) const {
    return reduce(value, [](T a, T b) { return a + b; });
  }
  template <class T>
  __device__ T smallest(T value) const {
    return reduce(value, [](T a, T b) { return b < a ? b : a; });
  }
  template <class T>
  __device__ T largest(T value) const {
    return reduce(value, [](T a, T b) { return a < b ? b : a; });
  }
  template <class F>
  __device__ auto total(int64_t n, const F& f) const {
    using V = decltype(f(int64_t{}));
    std::conditional_t<std::is_integral_v<V>, int64_t, V> sum = 0;
    for (int64_t i = lane(); i < n; i += size()) sum += f(i);
    return this->sum(sum);
  }
  template <class F>
  __device__ auto range(int64_t n, const F& f) const {
    using V = decltype(f(int64_t{}));
    V low = f(0), high = low;
    for (int64_t i = lane(); i < n; i += size()) {
      const V v = f(i);
      low = v < low ? v : low;
      high = v > high ? v : high;
    }
    return Range<V>{smallest(low), largest(high)};
  }
  // In shared memory, where all lanes read them.
  template <class P>
  __device__ const P& local(const P& parameters) const {
    return parameters;
  }
  __device__ uint32_t* histogram() { return shared_.histogram; }
  __device__ void clear_histogram() {
    sync();
    for (int i = lane(); i < kHistogramBins; i += size()) shared_.histogram[i] = 0;
    sync();
  }
  template <class T, class Bin>
  __device__ void count(const T* plane, int64_t n, int first, const Bin& bin) {
    for (int64_t i = lane(); i < n; i += size())
      atomicAdd(&shared_.histogram[first + bin(plane[i])], 1u);
  }

  template <int margin = 0, class T, class Body>
  __device__ void each_pixel(const Image<T>& image, Body body) const {
    const Stride stride(size(), image.width);
    Position at = stride.start(lane(), image.width, image.height);
    for (; at.c < image.channels; stride.advance(at, image.width, image.height)) {
      body(at);
      // What lies in shared memory is read again at the next pixel, not kept in registers.
      asm volatile("" ::: "memory");
    }
  }

 private:
  // A tree over each warp, then over the warps; every lane gets the result. All lanes take part.
  template <class T, class Combine>
  __device__ T reduce(T value, Combine combine) const {
    static_assert(sizeof(T) <= sizeof(double));
    for (int offset = 16; offset > 0; offset /= 2)
      value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
    T* partial = reinterpret_cast<T*>(shared_.partial);
    const int warps = size() / 32;
    sync();
    if (lane() % 32 == 0) partial[lane() / 32] = value;
    sync();
    T total = partial[0];
    PYAUG_ROLLED
    for (int warp = 1; warp < warps; ++warp) total = combine(total, partial[warp]);
    return total;
  }

  Shared& shared_;
};

#endif

}  // namespace pyaug::inline PYAUG_ISA
