// Rows of bytes at the columns of an output row, and output rows between two of them: the bilinear
// rule where columns and rows do not depend on each other.
#pragma once

#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

inline void between_columns(const uint8_t* left, const uint8_t* right, const double* dx, int n,
                            double* to) {
  for (int i = 0; i < n; ++i) to[i] = between<double>(left[i], right[i], dx[i]);
}

// Between two bytes, so that nothing needs a clip.
inline void between_rows(const double* top, const double* bottom, double dy, int n, uint8_t* to) {
  int i = 0;
#ifdef __AVX512VBMI__
  for (; i + 8 <= n; i += 8) {
    const __m512d a = _mm512_loadu_pd(top + i), b = _mm512_loadu_pd(bottom + i);
    const __m256i whole = _mm512_maskz_cvttpd_epi32(0xff, between(a, b, _mm512_set1_pd(dy)));
    _mm256_mask_cvtepi32_storeu_epi8(to + i, 0xff, whole);
  }
#endif
  for (; i < n; ++i) to[i] = static_cast<uint8_t>(static_cast<int>(between(top[i], bottom[i], dy)));
}

#ifdef __AVX512VBMI__
// row[at[i]] for the same `at` in many rows, 64 of them at a time. Where they lie within 64 bytes,
// as in every enlargement, one instruction picks them.
class Picker {
 public:
  Picker(const int32_t* at, int count) : at_(at), count_(count) {
    for (int i = 0; i < count; ++i) {
      const uint32_t offset = static_cast<uint32_t>(at[i] - at[i / 64 * 64]);
      narrow_ &= offset < 64;
      offset_[i] = static_cast<uint8_t>(offset);
    }
  }

  // Those from i on; after the last one, any.
  __m512i operator()(const uint8_t* row, int width, int i) const {
    if (narrow_) {
      const uint8_t* const start = row + at_[i];
      __builtin_prefetch(start + kAhead);
      const __m512i bytes = _mm512_maskz_loadu_epi8(first(width - at_[i]), start);
      return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, _mm512_load_si512(offset_ + i), bytes);
    }
    uint8_t picked[64] = {};
    for (int k = 0; k < 64 && i + k < count_; ++k) picked[k] = row[at_[i + k]];
    return _mm512_loadu_si512(picked);
  }

 private:
  const int32_t* at_;
  int count_;
  bool narrow_ = true;
  alignas(64) uint8_t offset_[kBlock] = {};
};
#endif

// A row of the image at the columns of an output row.
struct StretchedRow {
#ifdef __AVX512VBMI__
  alignas(64) uint8_t left[kBlock], right[kBlock];  // the neighbours of each
  __mmask64 same[kBlock / 64];                      // where these are one number
  alignas(64) float value[kBlock];                  // times 65,536
#else
  double value[kBlock];
#endif
};

// Pillow computes in double and truncates. So does this, but with AVX-512 only where float32 does
// not tell which whole number lies below.
class Stretch {
 public:
  // Column i lies between columns left[i] and right[i] of the image, dx[i] of the way.
  Stretch(const int32_t* left, const int32_t* right, const double* dx, int count)
      : left_(left), right_(right), dx_(dx), count_(count) {
#ifdef __AVX512VBMI__
    for (int i = 0; i < count; ++i) way_[i] = static_cast<float>(dx[i] * 65536.0);
#endif
  }

  __attribute__((noinline)) void find(const uint8_t* in, int width, StretchedRow& row) const {
#ifdef __AVX512VBMI__
    for (int i = 0; i < count_; i += 64) {
      // Whole registers: what a mask has stored cannot be loaded again at once.
      const __m512i left = lefts_(in, width, i), right = rights_(in, width, i);
      _mm512_store_si512(row.left + i, left);
      _mm512_store_si512(row.right + i, right);
      row.same[i / 64] = _mm512_cmpeq_epi8_mask(left, right);
      for (int k = i; k < i + 64; k += 16) {
        const __m512i a = sixteen(row.left + k), b = sixteen(row.right + k);
        const __m512 from =
            _mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_slli_epi32(0xffff, a, 16));
        const __m512 apart = _mm512_maskz_cvtepi32_ps(0xffff, _mm512_sub_epi32(b, a));
        _mm512_store_ps(row.value + k, _mm512_fmadd_ps(apart, _mm512_load_ps(way_ + k), from));
      }
    }
#else
    static_cast<void>(width);
    uint8_t left[kBlock], right[kBlock];
    for (int i = 0; i < count_; ++i) left[i] = in[left_[i]];
    for (int i = 0; i < count_; ++i) right[i] = in[right_[i]];
    between_columns(left, right, dx_, count_, row.value);
#endif
  }

  __attribute__((noinline)) void between(const StretchedRow& top, const StretchedRow& bottom,
                                         double dy, uint8_t* to) const {
#ifdef __AVX512VBMI__
    uint8_t third[64];  // bytes of two registers: the whole numbers
    for (int k = 0; k < 64; ++k) third[k] = static_cast<uint8_t>(4 * (k % 32) + 2);
    const __m512i places = _mm512_loadu_si512(third);
    const __m512 way = _mm512_set1_ps(static_cast<float>(dy));
    for (int i = 0; i < count_; i += 64) {
      __m512i value[4];
      __mmask16 near[4];
      for (int k = 0; k < 4; ++k) {
        const __m512 from = _mm512_loadu_ps(top.value + i + 16 * k);
        const __m512 apart = _mm512_loadu_ps(bottom.value + i + 16 * k) - from;
        value[k] = _mm512_maskz_cvtps_epi32(0xffff, _mm512_fmadd_ps(apart, way, from));
        // All roundings together are less than 4; here is told what lies within 8.
        const __m512i above = _mm512_add_epi32(value[k], _mm512_set1_epi32(8));
        near[k] = _mm512_testn_epi32_mask(above, _mm512_set1_epi32(0xfff0));
      }
      const __m512i low = _mm512_permutex2var_epi8(value[0], places, value[1]);
      const __m512i high = _mm512_permutex2var_epi8(value[2], places, value[3]);
      __m512i bytes = _mm512_mask_blend_epi8(~__mmask64{0} << 32, low, high);
      const __mmask64 close =
          _mm512_kunpackd(_mm512_kunpackw(near[3], near[2]), _mm512_kunpackw(near[1], near[0]));
      const __mmask64 here = first(count_ - i);
      if (here & close & ~flat(top, bottom, i)) bytes = in_double(top, bottom, dy, i);
      _mm512_mask_storeu_epi8(to + i, here, bytes);
    }
#else
    between_rows(top.value, bottom.value, dy, count_, to);
#endif
  }

 private:
#ifdef __AVX512VBMI__
  static __m512i sixteen(const uint8_t* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm512_maskz_cvtepu8_epi32(0xffff, bytes);
  }
  // Where all four neighbours are one number, which float32 keeps.
  static __mmask64 flat(const StretchedRow& top, const StretchedRow& bottom, int i) {
    return top.same[i / 64] & bottom.same[i / 64] &
           _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(top.left + i),
                                  _mm512_loadu_si512(bottom.left + i));
  }
  __attribute__((noinline)) __m512i in_double(const StretchedRow& top, const StretchedRow& bottom,
                                              double dy, int i) const {
    const int n = std::min(64, count_ - i);
    double rows[2][64];
    uint8_t bytes[64] = {};
    between_columns(top.left + i, top.right + i, dx_ + i, n, rows[0]);
    between_columns(bottom.left + i, bottom.right + i, dx_ + i, n, rows[1]);
    between_rows(rows[0], rows[1], dy, n, bytes);
    return _mm512_loadu_si512(bytes);
  }
#endif
  const int32_t *left_, *right_;
  const double* dx_;
  int count_;
#ifdef __AVX512VBMI__
  Picker lefts_{left_, count_}, rights_{right_, count_};
  alignas(64) float way_[kBlock] = {};
#endif
};

}  // namespace pyaug::inline PYAUG_ISA
