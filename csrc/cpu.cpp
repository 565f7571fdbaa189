// The CPU launcher: a thread for each image, by the kernels of the best instruction set.
#include <torch/csrc/stable/library.h>

#include <memory>
#include <new>

#include "cpu/instruction_sets.h"
#include "cpu/kernels.h"
#include "entry.h"
#include "ops/ops.h"

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

CpuKernels choose() {
  switch (instruction_set()) {
    case InstructionSet::pixels:
      return kernels_for<InstructionSet::pixels>();
#ifdef __x86_64__
    case InstructionSet::avx512:
      return kernels_for<InstructionSet::avx512>();
    case InstructionSet::avx2:
      return kernels_for<InstructionSet::avx2>();
#endif
    default:
      return kernels_for<InstructionSet::baseline>();
  }
}

struct CpuLauncher {
  template <class Task>
  static const Runner<Task>& runner() {
    static const CpuKernels kernels = choose();
    return kernels;
  }

  template <class Task>
  static void each_image(const Tensor&, int64_t count, const Task& task) {
    constexpr std::align_val_t alignment{64};
    const size_t bytes = static_cast<size_t>(task.scratch_bytes());
    const auto free = [=](unsigned char* p) { ::operator delete[](p, alignment); };
    torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      const std::unique_ptr<unsigned char[], decltype(free)> scratch(
          new (alignment) unsigned char[bytes], free);
      runner<Task>().run(task, scratch.get(), begin, end);
    });
  }

  template <class Task>
  static void each_row(const Tensor&, int64_t count, const Task& task) {
    constexpr int64_t rows_worth_a_thread = 1024;
    torch::stable::parallel_for(0, count, rows_worth_a_thread, [&](int64_t begin, int64_t end) {
      runner<Task>().run(task, nullptr, begin, end);
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
