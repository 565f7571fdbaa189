// Pixels moved by the nearest rule: rows and columns that only shift are copied, a rotation goes by
// tiles, a small plane of bytes is permuted in registers, and what is left is gathered row by row.
#pragma once

#include <cstring>

#include "../ops/cutout.h"
#include "../ops/rearrange.h"
#include "../ops/warp.h"
#include "blocks.h"
#include "moves.h"
#include "tiles.h"
#include "transpose.h"

namespace pyaug::inline PYAUG_ISA {

// One image of bytes on its way to another of the same shape.
struct Transfer {
  Image<uint8_t> image;
  uint8_t* out;
  uint8_t fill[kMaxChannels] = {};

  Transfer(const Image<uint8_t>& image_, const double* fill_, uint8_t* out_)
      : image(image_), out(out_) {
    for (int c = 0; c < kMaxChannels && c < image.channels; ++c) fill[c] = clip_byte(fill_[c]);
  }

  // Columns [first, last) of row y, of which [inside.first, inside.last) come from the image:
  // move(plane, to, c) brings them from plane c to the row.
  template <class Move>
  void row(int y, int first, int last, Interval inside, const Move& move) const {
    if (inside.empty()) inside = {first, first};
    const int64_t area = image.area(), start = static_cast<int64_t>(y) * image.width;
    for (int c = 0; c < image.channels; ++c) {
      uint8_t* to = out + c * area + start;
      fill_row(fill[c], inside.first - first, to + first);
      if (!inside.empty()) move(image.pixels + c * area, to + inside.first, c);
      fill_row(fill[c], last - inside.last, to + inside.last);
    }
  }
  // Of columns [first, last), those whose pixel `x` to the right lies in the image.
  Interval shifted(int first, int last, int64_t x) const {
    Interval inside{first, last};
    inside.clip(x, 1, image.width);
    return inside.empty() ? Interval{0, 0} : Interval{inside.first - first, inside.last - first};
  }
  // Columns [first, last) of all rows, moved by whole numbers: column i of `columns`, counted from
  // the first, comes from column i + x of the image, row y of `rows` from row step y + start; what
  // lies outside the two is filled.
  void shift(int first, int last, Interval columns, int64_t x, Interval rows, int64_t step,
             int64_t start) const {
    const int width = image.width, height = image.height;
    if (rows.empty()) rows = {0, 0};
    const int n = last - first, ahead = step < 0 ? -kAhead : kAhead;
    const bool whole = columns.count() == width && step == 1;
    for (int c = 0; c < image.channels; ++c) {
      const uint8_t* const from =
          image.pixels + image.index(c, 0, 0) + (step * rows.first + start) * width + x;
      uint8_t* const to = out + image.index(c, 0, first);
      const auto filled = [&](int begin, int end) {
        const auto nothing = [from](int) { return RowSource{from, {0, 0}}; };
        move_rows(n, end - begin, fill[c], nothing, ahead, to + int64_t{begin} * width, width);
      };
      filled(0, rows.first);
      if (whole)
        std::memcpy(to + int64_t{rows.first} * width, from,
                    static_cast<size_t>(rows.count()) * static_cast<size_t>(width));
      else
        move_rows(
            n, rows.count(), fill[c],
            [=](int y) { return RowSource{from + step * width * y, columns}; }, ahead,
            to + int64_t{rows.first} * width, width);
      filled(rows.last, height);
    }
  }
};

// source(y, sources): where each pixel of row y comes from, as SmallPermutation takes it.
template <class Source>
void permute_small(const Transfer& transfer, const Source& source) {
#ifdef __AVX512VBMI__
  const Image<uint8_t>& image = transfer.image;
  alignas(64) uint16_t from[kSmallPlane];
  for (int y = 0; y < image.height; ++y) source(y, from + y * image.width);
  const int area = static_cast<int>(image.area());
  const SmallPermutation permutation(from, area);
  for (int c = 0; c < image.channels; ++c)
    permutation(image.pixels + c * area, transfer.fill[c], transfer.out + c * area);
#else
  static_cast<void>(transfer);
  static_cast<void>(source);
#endif
}

inline bool is_small(const Image<uint8_t>& image) {
  return permutes_small_planes && image.area() <= kSmallPlane;
}

// Affine::kSeparable along one axis: where positions [first, last) come from, -1 for outside.
inline void separable(double slope, double start, int first, int last, int size, int32_t* from) {
  for (int i = first; i < last; ++i) {
    const double at = (start + slope * 0.5) + slope * i;
    from[i - first] = static_cast<int32_t>(at >= 0.0 && at < size ? at : -1.0);
  }
}

// What `separable` has found: the positions that come from the image, and whether all of them move
// by one number.
struct Moved {
  Interval inside;
  int by;
  bool evenly;
};
inline Moved moved(const int32_t* from, int count) {
  Interval inside{0, count};
  while (!inside.empty() && from[inside.first] < 0) ++inside.first;
  while (!inside.empty() && from[inside.last - 1] < 0) --inside.last;
  if (inside.empty()) return {{0, 0}, 0, true};
  const int by = from[inside.first] - inside.first;
  int uneven = 0;
  for (int i = inside.first; i < inside.last; ++i) uneven |= from[i] - i - by;
  return {inside, by, uneven == 0};
}

// Rows by Affine::kSeparable: a column's source and a row's source do not depend on each other.
inline void nearest_separable(const Transfer& transfer, const Affine& affine, Room& room) {
  const Matrix& m = affine.matrix;
  const int width = transfer.image.width, height = transfer.image.height;
  int32_t* const row = room.of<int32_t>(height);
  separable(m.e, m.f, 0, height, height, row);
  const Moved rows = moved(row, height);
  int32_t column[kRow];
  each_row_block<kRow>(width, [&](int first, int last) {
    separable(m.a, m.c, first, last, width, column);
    const Moved columns = moved(column, last - first);
    const Interval inside = columns.inside;
    if (columns.evenly && rows.evenly)
      return transfer.shift(first, last, inside, columns.by, rows.inside, 1, rows.by);
    for (int y = 0; y < height; ++y) {
      const int64_t from = row[y];
      const Interval here{first + inside.first, first + (from < 0 ? inside.first : inside.last)};
      transfer.row(y, first, last, here, [&](const uint8_t* plane, uint8_t* to, int) {
        for (int i = inside.first; i < inside.last; ++i)
          to[i - inside.first] = plane[from * width + column[i]];
      });
    }
  });
}

// Affine::kFixed where every column keeps its place and moves up or down as a whole.
inline bool only_columns_move(const int64_t* f) {
  return f[0] == 65536 && f[1] == 0 && f[2] >> 16 == 0 && f[4] == 65536;
}
inline void nearest_columns(const Transfer& transfer, const int64_t* f, Room& room) {
#ifdef __AVX512VBMI__
  const Image<uint8_t>& image = transfer.image;
  for (int first = 0; first < image.width;) {
    const ColumnMove move(first, image.width,
                          [&](int x) { return static_cast<int>((f[5] + f[3] * x) >> 16); });
    for (int c = 0; c < image.channels; ++c)
      move(image.pixels + image.index(c, 0, first), image.width, image.height, transfer.fill[c],
           room, transfer.out + image.index(c, 0, first));
    first += move.columns();
  }
#else
  static_cast<void>(transfer);
  static_cast<void>(f);
  static_cast<void>(room);
#endif
}

// Affine::kFixed where every row comes from one row, moved to the left or right as a whole.
inline bool only_rows_move(const int64_t* f) { return f[0] == 65536 && f[3] == 0; }
inline void nearest_sheared(const Transfer& transfer, const int64_t* f) {
  const Image<uint8_t>& image = transfer.image;
  const int width = image.width, height = image.height;
  each_row_block<kRow>(width, [&](int first, int last) {
    for (int c = 0; c < image.channels; ++c) {
      const uint8_t* const plane = image.pixels + image.index(c, 0, first);
      const auto source = [=](int y) {
        const int64_t x = (f[2] + f[1] * y) >> 16, from = (f[5] + f[4] * y) >> 16;
        const bool within = from >= 0 && from < height;
        return RowSource{plane + from * width + x,
                         within ? transfer.shifted(first, last, x) : Interval{0, 0}};
      };
      move_rows(last - first, height, transfer.fill[c], source, kAhead,
                transfer.out + image.index(c, 0, first), width);
    }
  });
}

// Affine::kFixed by tiles; false where they do not serve.
inline bool nearest_tiles(const Transfer& transfer, const int64_t* f) {
#ifdef __AVX512VBMI__
  const Image<uint8_t>& image = transfer.image;
  const TileMove move(f, image.width, image.height);
  if (move.serves()) move(image, transfer.fill, transfer.out);
  return move.serves();
#else
  static_cast<void>(transfer);
  static_cast<void>(f);
  return false;
#endif
}

// Rows by Affine::kFixed. Of an image of three channels the pixels are put side by side first, so
// that one access fetches all three.
inline void nearest_fixed(const Transfer& transfer, const Affine& affine, Room& room) {
  const int64_t* f = affine.fixed;
  const Image<uint8_t>& image = transfer.image;
  const int width = image.width, height = image.height;
  const bool together = image.channels == 3;
  const int64_t area = image.area();
  uint32_t* const pixels = together ? room.of<uint32_t>(area) : nullptr;
  if (together) {
    const uint8_t* const planes[3] = {image.pixels, image.pixels + area, image.pixels + 2 * area};
    join_pixels(planes, area, pixels);
  }
  int32_t source[kBlock];
  uint32_t row[kBlock];
  for (int y = 0; y < height; ++y) {
    const int64_t u = f[2] + f[1] * y, v = f[5] + f[4] * y;
    each_row_block(width, [&](int first, int last) {
      Interval inside{first, last};
      inside.clip(u, f[0], int64_t{width} << 16);
      inside.clip(v, f[3], int64_t{height} << 16);
      // Within the image, so that 32 bits hold what Affine::small has bounded.
      const int32_t a = static_cast<int32_t>(f[0]), d = static_cast<int32_t>(f[3]);
      const int32_t u0 = static_cast<int32_t>(u + f[0] * inside.first);
      const int32_t v0 = static_cast<int32_t>(v + f[3] * inside.first);
      const int count = inside.count();
      for (int i = 0; i < count; ++i)
        source[i] = ((v0 + d * i) >> 16) * width + ((u0 + a * i) >> 16);
      if (!together) {
        transfer.row(y, first, last, inside, [&](const uint8_t* plane, uint8_t* to, int) {
          for (int i = 0; i < count; ++i) to[i] = plane[source[i]];
        });
        return;
      }
      fetch_pixels(pixels, source, count, row);
      uint8_t* to[3] = {};
      transfer.row(y, first, last, inside,
                   [&](const uint8_t*, uint8_t* start, int c) { to[c] = start; });
      if (count > 0) split_pixels(row, count, to);
    });
  }
}

inline void nearest_small(const Transfer& transfer, const Affine& affine) {
  const int width = transfer.image.width, height = transfer.image.height;
  if (affine.path == Affine::kSeparable) {
    const Matrix& m = affine.matrix;
    int32_t whole[kSmallPlane];
    separable(m.a, m.c, 0, width, width, whole);
    uint16_t column[kSmallPlane];
    for (int x = 0; x < width; ++x)
      column[x] = whole[x] >= 0 ? static_cast<uint16_t>(whole[x]) : kOutside;
    permute_small(transfer, [&](int y, uint16_t* from) {
      int32_t row;
      separable(m.e, m.f, y, y + 1, height, &row);
      if (row < 0) return std::fill(from, from + width, kOutside);
      const uint16_t start = static_cast<uint16_t>(row * width);  // kOutside keeps its top bit
      for (int x = 0; x < width; ++x) from[x] = static_cast<uint16_t>(column[x] + start);
    });
    return;
  }
  const int64_t* f = affine.fixed;
  const int32_t a = static_cast<int32_t>(f[0]), d = static_cast<int32_t>(f[3]);
  permute_small(transfer, [&](int y, uint16_t* from) {
    const int32_t u = static_cast<int32_t>(f[2] + f[1] * y);
    const int32_t v = static_cast<int32_t>(f[5] + f[4] * y);
    for (int x = 0; x < width; ++x) {
      const int32_t i = (u + a * x) >> 16, j = (v + d * x) >> 16;
      const bool inside = (static_cast<uint32_t>(i) < static_cast<uint32_t>(width)) &
                          (static_cast<uint32_t>(j) < static_cast<uint32_t>(height));
      from[x] = static_cast<uint16_t>(inside ? j * width + i : kOutside);
    }
  });
}

// Whether the rows above serve this map; a large image's pixels are walked one by one.
inline bool nearest_rows(const Image<uint8_t>& image, const Affine& affine, const double* fill,
                         Room& room, uint8_t* out) {
  if (affine.path == Affine::kWalked) return false;
  const Transfer transfer(image, fill, out);
  if (is_small(image))
    nearest_small(transfer, affine);
  else if (affine.path == Affine::kSeparable)
    nearest_separable(transfer, affine, room);
  else if (moves_columns && only_columns_move(affine.fixed))
    nearest_columns(transfer, affine.fixed, room);
  else if (only_rows_move(affine.fixed))
    nearest_sheared(transfer, affine.fixed);
  else if (!nearest_tiles(transfer, affine.fixed))
    nearest_fixed(transfer, affine, room);
  return true;
}

inline void rearrange_small(const Transfer& transfer, const Rearrangement& p) {
  const int width = transfer.image.width, height = transfer.image.height;
  permute_small(transfer, [&](int y, uint16_t* from) {
    for (int x = 0; x < width; ++x) {
      const int i = p.a * x + p.b * y + p.c, j = p.d * x + p.e * y + p.f;
      const bool inside = (i >= 0) & (i < width) & (j >= 0) & (j < height);
      from[x] = static_cast<uint16_t>(inside ? j * width + i : kOutside);
    }
  });
}

// Mirrors and shifts: whole rows, forwards or backwards.
inline void rearrange_rows(const Image<uint8_t>& image, const Rearrangement& p, uint8_t* out) {
  const int width = image.width;
  const Transfer transfer(image, p.fill, out);
  if (is_small(image)) return rearrange_small(transfer, p);
  Interval rows{0, image.height};
  rows.clip(p.f, p.e, image.height);
  each_row_block<kRow>(width, [&](int first, int last) {
    if (p.a == 1) {
      const Interval inside = transfer.shifted(first, last, p.c);
      return transfer.shift(first, last, inside, p.c + first, rows, p.e, p.f);
    }
    for (int c = 0; c < image.channels; ++c)
      for (int y = 0; y < image.height; ++y)
        reverse_row(image.pixels + image.index(c, p.e * y + p.f, 0) + p.c - first, last - first,
                    out + image.index(c, y, first));
  });
}

// A quarter turn anticlockwise: rows and columns exchanged, from the last column on.
inline void turn(const Image<uint8_t>& image, const Rearrangement& p, uint8_t* out) {
  if (is_small(image)) return rearrange_small(Transfer(image, p.fill, out), p);
  const int side = image.width;
  for (int c = 0; c < image.channels; ++c)
    transpose(image.pixels + image.index(c, 0, 0), side, side, out + image.index(c, side - 1, 0),
              -side);
}

inline void cut_rows(const Image<uint8_t>& image, const Cutout::Parameters& p, uint8_t* out) {
  const Transfer transfer(image, p.fill, out);
  std::memcpy(out, image.pixels, static_cast<size_t>(image.size()));
  const int x0 = std::max(p.x0, 0), x1 = std::min(p.x1, image.width);
  for (int c = 0; c < image.channels; ++c)
    for (int y = std::max(p.y0, 0); y < std::min(p.y1, image.height); ++y)
      if (x0 < x1)
        std::fill(out + image.index(c, y, x0), out + image.index(c, y, x1), transfer.fill[c]);
}

}  // namespace pyaug::inline PYAUG_ISA
