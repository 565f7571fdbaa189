// A GPU's block on one thread of a CPU, for the tests: its lanes take turns, each runs to its next
// barrier. What they prove of cuda/team.h holds for the GPU.
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
        paused_(std::make_unique<Pause[]>(size)) {}

  // Runs work() in every lane, from barrier to barrier, now the first lane first and now the last:
  // if a barrier were missing, one of them would come too early.
  template <class Work>
  void run(const Work& work) {
    work_ = &work;
    call_ = [](const void* w) { (*static_cast<const Work*>(w))(); };
    started_ = false;
    for (int i = 0; i < size_; ++i) {
      ucontext_t& lane = lanes_[i];
      getcontext(&lane);
      lane.uc_stack.ss_sp = stacks_.get() + i * kStack;
      lane.uc_stack.ss_size = kStack;
      const auto self = reinterpret_cast<uintptr_t>(this);
      makecontext(&lane, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(self),
                  static_cast<unsigned>(static_cast<uint64_t>(self) >> 32));
    }
    for (bool forwards = true;; forwards = !forwards) {
      int waiting = 0;
      for (int i = 0; i < size_; ++i) {
        lane_ = forwards ? i : size_ - 1 - i;
        resume();
        waiting += waits_;
      }
      started_ = true;
      if (waiting == 0) return;
      if (waiting == size_) continue;
      std::fputs("pyaug: some lanes wait at a barrier that others do not come to\n", stderr);
      std::abort();
    }
  }

  int lane() const { return lane_; }
  int size() const { return size_; }
  [[gnu::noinline]] void sync() {
    waits_ = true;
    if (__builtin_setjmp(paused_[lane_].place) == 0) leap(between_);
  }
  // The value of the lane whose number differs by this bit.
  template <class T>
  T across(T value, int bit) {
    sync();
    std::memcpy(&exchanged_[lane_], &value, sizeof(T));
    sync();
    std::memcpy(&value, &exchanged_[lane_ ^ bit], sizeof(T));
    return value;
  }
  void add_one(uint32_t& counter) { ++counter; }
  void fetch(const void*) {}
  void forget() {}
  template <class P>
  static const P* in_shared_memory(const P* p) {
    return p;
  }

 private:
  static constexpr size_t kStack = 64 << 10;

  struct Pause {
    void* place[5];
  };
  [[noreturn, gnu::noinline]] static void leap(Pause& to) { __builtin_longjmp(to.place, 1); }

  // A jump costs nothing; swapcontext would ask the system for the signals' mask, twice.
  [[gnu::noinline]] void resume() {
    waits_ = false;
    if (__builtin_setjmp(between_.place) != 0) return;
    if (started_) leap(paused_[lane_]);
    setcontext(&lanes_[lane_]);
  }
  static void enter(unsigned low, unsigned high) {
    const uint64_t self = static_cast<uint64_t>(high) << 32 | low;
    Block& block = *reinterpret_cast<Block*>(static_cast<uintptr_t>(self));
    block.call_(block.work_);
    leap(block.between_);
  }

  int size_, lane_ = 0;
  bool waits_ = false, started_ = false;
  std::unique_ptr<ucontext_t[]> lanes_;
  std::unique_ptr<unsigned char[]> stacks_;
  std::unique_ptr<double[]> exchanged_;
  std::unique_ptr<Pause[]> paused_;
  Pause between_;
  const void* work_ = nullptr;
  void (*call_)(const void*) = nullptr;
};

}  // namespace pyaug::inline PYAUG_ISA
