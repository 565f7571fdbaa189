// The sine and cosine of a rotation, the same bits on every device.
//
// Pillow takes them from the C library and rounds to 15 decimals. A GPU's own functions differ from
// the C library's in the last place, and that survives the rounding in every tenth angle or so;
// hence double-double arithmetic here, rounded once to double as the C library does.
#pragma once

#include <utility>

#include "platform.h"

namespace pyaug::inline PYAUG_ISA {

constexpr double kPi = 3.141592653589793;  // the double nearest to pi, as Python's math.pi

struct DoubleDouble {
  double high, low;
};

PYAUG_LANE DoubleDouble two_sum(double a, double b) {
  const double s = a + b;
  const double t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

PYAUG_LANE DoubleDouble add(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble s = two_sum(a.high, b.high);
  return two_sum(s.high, s.low + a.low + b.low);
}

PYAUG_LANE DoubleDouble multiply(DoubleDouble a, DoubleDouble b) {
  const double p = a.high * b.high;
  const double error = fma(a.high, b.high, -p) + (a.high * b.low + a.low * b.high);
  return two_sum(p, error);
}

// 1 / n!; the lower part is right where n! is a double itself, up to n = 22.
PYAUG_BOTH constexpr DoubleDouble one_over_factorial(int n) {
  double f = 1;
  for (int i = 2; i <= n; ++i) f *= i;
  const auto upper = [](double v) { return 134217729.0 * v - (134217729.0 * v - v); };
  const double high = 1 / f, product = high * f;
  // The product's error, by halves that are multiplied exactly (Dekker 1971).
  const double a = upper(high), b = high - a, c = upper(f), d = f - c;
  const double error = ((a * c - product) + a * d + b * c) + b * d;
  return {high, ((1 - product) - error) / f};
}

// p y + 1 / n!, the larger of the two summands. What comes of it need not be carried over.
template <int n>
PYAUG_LANE DoubleDouble next_term(DoubleDouble p, DoubleDouble y) {
  constexpr DoubleDouble c = one_over_factorial(n);
  const double high = p.high * y.high;
  const double low = fma(p.high, y.high, -high) + (p.high * y.low + p.low * y.high);
  const double s = c.high + high;
  return {s, (high - (s - c.high)) + (c.low + low)};
}

// The sum of y^k / (2 k + odd)! over k >= 0 for |y| < 0.62, to 2^-105: Taylor's series by Horner,
// whose terms from k = 10 on need no more than doubles.
template <int odd>
PYAUG_LANE DoubleDouble series(DoubleDouble y) {
  const auto sum = [&]<int... k>(std::integer_sequence<int, k...>) {
    double rest = 0;
    constexpr double c[] = {one_over_factorial(2 * (14 - k) + odd).high...};
    ((rest = rest * y.high + c[k]), ...);
    return rest;
  };
  DoubleDouble p{sum(std::make_integer_sequence<int, 5>{}), 0};
  const auto add_terms = [&]<int... k>(std::integer_sequence<int, k...>) {
    ((p = next_term<2 * (9 - k) + odd>(p, y)), ...);
  };
  add_terms(std::make_integer_sequence<int, 10>{});
  return two_sum(p.high, p.low);
}

struct SineCosine {
  double sine, cosine;
};

// For |angle| <= 2 pi, in radians.
PYAUG_LANE SineCosine sine_cosine(double angle) {
  constexpr DoubleDouble half_pi{1.5707963267948966, 6.123233995736766e-17};
  const double quarter = rint(angle / half_pi.high);
  const DoubleDouble turns = multiply({quarter, 0.0}, half_pi);
  const DoubleDouble r = add({angle, 0.0}, {-turns.high, -turns.low});  // |r| <= pi / 4
  const DoubleDouble square = multiply(r, r);
  const DoubleDouble y{-square.high, -square.low};
  const DoubleDouble sine = multiply(series<1>(y), r), cosine = series<0>(y);
  const int quadrant = quarter == quarter ? static_cast<int>(quarter) & 3 : 0;  // NaN has none
  const double s = sine.high, c = cosine.high;
  return quadrant == 0   ? SineCosine{s, c}
         : quadrant == 1 ? SineCosine{c, -s}
         : quadrant == 2 ? SineCosine{-s, -c}
                         : SineCosine{-c, s};
}

// Python's round(x, 15) for |x| <= 1: the nearest multiple of 1e-15, by the exact product.
PYAUG_LANE double round_15(double x) {
  const double scaled = x * 1e15;
  const double error = fma(x, 1e15, -scaled);
  double whole = rint(scaled);
  const double rest = (scaled - whole) + error;
  if (rest > 0.5) whole += 1.0;
  if (rest < -0.5) whole -= 1.0;
  return whole / 1e15;
}

// exp for |t| < 0.3, by Taylor's series: sums and products alone, so that devices agree.
PYAUG_LANE double exp_small(double t) {
  double e = 1.0;
  PYAUG_ROLLED
  for (int n = 16; n >= 1; --n) e = 1.0 + e * t / n;
  return e;
}

}  // namespace pyaug::inline PYAUG_ISA
