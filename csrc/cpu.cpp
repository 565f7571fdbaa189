// The CPU launcher: a thread for each image, by the kernels of the best instruction set.
#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "cpu/instruction_sets.h"
#include "cpu/kernels.h"
#include "entry.h"
#include "launch.h"
#include "ops/ops.h"

namespace pyaug {

const int kAhead = bytes_ahead();

namespace {

struct RequireSquare {
  int64_t height, width;
  template <class Op>
  void operator()() const {
    require(!Op::info.square || height == width, Op::info.name, ": expected square images, got ",
            height, " x ", width);
  }
};

template <class Task>
auto choose() {
  switch (instruction_set()) {
    case InstructionSet::lanes:
      return run<InstructionSet::lanes, Task>;
#ifdef __x86_64__
    case InstructionSet::avx512:
      if constexpr (for_every_set<Task>) return run<InstructionSet::avx512, Task>;
      break;
    case InstructionSet::avx2:
      if constexpr (for_every_set<Task>) return run<InstructionSet::avx2, Task>;
      break;
#endif
    default:
      break;
  }
  return run<InstructionSet::baseline, Task>;
}

// A draw of `count` images whose running numbers are taken before it begins: threads may share a
// state.
struct Taken {
  int64_t state[2];
  SampleTask task;

  Taken(const SampleTask& draw, int64_t count) : state{draw.state[0], 0}, task(draw) {
    if (!draw.index) state[1] = std::atomic_ref(draw.state[1]).fetch_add(count);
    task.state = state;
  }
  Taken(const Taken&) = delete;
};

template <class Task>
void run_chosen(const Task& task, unsigned char* scratch, Turns& turns) {
  static const auto chosen = choose<Task>();
  chosen(task, scratch, turns);
}

// One turn, and no more.
class OneTurn final : public Turns {
 public:
  OneTurn(int64_t begin, int64_t end) : turn_{begin, end} {}
  Turn next() override { return std::exchange(turn_, {0, 0}); }

 private:
  Turn turn_;
};

// Images differ in what their operations cost: each thread has a share of them, of which it takes
// a quarter of what is left at a time, and then helps with the others', at last image by image.
// (With one queue for all they would wait for each other at every turn, and an image seldom come to
// the thread whose caches hold it.)
class Shares {
 public:
  Shares(int64_t count, int64_t threads)
      : threads_(threads), shares_(std::make_unique<Share[]>(static_cast<size_t>(threads))) {
    for (int64_t t = 0; t < threads; ++t) {
      shares_[t].next = t * count / threads;
      shares_[t].end = (t + 1) * count / threads;
    }
  }

  // The turns of one thread; what it draws for the images, if anything, it draws before each.
  class Of final : public Turns {
   public:
    Of(Shares& all, int64_t own, const SampleTask* draw) : all_(all), own_(own), draw_(draw) {}
    Turn next() override {
      for (; helped_ < all_.threads_; ++helped_) {
        Share& share = all_.shares_[(own_ + helped_) % all_.threads_];
        int64_t begin = share.next, end;
        do end = begin + (share.end - begin + 3) / 4;
        while (begin < end && !share.next.compare_exchange_weak(begin, end));
        if (begin >= end) continue;
        if (draw_) {
          OneTurn turn(begin, end);
          run_chosen(*draw_, nullptr, turn);
        }
        return {begin, end};
      }
      return {0, 0};
    }

   private:
    Shares& all_;
    int64_t own_, helped_ = 0;
    const SampleTask* draw_;
  };

 private:
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };
  int64_t threads_;
  std::unique_ptr<Share[]> shares_;
};

template <class Task>
void launch_images(int64_t count, const Task& task, const SampleTask* draw) {
  constexpr std::align_val_t alignment{64};
  const size_t bytes = static_cast<size_t>(task.scratch_bytes());
  const auto free = [=](unsigned char* p) { ::operator delete[](p, alignment); };
  const int64_t threads = std::min<int64_t>(count, torch::stable::get_num_threads());
  std::optional<Taken> taken;
  if (draw) taken.emplace(*draw, count);
  Shares shares(count, threads);
  torch::stable::parallel_for(0, threads, 1, [&](int64_t own, int64_t) {
    const std::unique_ptr<unsigned char[], decltype(free)> scratch(
        new (alignment) unsigned char[bytes], free);
    Shares::Of turns(shares, own, taken ? &taken->task : nullptr);
    run_chosen(task, scratch.get(), turns);
  });
}

struct CpuLauncher {
  template <class Task>
  static void each_image(const Tensor&, int64_t count, const Task& task,
                         const SampleTask* draw = nullptr) {
    launch_images(count, task, draw);
  }

  static void each_draw(const Tensor&, int64_t count, const SampleTask& draw) {
    constexpr int64_t rows_worth_a_thread = 256;
    const Taken taken(draw, count);
    torch::stable::parallel_for(0, count, rows_worth_a_thread, [&](int64_t begin, int64_t end) {
      OneTurn turn(begin, end);
      run_chosen(taken.task, nullptr, turn);
    });
  }

  static void check_codes(const Tensor& rows, const Tensor& images) {
    const int64_t height = images.size(2), width = images.size(3);
    if (rows.scalar_type() == ScalarType::Int)
      check_columns(static_cast<const int32_t*>(rows.data_ptr()), rows.numel(), 1, height, width);
    else
      check_columns(static_cast<const int64_t*>(rows.data_ptr()), rows.size(0), rows.size(1),
                    height, width);
  }
};

}  // namespace

void launch(int64_t count, const ApplyTask<uint8_t>& task, const SampleTask* draw) {
  launch_images(count, task, draw);
}

template <class Code>
void check_columns(const Code* codes, int64_t rows, int64_t columns, int64_t height,
                   int64_t width) {
  const RequireSquare check{height, width};
  for (int64_t i = 0; i < rows; ++i) {
    const Code code = codes[i * columns];
    require(code >= 0 && code < Operations::size, "operation: expected codes from 0 to ",
            Operations::size - 1, ", got ", code);
    Operations::visit(static_cast<int>(code), check);
  }
}
template void check_columns(const int32_t*, int64_t, int64_t, int64_t, int64_t);
template void check_columns(const int64_t*, int64_t, int64_t, int64_t, int64_t);

}  // namespace pyaug

STABLE_TORCH_LIBRARY_IMPL(pyaug, CPU, library) {
  pyaug::register_entries<pyaug::CpuLauncher>(library);
}
