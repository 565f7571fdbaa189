// One step on bytes by the lanes of a block. Loops for kinds of operations, each apart from the
// others: together they would need more registers than a lane has.
#pragma once

#include "../step.h"
#include "streams.h"

namespace pyaug::inline PYAUG_ISA {

// out = f(in), byte by byte.
template <class Team, class F>
PYAUG_LANE void map_bytes(const Team& team, const uint8_t* in, int64_t n, uint8_t* out,
                          const F& f) {
  stream(team, Streams<1, 1>{{in}, {out}}, n, [&](const uint8_t* v, uint8_t* to) { *to = f(*v); });
}

template <class Op, class Team>
PYAUG_APART void point_bytes(Team team, Image<uint8_t> image, const typename Op::Parameters* p,
                             uint8_t* out) {
  map_bytes(team, image.pixels, image.size(), out,
            [p = *p](uint8_t v) { return Op::exact_point(v, p, 0); });
}

// table [C][256], or with step = 0 one for all channels.
template <class Team>
PYAUG_APART void look_up_bytes(Team team, Image<uint8_t> image, const uint8_t* tables, int step,
                               uint8_t* out) {
  const int64_t area = image.area();
  for (int c = 0; c < image.channels; ++c) {
    const uint8_t* table = team.in_shared_memory(tables + c * step);
    map_bytes(team, image.pixels + c * area, area, out + c * area,
              [=](uint8_t v) { return table[v]; });
  }
}

template <class Team>
PYAUG_APART void pair_bytes(Team team, Image<uint8_t> image, const uint8_t* partner, float weight,
                            uint8_t* out) {
  stream(team, Streams<2, 1>{{image.pixels, partner}, {out}}, image.size(),
         [=](const uint8_t* v, uint8_t* to) { *to = blend(v[0], v[1], weight); });
}

template <class Team>
PYAUG_APART void color_bytes(Team team, Image<uint8_t> image, float factor, uint8_t* out) {
  const int64_t area = image.area();
  const uint8_t* in = image.pixels;
  if (image.channels == 1)  // its own luma
    return map_bytes(team, in, area, out, [=](uint8_t v) { return blend(v, v, factor); });
  stream(team, Streams<3, 3>{{in, in + area, in + 2 * area}, {out, out + area, out + 2 * area}},
         area, [=](const uint8_t* v, uint8_t* to) {
           const int d = luma(v[0], v[1], v[2]);
           for (int c = 0; c < 3; ++c) to[c] = blend(d, v[c], factor);
         });
}

// Four pixels of a plane, from four bytes on; width % 4 == 0.
PYAUG_LANE uint32_t& four_at(uint8_t* plane, int at) {
  return *reinterpret_cast<uint32_t*>(plane + at);
}
PYAUG_LANE uint32_t four_at(const uint8_t* plane, int at) {
  return *reinterpret_cast<const uint32_t*>(plane + at);
}

struct Fill {
  uint8_t v[kMaxChannels] = {};

  PYAUG_LANE Fill(const double* fill, int channels) {
    for (int c = 0; c < kMaxChannels; ++c)
      if (c < channels) v[c] = clip_byte(fill[c]);
  }
};

// Pixels that come from others, each from one, the same for all channels: start(y, x) finds the
// first of four, find(k, inside) where the k-th is in its plane.
template <class Team, class Find>
PYAUG_LANE void gather_bytes(const Team& team, const Image<uint8_t>& image, const Fill& fill,
                             uint8_t* out, Find find) {
  const int area = static_cast<int>(image.area());
  const uint8_t* const pixels = team.in_device_memory(image.pixels);
  team.each_four(image.height, image.width, [&](int y, int x) {
    find.start(y, x);
    uint32_t four[kMaxChannels] = {};
    for (int k = 0; k < 4; ++k) {
      bool inside;
      const int place = find(k, inside);
      const uint8_t* const from = pixels + (inside ? place : 0);  // a load without a branch
      for (int c = 0; c < kMaxChannels; ++c)
        if (c < image.channels) {
          const uint8_t v = from[c * area];
          four[c] |= as_byte(inside ? v : fill.v[c], k);
        }
    }
    for (int c = 0; c < kMaxChannels; ++c)
      if (c < image.channels) four_at(out, c * area + y * image.width + x) = four[c];
  });
}

// Whole 65,536ths of a pixel, as Affine::in_fixed_point; in 32 bits, as no coordinate wraps around
// to one inside an image whose sides are below 32,768.
struct FixedPoint {
  int width, height;
  int a, b, c, d, e, f;
  int u = 0, v = 0;

  PYAUG_LANE FixedPoint(const Image<uint8_t>& image, const int64_t (&by)[6])
      : width(image.width),
        height(image.height),
        a(static_cast<int>(by[0])),
        b(static_cast<int>(by[1])),
        c(static_cast<int>(by[2])),
        d(static_cast<int>(by[3])),
        e(static_cast<int>(by[4])),
        f(static_cast<int>(by[5])) {}
  PYAUG_LANE void start(int y, int x) {
    u = add(c, add(times(a, x), times(b, y)));
    v = add(f, add(times(d, x), times(e, y)));
  }
  PYAUG_LANE int operator()(int, bool& inside) {
    const int x = u >> 16, y = v >> 16;
    inside = static_cast<uint32_t>(x) < static_cast<uint32_t>(width) &&
             static_cast<uint32_t>(y) < static_cast<uint32_t>(height);
    u = add(u, a);
    v = add(v, d);
    return y * width + x;
  }
  PYAUG_LANE static int add(int a, int b) {  // modulo 2^32
    return static_cast<int>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }
  PYAUG_LANE static int times(int a, int b) {
    return static_cast<int>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
  }
};
template <class Team>
PYAUG_APART void fixed_point_bytes(Team team, Image<uint8_t> image, const AnyWarp::Parameters* p,
                                   uint8_t* out) {
  gather_bytes(team, image, Fill(p->fill, image.channels), out, FixedPoint(image, p->affine.fixed));
}
template <class Team>
PYAUG_APART void rearranged_bytes(Team team, Image<uint8_t> image, const Rearrangement* p,
                                  uint8_t* out) {
  constexpr int64_t one = 1 << 16;
  const int64_t by[] = {p->a * one, p->b * one, p->c * one, p->d * one, p->e * one, p->f * one};
  gather_bytes(team, image, Fill(p->fill, image.channels), out, FixedPoint(image, by));
}

struct Separable {
  int width, height;
  Matrix matrix;
  int x = 0, row = 0;
  bool in_row = false;

  PYAUG_LANE void start(int to_y, int to_x) {
    x = to_x;
    int y = 0;
    in_row = Affine::row_inside(matrix, to_y, height, y);
    row = y * width;
  }
  PYAUG_LANE int operator()(int k, bool& inside) const {
    int from = 0;
    inside = in_row && Affine::column_inside(matrix, x + k, width, from);
    return row + from;
  }
};
template <class Team>
PYAUG_APART void separable_bytes(Team team, Image<uint8_t> image, const AnyWarp::Parameters* p,
                                 uint8_t* out) {
  gather_bytes(team, image, Fill(p->fill, image.channels), out,
               Separable{image.width, image.height, p->affine.matrix});
}

struct Uncut {
  int width;
  Cutout::Parameters p;
  int y = 0, x = 0;

  PYAUG_LANE void start(int to_y, int to_x) {
    y = to_y;
    x = to_x;
  }
  PYAUG_LANE int operator()(int k, bool& inside) const {
    inside = !Cutout::cut(p, y, x + k);
    return y * width + x + k;
  }
};
template <class Team>
PYAUG_APART void cut_bytes(Team team, Image<uint8_t> image, const Cutout::Parameters* p,
                           uint8_t* out) {
  gather_bytes(team, image, Fill(p->fill, image.channels), out, Uncut{image.width, *p});
}

// A stencil's sums, in halves of a word: those of pixels 0 and 2, and of 1 and 3. What lies beyond
// a row's ends is read from its ends, and not used. done(smoothed, v) gives the byte.
template <class Stencil, class Team, class Done>
PYAUG_APART void filter_bytes(Team team, Image<uint8_t> image, uint8_t* out, Done done) {
  constexpr int r = Stencil::radius;
  constexpr uint32_t bytes = 0x00ff00ff;
  const int width = image.width, height = image.height;
  const uint8_t* const pixels = team.in_device_memory(image.pixels);
  for (int plane = 0; plane < image.channels * width * height; plane += width * height)
    team.each_four(height, width, [&](int y, int x) {
      const int first = plane + y * width + x;
      const uint32_t centre = four_at(pixels, first);
      const bool inner = y >= r && y < height - r;
      uint32_t even_sums = 0, odd_sums = 0;
      for (int dy = -r; dy <= r; ++dy) {
        const uint8_t* row = pixels + first + (inner ? dy * width : 0);
        const uint32_t four = dy == 0 ? centre : four_at(row, 0);
        const uint32_t even = four & bytes, odd = four >> 8 & bytes;
        uint32_t pair[2 * r + 2];  // of the pixels t - r and t - r + 2
        pair[r] = even;
        pair[r + 1] = odd;
        for (int k = 1; k <= r; ++k) {
          const uint32_t left = row[x >= k ? -k : -x];
          const uint32_t right = row[x + 3 + k < width ? 3 + k : width - 1 - x];
          pair[r - k] = left | (k == 1 ? odd : even) << 16;
          pair[r + 1 + k] = (k == 1 ? even : odd) >> 16 | right << 16;
        }
        for (int dx = -r; dx <= r; ++dx) {
          even_sums += Stencil::weight(dy, dx) * pair[r + dx];
          odd_sums += Stencil::weight(dy, dx) * pair[r + dx + 1];
        }
      }
      uint32_t four = 0;
      for (int k = 0; k < 4; ++k) {
        const uint8_t v = byte_of(centre, k);
        const int sum = ((k % 2 ? odd_sums : even_sums) >> (k < 2 ? 0 : 16)) & 0xffff;
        const bool smooth = inner && x + k >= r && x + k < width - r;
        four |= as_byte(done(smooth ? Filter<Stencil>::rounded(sum) : v, v), k);
      }
      four_at(out, first) = four;
    });
}

// Where rows are no whole groups, and for what is not worth code of its own.
template <class Op, class Team>
PYAUG_APART void walk_bytes(Team team, Image<uint8_t> image, const typename Op::Parameters* p,
                            uint8_t* out) {
  walk<Op>(team, image, *p, out);
}

template <class Op, class Team>
PYAUG_LANE void step_on_bytes(const Team& team, const Image<uint8_t>& image,
                              const typename Op::Parameters& p, uint8_t* table, uint8_t* out) {
  const auto make_tables = [&](int count, const auto& entry) {
    for (int i = team.lane(); i < 256 * count; i += team.size())
      table[i] = entry(static_cast<uint8_t>(i), i / 256);
    team.sync();
  };
  if constexpr (std::is_same_v<Op, Equalize>) {
    look_up_bytes(team, image, p.table[0], 256, out);
  } else if constexpr (OfPoints<Op>) {
    if constexpr (Op::tabulated) {
      make_tables(image.channels, [&](uint8_t v, int c) { return Op::exact_point(v, p, c); });
      look_up_bytes(team, image, table, 256, out);
    } else {
      point_bytes<Op>(team, image, &p, out);
    }
  } else if constexpr (requires { Op::flat(p); }) {
    const int d = static_cast<int>(Op::flat(p));
    make_tables(1, [&](uint8_t v, int) { return blend(d, v, static_cast<float>(p.factor)); });
    look_up_bytes(team, image, table, 0, out);
  } else if constexpr (std::is_same_v<Op, SamplePairing>) {
    pair_bytes(team, image, static_cast<const uint8_t*>(p.partner), static_cast<float>(p.weight),
               out);
  } else if constexpr (std::is_same_v<Op, Color>) {
    color_bytes(team, image, static_cast<float>(p.factor), out);
  } else {
    if constexpr (Warping<Op> || Op::info.square) team.fetch(image.pixels, image.size());
    constexpr int most = 1 << 15;
    const auto places =
        reinterpret_cast<uintptr_t>(image.pixels) | reinterpret_cast<uintptr_t>(out);
    const bool by_four = image.width % 4 == 0 && places % 4 == 0 && image.width < most &&
                         image.height < most && image.size() <= INT32_MAX;
    if constexpr (Warping<Op>) {
      if (!by_four || p.bilinear || p.affine.path == Affine::kWalked)
        walk_bytes<AnyWarp>(team, image, &p, out);
      else if (p.affine.path == Affine::kSeparable)
        separable_bytes(team, image, &p, out);
      else
        fixed_point_bytes(team, image, &p, out);
    } else if (!by_four) {
      walk_bytes<Op>(team, image, &p, out);
    } else if constexpr (Rearranging<Op>) {
      rearranged_bytes(team, image, &p, out);
    } else if constexpr (std::is_same_v<Op, Cutout>) {
      cut_bytes(team, image, &p, out);
    } else if constexpr (Filtering<Op>) {
      filter_bytes<typename Op::Stencil>(team, image, out,
                                         [](uint8_t smooth, uint8_t) { return smooth; });
    } else {
      static_assert(std::is_same_v<Op, Sharpness>);
      const float factor = static_cast<float>(p.factor);
      filter_bytes<SmoothStencil>(
          team, image, out, [=](uint8_t smooth, uint8_t v) { return blend(smooth, v, factor); });
    }
  }
}

}  // namespace pyaug::inline PYAUG_ISA
