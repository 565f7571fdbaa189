// Who works on one image: one CPU thread, or the threads of one CUDA block.
//
// Code written for a team visits pixels through `each_pixel` and combines what its lanes found with
// sum, smallest and largest, whose order is fixed: the same bits every time.
#pragma once

#include "image.h"

namespace pyaug {

constexpr int kHistogramBins = kMaxChannels * 256;

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
  // Parameters for a loop over pixels. A copy, as a store to bytes may alias anything else.
  template <class P>
  P local(const P& parameters) const {
    return parameters;
  }
  uint32_t* histogram() { return histogram_; }
  void clear_histogram() {
    for (uint32_t& bin : histogram_) bin = 0;
  }
  void count(int bin) { ++histogram_[bin]; }

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
  __device__ void count(int bin) { atomicAdd(&shared_.histogram[bin], 1u); }

  template <int margin = 0, class T, class Body>
  __device__ void each_pixel(const Image<T>& image, Body body) const {
    const Stride stride(size(), image.width);
    Position at = stride.start(lane(), image.width, image.height);
    for (; at.c < image.channels; stride.advance(at, image.width, image.height)) body(at);
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
    for (int warp = 1; warp < warps; ++warp) total = combine(total, partial[warp]);
    return total;
  }

  Shared& shared_;
};

#endif

}  // namespace pyaug
