// The team of a GPU: the lanes of one block, which work on one image together.
//
// A Block is what the device gives: the lane's number, barriers, exchanges between lanes, shared
// counters. cuda.cu has the real one; cpu/block.h one whose lanes take turns, for the tests.
#pragma once

#include "bytes.h"

namespace pyaug::inline PYAUG_ISA {

// How many lanes work on an image, at most, and how many such blocks share the registers of a
// multiprocessor. Mixtures, whose batches are small, have one.
struct LaunchShape {
  int lanes, resident;
};
template <class Task>
inline constexpr LaunchShape kLaunch{256, 3};
template <class T>
inline constexpr LaunchShape kLaunch<ReverseApplyTask<T>>{256, 2};
template <class T>
inline constexpr LaunchShape kLaunch<MixTask<T>>{768, 1};
template <class T>
inline constexpr LaunchShape kLaunch<ReverseMixTask<T>>{512, 1};

template <class Task>
inline int lanes_for(const Task&) {
  return kLaunch<Task>.lanes;
}
// What is done once for an image is done by every warp of its block, and its barriers wait for the
// slowest: a small image has one warp. (Sums of floats depend on the number of lanes, which for
// each kernel is one.)
inline int lanes_for(const ApplyTask<uint8_t>& task) {
  int lanes = 32;
  while (lanes < kLaunch<ApplyTask<uint8_t>>.lanes && task.batch.pixels() > 128 * lanes) lanes *= 2;
  return lanes;
}

// Every n-th of an image's pixels, or groups of them, row by row and channel by channel, without a
// division for each.
struct Stride {
  int rows, columns;

  PYAUG_LANE Stride(int n, int width) : rows(n / width), columns(n % width) {}

  PYAUG_LANE Position start(int pixel, int width, int height) const {
    Position at;
    at.x = pixel % width;
    at.y = pixel / width;
    carry(at, height);
    return at;
  }
  PYAUG_LANE void advance(Position& at, int width, int height) const {
    at.x += columns;
    at.y += rows;
    if (at.x >= width) {
      at.x -= width;
      ++at.y;
    }
    carry(at, height);
  }
  PYAUG_LANE static void carry(Position& at, int height) {
    while (at.y >= height) {
      at.y -= height;
      ++at.c;
    }
  }
};

template <class Block>
class BlockTeam {
 public:
  struct Shared {
    uint32_t histogram[kHistogramBins];
    alignas(8) unsigned char partial[32 * 8];  // a value of any type for each warp
    uint8_t table[kMaxChannels * 256];
  };

  PYAUG_LANE BlockTeam(Block& block, Shared& shared) : block_(block), shared_(shared) {}

  PYAUG_LANE int lane() const { return block_.lane(); }
  PYAUG_LANE int size() const { return block_.size(); }
  PYAUG_LANE void sync() const { block_.sync(); }

  template <class T>
  PYAUG_LANE T sum(T value) const {
    return reduce(value, [](T a, T b) { return a + b; });
  }
  template <class T>
  PYAUG_LANE T smallest(T value) const {
    return reduce(value, [](T a, T b) { return b < a ? b : a; });
  }
  template <class T>
  PYAUG_LANE T largest(T value) const {
    return reduce(value, [](T a, T b) { return a < b ? b : a; });
  }
  // core/team.h has what these compute.
  template <class F>
  PYAUG_LANE double total(int64_t n, const F& f) const {
    double part = 0;
    for (int64_t i = lane(); i < n; i += size()) part += f(i);
    return sum(part);
  }
  template <class T>
  PYAUG_LANE auto range(const T* plane, int64_t n) const {
    using V = std::conditional_t<is_exact<T>, uint8_t, Compute<T>>;
    V low = static_cast<V>(plane[0]), high = low;
    const auto meet = [&](V v) {
      low = v < low ? v : low;
      high = v > high ? v : high;
    };
    if constexpr (is_exact<T>)
      read_bytes<1>({plane}, n, [&](const uint8_t* v) { meet(*v); });
    else
      for (int64_t i = lane(); i < n; i += size()) meet(static_cast<V>(plane[i]));
    return Range<V>{smallest(low), largest(high)};
  }
  PYAUG_LANE int64_t total_luma(const Image<uint8_t>& image) const {
    const int64_t area = image.area();
    const uint8_t* const r = image.pixels;
    int64_t part = 0;
    if (image.channels == 1)
      read_bytes<1>({r}, area, [&](const uint8_t* v) { part += *v; });
    else
      read_bytes<3>({r, r + area, r + 2 * area}, area,
                    [&](const uint8_t* v) { part += luma(v[0], v[1], v[2]); });
    return sum(part);
  }
  PYAUG_LANE uint32_t* histogram() { return shared_.histogram; }
  PYAUG_LANE void clear_histogram() {  // of which nobody reads any more
    for (int i = lane(); i < kHistogramBins; i += size()) shared_.histogram[i] = 0;
    sync();
  }
  template <class T, class Bin>
  PYAUG_LANE void count(const T* plane, int64_t n, int first, const Bin& bin) {
    if constexpr (is_exact<T>)
      read_bytes<1>({plane}, n, [&](const uint8_t* v) { count_one(first + *v); });
    else
      for (int64_t i = lane(); i < n; i += size()) count_one(first + bin(plane[i]));
  }

  // By 32 lanes, eight bins each.
  PYAUG_LANE uint32_t accumulate(int first) {
    constexpr int each = 256 / 32;
    const bool takes_part = lane() < 32;
    uint32_t* const bins = shared_.histogram + first + (takes_part ? each * lane() : 0);
    uint32_t* const sums = reinterpret_cast<uint32_t*>(shared_.partial);
    sync();
    if (takes_part) {
      uint32_t sum = 0;
      for (int k = 0; k < each; ++k) sum += bins[k];
      sums[lane()] = sum;
    }
    sync();
    uint32_t sum = 0, before = 0;
    if (takes_part) {
      PYAUG_ROLLED
      for (int i = 0; i < lane(); ++i) sum += sums[i];
      for (int k = 0; k < each; ++k) {
        const uint32_t count = bins[k];
        bins[k] = sum;
        if (count > 0) before = sum;
        sum += count;
      }
    }
    return largest(before);
  }

  template <class T, class Body>
  PYAUG_LANE void each_pixel(const Image<T>& image, Body body) const {
    const Stride stride(size(), image.width);
    Position at = stride.start(lane(), image.width, image.height);
    for (; at.c < image.channels; stride.advance(at, image.width, image.height)) {
      body(at);
      block_.forget();
    }
  }

  template <class T>
  static constexpr bool runs = is_exact<T>;
  // One step of a program, on bytes. Parameters stay in shared memory, where all lanes read them.
  template <class Op>
  PYAUG_LANE bool run(const Image<uint8_t>& image, const typename Op::Parameters& p, uint8_t* out) {
    step_on_bytes<Op>(*this, image, p, shared_.table, out);
    return true;
  }

  // Pointers of which a compiler may know where they point.
  PYAUG_LANE static const uint8_t* in_shared_memory(const uint8_t* p) {
    return Block::in_shared_memory(p);
  }
  PYAUG_LANE static const uint8_t* in_device_memory(const uint8_t* p) {
    return Block::in_device_memory(p);
  }
  // Asks for an image before it is read here and there, unless it is so large that many of them
  // would drive each other out of the cache.
  PYAUG_LANE void fetch(const uint8_t* pixels, int64_t size) const {
    constexpr int line = 128, most = 1 << 18;
    if (size > most) return;
    for (int64_t i = int64_t{line} * lane(); i < size; i += int64_t{line} * this->size())
      block_.fetch(pixels + i);
  }
  // body(y, x) of every fourth x, where width % 4 == 0. A warp's lanes take 32 x 4 pixels, so that
  // those of a turned image, too, come from few lines of memory.
  template <class Body>
  PYAUG_LANE void each_four(int height, int width, const Body& body) const {
    for (int y = lane() / 8; y < height; y += size() / 8)
      for (int x = lane() % 8 * 4; x < width; x += 8 * 4) body(y, x);
  }

 private:
  PYAUG_LANE void count_one(int bin) { block_.add_one(shared_.histogram[bin]); }

  template <int In, class F>
  PYAUG_LANE void read_bytes(const uint8_t* const (&in)[In], int64_t n, const F& f) const {
    Streams<In, 0> arrays{};
    for (int a = 0; a < In; ++a) arrays.in[a] = in[a];
    stream(*this, arrays, n, [&](const uint8_t* v, uint8_t*) { f(v); });
  }
  // A tree over each warp, then over the warps; every lane gets the result. All lanes take part.
  template <class T, class Combine>
  PYAUG_LANE T reduce(T value, Combine combine) const {
    static_assert(sizeof(T) <= sizeof(double));
    for (int offset = 16; offset > 0; offset /= 2)
      value = combine(value, block_.across(value, offset));
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

  Block& block_;
  Shared& shared_;
};

}  // namespace pyaug::inline PYAUG_ISA
