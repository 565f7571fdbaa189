// A GPU's block on one thread of a CPU, for the tests: its lanes take turns, each runs to its next
// barrier. So cuda/team.h can be shown to give the right pixels, and to wait where it must; not
// what depends on a GPU's memories.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "../core/platform.h"

namespace pyaug::inline PYAUG_ISA {

class Block {
 public:
  explicit Block(int size)
      : size_(size),
        lanes_(std::make_unique<ucontext_t[]>(size)),
        stacks_(new unsigned char[size * kStack]),
        exchanged_(std::make_unique<double[]>(size)),
        paused_(std::make_unique<Pause[]>(size)),
        started_(std::make_unique<bool[]>(size)) {}

  // Runs work() in every lane: a warp after the other from barrier to barrier, by chance the first
  // one first or the last. If a barrier were missing, one of them would come too early.
  template <class Work>
  void run(const Work& work) {
    work_ = &work;
    call_ = [](const void* w) { (*static_cast<const Work*>(w))(); };
    for (int i = 0; i < size_; ++i) {
      started_[i] = false;
      ucontext_t& lane = lanes_[i];
      getcontext(&lane);
      lane.uc_stack.ss_sp = stacks_.get() + i * kStack;
      lane.uc_stack.ss_size = kStack;
      const auto self = reinterpret_cast<uintptr_t>(this);
      makecontext(&lane, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(self),
                  static_cast<unsigned>(static_cast<uint64_t>(self) >> 32));
    }
    for (;;) {
      chance_ = chance_ * 1103515245 + 12345;
      const bool forwards = chance_ >> 31;
      int waiting = 0;
      for (int i = 0; i < size_; i += kWarp)
        waiting += run_warp(forwards ? i : size_ - kWarp - i, forwards);
      if (waiting == 0) return;
      if (waiting < size_) give_up();
    }
  }

  int lane() const { return lane_; }
  int size() const { return size_; }
  void sync() { pause(kBlock); }
  // The value of the lane whose number differs by this bit.
  template <class T>
  T across(T value, int bit) {
    std::memcpy(&exchanged_[lane_], &value, sizeof(T));
    pause(kExchange);
    std::memcpy(&value, &exchanged_[lane_ ^ bit], sizeof(T));
    pause(kExchange);
    return value;
  }
  void add_one(uint32_t& counter) { ++counter; }
  void fetch(const void*) {}
  void forget() {}
  static const uint8_t* in_shared_memory(const uint8_t* p) { return p; }
  static const uint8_t* in_device_memory(const uint8_t* p) { return p; }

 private:
  static constexpr size_t kStack = 64 << 10;
  static constexpr int kWarp = 32;
  enum Wait : int { kNothing, kExchange, kBlock };  // what a lane that stopped waits for

  struct Pause {
    void* place[5];
  };
  [[noreturn, gnu::noinline]] static void leap(Pause& to) { __builtin_longjmp(to.place, 1); }

  // Runs the lanes of a warp, exchange after exchange, to the block's next barrier; how many came
  // to one.
  int run_warp(int first, bool forwards) {
    for (;;) {
      int at[3] = {};
      for (int i = 0; i < kWarp; ++i) {
        lane_ = first + (forwards ? i : kWarp - 1 - i);
        resume();
        ++at[waits_];
      }
      if (at[kExchange] == 0) return at[kBlock];
      if (at[kExchange] < kWarp) give_up();
    }
  }
  // A jump costs nothing; swapcontext would ask the system for the signals' mask, twice.
  [[gnu::noinline]] void resume() {
    waits_ = kNothing;
    if (__builtin_setjmp(between_.place) != 0) return;
    if (started_[lane_]) leap(paused_[lane_]);
    started_[lane_] = true;
    setcontext(&lanes_[lane_]);
  }
  [[gnu::noinline]] void pause(Wait wait) {
    waits_ = wait;
    if (__builtin_setjmp(paused_[lane_].place) == 0) leap(between_);
  }
  [[noreturn]] static void give_up() {
    std::fputs("pyaug: some lanes wait where others do not come to\n", stderr);
    std::abort();
  }

  static void enter(unsigned low, unsigned high) {
    const uint64_t self = static_cast<uint64_t>(high) << 32 | low;
    Block& block = *reinterpret_cast<Block*>(static_cast<uintptr_t>(self));
    block.call_(block.work_);
    leap(block.between_);
  }

  int size_, lane_ = 0;
  uint32_t chance_ = 1;
  Wait waits_ = kNothing;
  std::unique_ptr<ucontext_t[]> lanes_;
  std::unique_ptr<unsigned char[]> stacks_;
  std::unique_ptr<double[]> exchanged_;
  std::unique_ptr<Pause[]> paused_;
  std::unique_ptr<bool[]> started_;
  Pause between_;
  const void* work_ = nullptr;
  void (*call_)(const void*) = nullptr;
};

}  // namespace pyaug::inline PYAUG_ISA
