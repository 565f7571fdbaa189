// Two rows into one: Pillow's blend, of any two or of a row and its luma.
#pragma once

#include <cmath>

#include "lanes.h"

namespace pyaug::inline PYAUG_ISA {

// Pillow's blend of bytes by one factor f, in whole numbers where these give the same: but for the
// roundings of float32, d + f (v - d) rounded down is d and f (v - d) rounded down. With n next to
// f and s next to 65,536 (f - n), that is n (v - d) and the upper half of s (v - d).
class Blend {
 public:
  explicit Blend(float factor) : factor_(factor) {
    const float size = std::abs(factor);
    in_lanes_ = size < 100;  // so that nothing overflows
    if (!in_lanes_) return;
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
    if (in_lanes_)
      with_rule([&](const auto& of) {
        each_register<2>({d, v}, n, to,
                         [&](const Bytes(&in)[2]) { return of(widened(in[0]), widened(in[1])); });
      });
    else
      for (int64_t i = 0; i < n; ++i) to[i] = blend(d[i], v[i], factor_);
  }
  // to[i] = blend(d, v[i], f).
  void operator()(uint8_t d, const uint8_t* v, int64_t n, uint8_t* to) const {
    const Shorts from = Shorts{} + d;
    if (in_lanes_)
      with_rule([&](const auto& of) {
        each_register<1>({v}, n, to, [&](const Bytes(&in)[1]) {
          return of(Halves<Shorts>{from, from}, widened(in[0]));
        });
      });
    else
      for (int64_t i = 0; i < n; ++i) to[i] = blend(d, v[i], factor_);
  }

 private:
  static Shorts moved(Shorts apart, Shorts n, Shorts s) {
    return apart * n + high_product(apart, s);
  }
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
        wrong |= moved(apart, whole, all) ^ expected;
      }
      if (flags((Bytes)wrong) == 0) return true;
    }
    return false;
  }
  // Calls use(of), where of(d, v) gives a register of results.
  template <class Use>
  void with_rule(const Use& use) const {
    using Pair = Halves<Shorts>;
    const Shorts whole = Shorts{} + whole_, up = Shorts{} + up_, down = Shorts{} + down_;
    if (!in_shorts_) {
      const Floats factor = Floats{} + factor_;
      use([=](Pair d, Pair v) {
        const Quarters<Floats> from = scaled(d), apart = scaled({v.low - d.low, v.high - d.high});
        Quarters<Ints> sum;
        for (int q = 0; q < 4; ++q)
          sum.part[q] = __builtin_convertvector(from.part[q] + factor * apart.part[q], Ints);
        return narrowed(sum, [](Ints t) { return t >> 16; });
      });
    } else if (up_ == down_) {
      const auto one = [=](Shorts d, Shorts v) { return d + moved(v - d, whole, up); };
      use([=](Pair d, Pair v) { return narrowed(Pair{one(d.low, v.low), one(d.high, v.high)}); });
    } else {
      const auto one = [=](Shorts d, Shorts v) {
        const Shorts apart = v - d;
        return d + moved(apart, whole, up ^ ((up ^ down) & (apart >> 15)));
      };
      use([=](Pair d, Pair v) { return narrowed(Pair{one(d.low, v.low), one(d.high, v.high)}); });
    }
  }

  float factor_;
  int16_t whole_ = 0, up_ = 0, down_ = 0;  // s where v > d, and where v < d
  bool in_lanes_, in_shorts_ = false;
};

// A weight of the luma in two parts, of which the first counts 256 times.
constexpr int16_t coarse(int weight) { return static_cast<int16_t>((weight + 128) / 256); }
constexpr int16_t fine(int weight) { return static_cast<int16_t>(weight - 256 * coarse(weight)); }

// The luma of `count` pixels.
inline void luma_row(const uint8_t* r, const uint8_t* g, const uint8_t* b, int count, uint8_t* to) {
  constexpr int half = kLumaG / 2;  // twice, as no signed byte holds all of green's weight
  static_assert(2 * half == kLumaG);
  const auto luma = [](Bytes ends, Bytes middle) {
    const Shorts once = pair_sum<coarse(half), 0>(middle);
    const Shorts upper = pair_sum<coarse(kLumaR), coarse(kLumaB)>(ends);
    const Shorts lower =
        pair_sum<fine(kLumaR), fine(kLumaB)>(ends) + pair_sum<fine(half), fine(half)>(middle);
    const auto sum = (UnsignedShorts)upper + (UnsignedShorts)once + (UnsignedShorts)once;
    return (Shorts)((sum + (UnsignedShorts)(lower >> 8) + 128) >> 8);
  };
  each_register<3>({r, g, b}, count, to, [&](const Bytes(&in)[3]) {
    const Halves<Bytes> ends = interleaved(in[0], in[2]), middle = interleaved(in[1], in[1]);
    return narrowed(Halves<Shorts>{luma(ends.low, middle.low), luma(ends.high, middle.high)});
  });
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
