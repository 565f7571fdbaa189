// Rows of bytes at the columns of an output row, and output rows between two of them: the bilinear
// rule where columns and rows do not depend on each other.
#pragma once

#include <bit>

#include "lanes.h"
#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

// row[at[i]] for the same `at` in many rows. Where those of kPicked neighbours lie within as many
// bytes, as in every enlargement, one instruction picks them.
class Picker {
 public:
  Picker(const int32_t* at, int count, int width) : at_(at), count_(count), width_(width) {
#ifdef __AVX2__
    picks_ = kPicked == 64 || width >= kPicked;
    for (int i = 0; i < count; ++i) {
      const int offset = at[i] - start(i);
      picks_ &= offset >= 0 && offset < kPicked;
      offset_[i] = static_cast<uint8_t>(offset);
    }
#endif
  }

  // After the last one, zeros up to a whole number of registers.
  void operator()(const uint8_t* row, uint8_t* to) const {
    constexpr int size = sizeof(Bytes);
    store_bytes(Bytes{}, to + (count_ - 1) / size * size, size);
#ifdef __AVX2__
    if (picks_) {
      for (int i = 0; i < count_; i += kPicked) {
        const uint8_t* const from = row + start(i);
#ifdef __AVX512VBMI__
        __builtin_prefetch(from + kAhead);
        const __m512i bytes = _mm512_maskz_loadu_epi8(first(width_ - start(i)), from);
        const __m512i offsets = _mm512_load_si512(offset_ + i);
        _mm512_store_si512(to + i, _mm512_maskz_permutexvar_epi8(~__mmask64{0}, offsets, bytes));
#else
        const auto load = [](const uint8_t* p) {
          return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        };
        _mm_store_si128(reinterpret_cast<__m128i*>(to + i),
                        _mm_shuffle_epi8(load(from), load(offset_ + i)));
#endif
      }
      return;
    }
#endif
    for (int i = 0; i < count_; ++i) to[i] = row[at_[i]];
  }

 private:
#ifdef __AVX512VBMI__
  static constexpr int kPicked = 64;
#else
  static constexpr int kPicked = 16;
#endif
  // Where the bytes begin of which i and its neighbours are picked.
  int start(int i) const {
    return std::min(at_[i / kPicked * kPicked], std::max(width_ - kPicked, 0));
  }

  const int32_t* at_;
  int count_, width_;
#ifdef __AVX2__
  bool picks_;
  alignas(64) uint8_t offset_[kBlock] = {};
#endif
};

// A row of the image at the columns of an output row.
struct StretchedRow {
  alignas(64) uint8_t left[kBlock], right[kBlock];  // the neighbours of each
  alignas(64) float value[kBlock];                  // times 65,536; in each register's own order
};

// Pillow computes in double and truncates. So does this, but only where float32 does not tell which
// whole number lies below.
class Stretch {
 public:
  // Column i lies between columns left[i] and right[i] of the image, dx[i] of the way.
  Stretch(const int32_t* left, const int32_t* right, const double* dx, int count, int width)
      : dx_(dx), count_(count), lefts_(left, count, width), rights_(right, count, width) {
    Bytes place;
    for (int k = 0; k < kBytes; ++k) place[k] = static_cast<uint8_t>(k);
    const Quarters<Floats> places = scaled(widened(place));
    for (int i = 0; i < count; i += kBytes)
      for (int q = 0; q < 4; ++q)
        for (int k = 0; k < kFloats; ++k) {
          const int at = i + static_cast<int>(places.part[q][k]) / 65536;
          way_[i + q * kFloats + k] = at < count ? static_cast<float>(dx[at]) : 0;
        }
  }

  __attribute__((noinline)) void find(const uint8_t* in, StretchedRow& row) const {
    lefts_(in, row.left);
    rights_(in, row.right);
    for (int i = 0, count = count_; i < count; i += kBytes) {
      const Halves<Shorts> left = widened(load_bytes(row.left + i, kBytes));
      const Halves<Shorts> right = widened(load_bytes(row.right + i, kBytes));
      const Quarters<Floats> from = scaled(left);
      const Quarters<Floats> apart = scaled({right.low - left.low, right.high - left.high});
      for (int q = 0; q < 4; ++q)
        put(row.value + i + q * kFloats,
            product_sum(apart.part[q], floats(way_ + i + q * kFloats), from.part[q]));
    }
  }

  __attribute__((noinline)) void between(const StretchedRow& top, const StretchedRow& bottom,
                                         double dy, uint8_t* to) const {
    const Floats way = Floats{} + static_cast<float>(dy);
    for (int i = 0, count = count_; i < count; i += kBytes) {
      Quarters<Ints> value;
      Ints sure = Ints{} - 1;
      for (int q = 0; q < 4; ++q) {
        const Floats from = floats(top.value + i + q * kFloats);
        const Floats apart = floats(bottom.value + i + q * kFloats) - from;
        value.part[q] = __builtin_convertvector(product_sum(apart, way, from), Ints);
        sure &= -away_from_whole(value.part[q]);
      }
      Bytes bytes = narrowed(value, [](Ints v) { return v >> 16; });
      if (flags((Bytes)(sure >= 0)))
        if (const uint64_t differ = corners_differ(top, bottom, i)) {
          const Bytes close =
              narrowed(value, [](Ints v) { return (Ints)(away_from_whole(v) == 0) & 1; });
          mend(top, bottom, dy, i, differ & flags(close), bytes);
        }
      store_bytes(bytes, to + i, count - i);
    }
  }

 private:
  static constexpr int kBytes = sizeof(Bytes), kFloats = kBytes / 4;

  static Floats floats(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof values);
    return values;
  }
  static void put(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }
  // 0 within 8 of a whole number, in 65,536ths. All roundings together are less than 5: 1.5 of a
  // row (its way, product and sum), 2 of a value between two (difference, way, product and sum),
  // and less than 1 of what is cut off.
  static Ints away_from_whole(Ints value) { return (value + 8) & 0xfff0; }

  // Which pixels have neighbours that differ: float32 keeps the number that all four are.
  static uint64_t corners_differ(const StretchedRow& top, const StretchedRow& bottom, int i) {
    const Bytes corner = load_bytes(top.left + i, kBytes);
    return flags((corner ^ load_bytes(top.right + i, kBytes)) |
                 (corner ^ load_bytes(bottom.left + i, kBytes)) |
                 (corner ^ load_bytes(bottom.right + i, kBytes)));
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
