// Tables of bytes: the loops that no compiler vectorises by itself.
#pragma once

#include <cstdint>

#include "blocks.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace pyaug::inline PYAUG_ISA {

#ifdef __AVX512VBMI__
// The first n of 64 lanes; none for n <= 0.
inline __mmask64 first(int64_t n) {
  return n >= 64 ? ~__mmask64{0} : n > 0 ? (__mmask64{1} << n) - 1 : 0;
}

// 256 bytes in registers.
class ByteTable {
 public:
  explicit ByteTable(const uint8_t* table) {
    for (int k = 0; k < 4; ++k) quarter_[k] = _mm512_loadu_si512(table + 64 * k);
  }
  // The entries of 64 numbers.
  __m512i operator[](__m512i v) const {
    const __m512i low = _mm512_permutex2var_epi8(quarter_[0], v, quarter_[1]);
    const __m512i high = _mm512_permutex2var_epi8(quarter_[2], v, quarter_[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high);
  }

 private:
  __m512i quarter_[4];
};
#endif

// out[i] = table[in[i]]; table [256].
inline void look_up(const uint8_t* table, const uint8_t* in, int64_t n, uint8_t* out) {
#ifdef __AVX512VBMI__
  const ByteTable found(table);
  for (int64_t i = 0; i < n; i += 64) {
    fetch_ahead(in + i, out + i);
    const __mmask64 here = first(n - i);
    const __m512i v = _mm512_maskz_loadu_epi8(here, in + i);
    _mm512_mask_storeu_epi8(out + i, here, found[v]);
  }
#else
  int64_t i = 0;
#ifdef __AVX2__
  // Sixteen tables of sixteen entries, which a shuffle finds by the lower half of a byte; it gives
  // zero where the byte's top bit is set. In each half of the table, a byte less 16 k is without it
  // for all k up to the byte's own: entries that hold what changes from one k to the next one
  // leave, together, its own.
  uint8_t change[256];
  for (int v = 0; v < 256; ++v) change[v] = table[v] ^ (v % 128 < 16 ? 0 : table[v - 16]);
  const auto entries = [&](int k) {
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(change + 16 * k)));
  };
  for (; i + 32 <= n; i += 32) {
    __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i));
    __m256i high = _mm256_xor_si256(low, _mm256_set1_epi8(-128)), found{};
    for (int k = 0; k < 8; ++k) {
      found = _mm256_xor_si256(found, _mm256_shuffle_epi8(entries(k), low));
      found = _mm256_xor_si256(found, _mm256_shuffle_epi8(entries(k + 8), high));
      low = _mm256_subs_epi8(low, _mm256_set1_epi8(16));
      high = _mm256_subs_epi8(high, _mm256_set1_epi8(16));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), found);
  }
#endif
  for (; i < n; ++i) out[i] = table[in[i]];
#endif
}

}  // namespace pyaug::inline PYAUG_ISA
