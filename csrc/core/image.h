// Views of one image, and the place of a lane in its walk over it.
#pragma once

#include "../tasks.h"

namespace pyaug::inline PYAUG_ISA {

// Pillow's running sums over a large image (core/affine.h): the coordinates at (row, column).
struct Walk {
  int row = -1;
  int column = 0;
  double row_x = 0, row_y = 0;
  double x = 0, y = 0;
};

// One output pixel. Lanes visit pixels in ascending order, so that `walk` only moves forward
// within a channel.
struct Position {
  int c = 0, y = 0, x = 0;
  Walk walk{};
};

// One image [C, H, W], contiguous.
template <class T>
struct Image {
  const T* pixels;
  int channels, height, width;

  PYAUG_LANE int64_t index(int c, int y, int x) const {
    return (static_cast<int64_t>(c) * height + y) * width + x;
  }
  PYAUG_LANE T raw(int c, int y, int x) const { return pixels[index(c, y, x)]; }
  PYAUG_LANE Compute<T> operator()(int c, int y, int x) const {
    return static_cast<Compute<T>>(raw(c, y, x));
  }
  PYAUG_LANE int64_t area() const { return static_cast<int64_t>(height) * width; }
  PYAUG_LANE int64_t size() const { return area() * channels; }
};

// Luma weights of ITU-R 601 in 16.16, as Pillow's L.
constexpr int kLumaR = 19595, kLumaG = 38470, kLumaB = 7471;

PYAUG_LANE int luma(uint8_t r, uint8_t g, uint8_t b) {
  return (kLumaR * r + kLumaG * g + kLumaB * b + 32768) >> 16;
}
// The luma of pixel i of a plane.
PYAUG_LANE int luma(const Image<uint8_t>& image, int64_t i) {
  const uint8_t* v = image.pixels + i;
  if (image.channels == 1) return *v;
  const int64_t area = image.area();
  return luma(v[0], v[area], v[2 * area]);
}

// The weight of channel c in the luma of a float image; one for a grey image.
template <class F>
PYAUG_LANE F luma_weight(int channels, int c) {
  if (channels == 1) return F(1);
  return F(c == 0 ? kLumaR : c == 1 ? kLumaG : kLumaB) / F(65536);
}

template <class T>
PYAUG_LANE Compute<T> luma(const Image<T>& image, int64_t i) {
  using F = Compute<T>;
  const T* v = image.pixels + i;
  if (image.channels == 1) return static_cast<F>(*v);
  const int64_t area = image.area();
  return luma_weight<F>(3, 0) * static_cast<F>(v[0]) +
         luma_weight<F>(3, 1) * static_cast<F>(v[area]) +
         luma_weight<F>(3, 2) * static_cast<F>(v[2 * area]);
}

// A float pixel in [0, 1] as one of 256 levels; anything else lands on the nearest end.
template <class F>
PYAUG_LANE int level(F v) {
  F q = F(255) * v + F(0.5);
  q = q > F(0) ? q : F(0);
  q = q < F(255) ? q : F(255);
  return static_cast<int>(q);
}

// A level as a float: level / 255, and for all 256 of them no other bits than a division's.
template <class F>
PYAUG_LANE F of_level(int level) {
  return F(level) * F(1.0 / 256) + F(level) * F(1.0 / 65280);
}

template <class F>
PYAUG_LANE F clamp_unit(F t) {
  return t < F(0) ? F(0) : t > F(1) ? F(1) : t;
}

template <class F>
PYAUG_LANE F between(F a, F b, F t) {
  return a + (b - a) * t;
}

// Truncation to 0..255, NaN to 0.
template <class F>
PYAUG_LANE uint8_t clip_byte(F t) {
  t = t > F(0) ? t : F(0);
  return static_cast<uint8_t>(t < F(255) ? t : F(255));
}

// Pillow's Image.blend: float32, exactly d at f = 0, exactly v at f = 1, and beyond.
PYAUG_LANE uint8_t blend(int d, int v, float f) {
  return clip_byte(static_cast<float>(d) + f * static_cast<float>(v - d));
}

}  // namespace pyaug::inline PYAUG_ISA
