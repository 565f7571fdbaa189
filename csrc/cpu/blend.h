// Two rows into one: Pillow's blend, of any two or of a row and its luma.
#pragma once

#include <cmath>

#include "lanes.h"
#include "look_up.h"

namespace pyaug::inline PYAUG_ISA {

// Pillow's blend of bytes by one factor f, in whole numbers where these give the same: but for the
// roundings of float32, d + f (v - d) rounded down is d and f (v - d) rounded down. With n next to
// f and s next to 65,536 (f - n), that is n (v - d) and the upper half of s (v - d).
class Blend {
 public:
  explicit Blend(float factor) : factor_(factor) {
    const float size = std::abs(factor);
    if (!(size < 100)) return;        // so that nothing overflows
    int16_t grown[256], shrunk[256];  // |f| i and -|f| i, rounded down
    int lifted = 0;
    for (int i = 0; i < 256; ++i) {
      const float t = size * static_cast<float>(i);
      const int below = static_cast<int>(t);
      const float more = t - static_cast<float>(below);
      grown[i] = static_cast<int16_t>(below);
      shrunk[i] = static_cast<int16_t>(-below - (more > 0));
      // Sums of less than 256 are rounded to no coarser parts than 2^-16: only what lies within
      // half of that may come to a whole number.
      lifted |= ((more > 0) & (more <= 0x1p-17f)) | (more >= 1 - 0x1p-17f);
    }
    whole_ = static_cast<int16_t>(std::floor(factor + 0.5f));
    const bool falling = factor < 0;
    in_shorts_ = !lifted && fits(1, falling ? shrunk : grown, up_) &&
                 fits(-1, falling ? grown : shrunk, down_);
  }

  // to[i] = blend(d[i], v[i], f); `to` may be d.
  void operator()(const uint8_t* d, const uint8_t* v, int64_t n, uint8_t* to) const {
    if (in_shorts_)
      with_steps([&](const auto& of) {
        each_register<2>({d, v}, n, to, [&](const Bytes(&in)[2]) {
          const Halves<Shorts> from = widened(in[0]), at = widened(in[1]);
          return narrowed(Halves<Shorts>{of(from.low, at.low), of(from.high, at.high)});
        });
      });
    else
      for (int64_t i = 0; i < n; ++i) to[i] = blend(d[i], v[i], factor_);
  }
  // to[i] = blend(d, v[i], f).
  void operator()(uint8_t d, const uint8_t* v, int64_t n, uint8_t* to) const {
    if (in_shorts_) {
      const Shorts from = Shorts{} + d;
      with_steps([&](const auto& of) {
        each_register<1>({v}, n, to, [&](const Bytes(&in)[1]) {
          const Halves<Shorts> at = widened(in[0]);
          return narrowed(Halves<Shorts>{of(from, at.low), of(from, at.high)});
        });
      });
    } else {
      uint8_t table[256];
      for (int i = 0; i < 256; ++i) table[i] = blend(d, i, factor_);
      look_up(table, v, n, to);
    }
  }

 private:
  // Whether one of the s next to f's moves by moves[i] for all differences sign * i.
  bool fits(int sign, const int16_t moves[256], int16_t& s) const {
    constexpr int lanes = sizeof(Shorts) / sizeof s;
    Shorts first;
    for (int k = 0; k < lanes; ++k) first[k] = static_cast<int16_t>(sign * k);
    const int nearest = static_cast<int>(std::lround((factor_ - whole_) * 65536));
    for (const int tried : {nearest, nearest + 1, nearest - 1}) {
      s = static_cast<int16_t>(tried);
      const Shorts all = Shorts{} + s, whole = Shorts{} + whole_;
      Shorts apart = first, wrong{};
      for (int i = 0; i < 256; i += lanes, apart += static_cast<int16_t>(sign * lanes)) {
        Shorts expected;
        std::memcpy(&expected, moves + i, sizeof expected);
        wrong |= (apart * whole + high_product(apart, all)) ^ expected;
      }
      if (flags((Bytes)wrong) == 0) return true;
    }
    return false;
  }
  template <class Use>
  void with_steps(const Use& use) const {
    const Shorts whole = Shorts{} + whole_, up = Shorts{} + up_, down = Shorts{} + down_;
    if (up_ == down_)
      use([=](Shorts d, Shorts v) { return d + (v - d) * whole + high_product(v - d, up); });
    else
      use([=](Shorts d, Shorts v) {
        const Shorts apart = v - d, s = up ^ ((up ^ down) & (apart >> 15));
        return d + apart * whole + high_product(apart, s);
      });
  }

  float factor_;
  int16_t whole_ = 0, up_ = 0, down_ = 0;  // s where v > d, and where v < d
  bool in_shorts_ = false;
};

// The luma of `count` pixels.
inline void luma_row(const uint8_t* r, const uint8_t* g, const uint8_t* b, int count, uint8_t* to) {
#ifdef __AVX512VBMI__
  int i = 0;
  // Four bytes a pixel: red, blue and green twice, as a signed byte holds only half of its weight.
  // A weight comes in two parts, of which the first counts 256 times.
  constexpr int half = kLumaG / 2;
  const auto weights = [](int red, int blue, int green) {
    return _mm512_set1_epi32((red & 255) | (blue & 255) << 8 | (green & 255) * 0x1010000);
  };
  const __m512i high = weights(77, 29, 75);
  const __m512i low = weights(kLumaR - 77 * 256, kLumaB - 29 * 256, half - 75 * 256);
  uint8_t third[64];  // bytes of the sums that are their result: of two registers, twice
  for (int k = 0; k < 64; ++k)
    third[k] = static_cast<uint8_t>(16 * (k / 16) + 4 * (k % 4) + 2 + (k % 8 < 4 ? 0 : 64));
  const __m512i places = _mm512_loadu_si512(third);
  for (; i + 64 <= count; i += 64) {
    const __m512i red = _mm512_loadu_si512(r + i), green = _mm512_loadu_si512(g + i);
    const __m512i blue = _mm512_loadu_si512(b + i);
    const __m512i ends[2] = {_mm512_unpacklo_epi8(red, blue), _mm512_unpackhi_epi8(red, blue)};
    const __m512i twice[2] = {_mm512_unpacklo_epi8(green, green),
                              _mm512_unpackhi_epi8(green, green)};
    __m512i sum[4];
    for (int k = 0; k < 4; ++k) {
      const __m512i pixels = k % 2 == 0 ? _mm512_unpacklo_epi16(ends[k / 2], twice[k / 2])
                                        : _mm512_unpackhi_epi16(ends[k / 2], twice[k / 2]);
      const __m512i coarse = _mm512_dpbusd_epi32(_mm512_set1_epi32(128), pixels, high);
      sum[k] = _mm512_dpbusd_epi32(_mm512_maskz_slli_epi32(0xffff, coarse, 8), pixels, low);
    }
    const __m512i first = _mm512_permutex2var_epi8(sum[0], places, sum[1]);
    const __m512i second = _mm512_permutex2var_epi8(sum[2], places, sum[3]);
    _mm512_storeu_si512(to + i, _mm512_mask_blend_epi8(0xff00ff00ff00ff00, first, second));
  }
  for (; i < count; ++i) to[i] = static_cast<uint8_t>(luma(r[i], g[i], b[i]));
#else
  // A weight comes in two parts, of which the first counts 256 times: so all sums fit 16 bits.
  struct Parts {
    uint16_t coarse;
    int16_t fine;
    constexpr explicit Parts(int weight)
        : coarse(static_cast<uint16_t>((weight + 128) / 256)),
          fine(static_cast<int16_t>(weight - 256 * coarse)) {}
  };
  const auto luma = [](Shorts red, Shorts green, Shorts blue) {
    constexpr Parts r(kLumaR), g(kLumaG), b(kLumaB);
    const Shorts low = red * r.fine + green * g.fine + blue * b.fine;
    const UnsignedShorts high = (UnsignedShorts)red * r.coarse + (UnsignedShorts)green * g.coarse +
                                (UnsignedShorts)blue * b.coarse + 128;
    return (Shorts)((high + (UnsignedShorts)(low >> 8)) >> 8);
  };
  each_register<3>({r, g, b}, count, to, [&](const Bytes(&in)[3]) {
    const Halves<Shorts> red = widened(in[0]), green = widened(in[1]), blue = widened(in[2]);
    return narrowed(
        Halves<Shorts>{luma(red.low, green.low, blue.low), luma(red.high, green.high, blue.high)});
  });
#endif
}

// Pillow's Color: rows of red, green and blue blended with their luma.
inline void color_row(const uint8_t* const in[3], const Blend& blend, int64_t n,
                      uint8_t* const to[3]) {
  for (int64_t i = 0; i < n; i += kBlock) {
    const int count = static_cast<int>(std::min<int64_t>(kBlock, n - i));
    uint8_t d[kBlock];
    luma_row(in[0] + i, in[1] + i, in[2] + i, count, d);
    for (int c = 0; c < 3; ++c) blend(d, in[c] + i, count, to[c] + i);
  }
}

}  // namespace pyaug::inline PYAUG_ISA
