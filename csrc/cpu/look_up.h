// Tables of bytes: the loops that no compiler vectorises by itself.
#pragma once

#include "lanes.h"

namespace pyaug::inline PYAUG_ISA {

// out[i] = table[in[i]]; table [256].
inline void look_up(const uint8_t* table, const uint8_t* in, int64_t n, uint8_t* out) {
#ifdef __AVX512VBMI__
  __m512i quarter[4];
  for (int k = 0; k < 4; ++k) quarter[k] = _mm512_loadu_si512(table + 64 * k);
  for (int64_t i = 0; i < n; i += 64) {
    fetch_ahead(in + i, out + i);
    const __mmask64 here = first(n - i);
    const __m512i v = _mm512_maskz_loadu_epi8(here, in + i);
    const __m512i low = _mm512_permutex2var_epi8(quarter[0], v, quarter[1]);
    const __m512i high = _mm512_permutex2var_epi8(quarter[2], v, quarter[3]);
    _mm512_mask_storeu_epi8(out + i, here,
                            _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high));
  }
#else
  int64_t i = 0;
#ifdef __AVX2__
  // A shuffle looks the lower half of a byte up among sixteen entries, and gives zero where its top
  // bit is set. In a half of the table, after k times less 16 that bit is clear in bytes of 16 k
  // and more alone: entries that hold the changes from each sixteen to the next come together, by
  // exclusive or, to those of the byte.
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
