// Rows of bytes at the columns of an output row, and output rows between two of them: the bilinear
// rule where columns and rows do not depend on each other.
#pragma once

#include <bit>

#include "lanes.h"
#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

// Values v from 0 to 255 as floats 2^23 + 32,768 v + 4, rounded to whole numbers: the lower bits
// are that number itself, so that nothing is converted. Part q has byte q of each four.
constexpr int32_t kRaised = 0x4b000000 + 4;

inline Quarters<Floats> raised(Bytes bytes) {
  const Ints fours = (Ints)bytes;
  const auto part = [](Ints at_15) { return (Floats)((at_15 & 255 << 15) | kRaised); };
  return {{part(fours << 15), part(fours << 7), part(fours >> 1), part(fours >> 9)}};
}
// The whole numbers below them.
inline Bytes lowered(const Quarters<Ints>& value) {
  const auto either = [](int mask, Ints a, Ints b) { return (a & mask) | (b & ~mask); };
  const Ints low = either(255, value.part[0] >> 15, value.part[1] >> 7);
  const Ints high = either(255 << 16, value.part[2] << 1, value.part[3] << 9);
  return (Bytes)either(0xffff, low, high);
}

// row[at[i]] for the same `at` in many rows. Where those of kPicked neighbours lie within as many
// bytes, as in every enlargement, one instruction picks them.
class Picker {
 public:
  Picker(const int32_t* at, int count, int width) : at_(at), count_(count), width_(width) {
#ifdef __AVX2__
    picks_ = kPicked == 64 || width >= kPicked;
    std::fill(offset_, offset_ + kBlock, kNone);
    for (int i = 0; i < count; ++i) {
      int& start = start_[i / kPicked];
      if (i % kPicked == 0) start = std::min(at[i], std::max(width - kPicked, 0));
      const int offset = at[i] - start;
      picks_ &= offset >= 0 && offset < kPicked;
      offset_[i] = static_cast<uint8_t>(offset);
    }
#endif
  }

  // A register of them from the i-th on, which is a register's first; zeros after the last one.
  PYAUG_LANE Bytes operator()(const uint8_t* row, int i) const {
#if defined(__AVX512VBMI__)
    if (picks_) {
      const uint8_t* const from = row + start_[i / kPicked];
      __builtin_prefetch(from + kAhead);
      const __m512i bytes = _mm512_maskz_loadu_epi8(first(row + width_ - from), from);
      return (Bytes)_mm512_maskz_permutexvar_epi8(first(count_ - i), _mm512_load_si512(offset_ + i),
                                                  bytes);
    }
#elif defined(__AVX2__)
    if (picks_) {
      const auto near = [=, this](int k) {
        const uint8_t* const from = row + start_[i / kPicked + k];
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      };
      const Bytes offsets = load_bytes(offset_ + i, sizeof(Bytes));
      return (Bytes)_mm256_shuffle_epi8(_mm256_set_m128i(near(1), near(0)), (__m256i)offsets);
    }
#endif
    uint8_t bytes[sizeof(Bytes)] = {};
    for (int k = 0; k < std::min(static_cast<int>(sizeof bytes), count_ - i); ++k)
      bytes[k] = row[at_[i + k]];
    return load_bytes(bytes, sizeof bytes);
  }

 private:
#ifdef __AVX512VBMI__
  static constexpr int kPicked = 64;
#else
  static constexpr int kPicked = 16;
#endif
  static constexpr uint8_t kNone = 128;  // what AVX2's shuffle makes a zero of

  const int32_t* at_;
  int count_, width_;
#ifdef __AVX2__
  bool picks_;
  int start_[kBlock / kPicked] = {};  // where the bytes begin of which they are picked
  alignas(64) uint8_t offset_[kBlock];
#endif
};

// A row of the image at the columns of an output row.
struct StretchedRow {
  alignas(64) uint8_t left[kBlock], right[kBlock];  // the neighbours of each
  alignas(64) uint8_t even[kBlock];                 // 255 where these are one number, else 0
  alignas(64) float value[kBlock];                  // between them: raised, part by part
};

// Pillow computes in double and truncates. So does this, but only where float32 does not tell which
// whole number lies below.
class Stretch {
 public:
  // Column i lies between columns left[i] and right[i] of the image, dx[i] of the way.
  Stretch(const int32_t* left, const int32_t* right, const double* dx, int count, int width)
      : dx_(dx), count_(count), lefts_(left, count, width), rights_(right, count, width) {
    for (int i = 0; i < count; i += kBytes)
      for (int k = 0; k < kBytes; ++k)
        way_[i + k % 4 * kFloats + k / 4] = i + k < count ? static_cast<float>(dx[i + k]) : 0;
  }

  __attribute__((noinline)) void find(const uint8_t* in, StretchedRow& row) const {
    for (int i = 0, count = count_; i < count; i += kBytes) {
      const Bytes lefts = lefts_(in, i), rights = rights_(in, i);
      store_bytes(lefts, row.left + i, kBytes);
      store_bytes(rights, row.right + i, kBytes);
      store_bytes((Bytes)(lefts == rights), row.even + i, kBytes);
      const Quarters<Floats> left = raised(lefts), right = raised(rights);
      for (int q = 0; q < 4; ++q)
        put(row.value + i + q * kFloats, product_sum(right.part[q] - left.part[q],
                                                     floats(way_ + i + q * kFloats), left.part[q]));
    }
  }

  __attribute__((noinline)) void between(const StretchedRow& top, const StretchedRow& bottom,
                                         double dy, uint8_t* to) const {
    const Floats way = Floats{} + static_cast<float>(dy);
    for (int i = 0, count = count_; i < count; i += kBytes) {
      Quarters<Ints> value;
      for (int q = 0; q < 4; ++q) {
        const Floats from = floats(top.value + i + q * kFloats);
        const Floats apart = floats(bottom.value + i + q * kFloats) - from;
        value.part[q] = (Ints)product_sum(apart, way, from);
      }
      Bytes bytes = lowered(value);
      const Bytes same = corners_agree(top, bottom, i);
      const Shorts even = fractions(value.part[0], value.part[2]) | ((Shorts)same & 255);
      const Shorts odd = fractions(value.part[1], value.part[3]) | ((Shorts)same & ~255);
      if (any_zero(even, odd)) mend(top, bottom, dy, i, doubtful(value) & ~flags(same), bytes);
      store_bytes(bytes, to + i, count - i);
    }
  }

 private:
  static constexpr int kBytes = sizeof(Bytes), kFloats = kBytes / 4;
  // Of a raised value all 0 within 4 / 32,768 of a whole number. All roundings together come to
  // half of that: of a row 1/4 by its way, 1/4 by the product, 1/2 by the sum, and as much between
  // two.
  static constexpr int16_t kFraction = 0x7ff8;

  static Floats floats(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
  }
  static void put(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

  // Those bits of two parts.
  static Shorts fractions(Ints a, Ints b) { return (Shorts)((a & 0xffff) | (b << 16)) & kFraction; }
  // Of which pixels the whole number below is in doubt.
  static uint64_t doubtful(const Quarters<Ints>& value) {
    Quarters<Ints> zero;
    for (int q = 0; q < 4; ++q) zero.part[q] = ((value.part[q] & kFraction) == 0) & 255 << 15;
    return flags(lowered(zero));
  }

  // 255 where all four neighbours are one number, which float32 keeps.
  static Bytes corners_agree(const StretchedRow& top, const StretchedRow& bottom, int i) {
    const Bytes corner = load_bytes(top.left + i, kBytes);
    return (Bytes)(corner == load_bytes(bottom.left + i, kBytes)) &
           load_bytes(top.even + i, kBytes) & load_bytes(bottom.even + i, kBytes);
  }
  PYAUG_LANE void mend(const StretchedRow& top, const StretchedRow& bottom, double dy, int first,
                       uint64_t doubtful, Bytes& bytes) const {
    for (; doubtful; doubtful &= doubtful - 1) {
      const int k = std::countr_zero(doubtful), i = first + k;
      if (i >= count_) return;
      const auto at = [&](const StretchedRow& row) {
        return ::pyaug::between<double>(row.left[i], row.right[i], dx_[i]);
      };
      bytes[k] = static_cast<uint8_t>(static_cast<int>(::pyaug::between(at(top), at(bottom), dy)));
    }
  }

  const double* dx_;
  int count_;
  Picker lefts_, rights_;
  alignas(64) float way_[kBlock];
};

}  // namespace pyaug::inline PYAUG_ISA
