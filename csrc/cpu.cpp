// The CPU launcher: a thread for each image.
#include <torch/csrc/stable/library.h>

#include <memory>

#include "entry.h"

namespace pyaug {
namespace {

struct RequireSquare {
  int64_t height, width;
  template <class Op>
  void operator()() const {
    require(!Op::info.square || height == width, Op::info.name, ": expected square images, got ",
            height, " x ", width);
  }
};

struct CpuLauncher {
  template <class Kernel>
  static void each_image(const Tensor&, int64_t count, const Kernel& kernel) {
    const size_t bytes = static_cast<size_t>(kernel.scratch_bytes());
    torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      const std::unique_ptr<unsigned char[]> scratch(new unsigned char[bytes]);
      SerialTeam team;
      TeamMemory memory;
      for (int64_t b = begin; b < end; ++b) kernel(team, memory, b, scratch.get());
    });
  }

  template <class Kernel>
  static void each_row(const Tensor&, int64_t count, const Kernel& kernel) {
    constexpr int64_t rows_worth_a_thread = 1024;
    torch::stable::parallel_for(0, count, rows_worth_a_thread, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) kernel(b);
    });
  }

  static void check_codes(const Tensor& operation, const Tensor& images) {
    const RequireSquare check{images.size(2), images.size(3)};
    const int32_t* codes = static_cast<const int32_t*>(operation.data_ptr());
    for (int64_t i = 0; i < operation.numel(); ++i) {
      require(codes[i] >= 0 && codes[i] < Operations::size, "operation: expected codes from 0 to ",
              Operations::size - 1, ", got ", codes[i]);
      Operations::visit(codes[i], check);
    }
  }
};

}  // namespace
}  // namespace pyaug

STABLE_TORCH_LIBRARY_IMPL(pyaug, CPU, library) {
  pyaug::register_entries<pyaug::CpuLauncher>(library);
}
