// Executor: computes a Step. The engine does not know whether a model, a stub or a simulator stands behind it.
#pragma once

#include <span>

#include "base/status.h"
#include "base/stop_word.h"
#include "schedule/step.h"

namespace weir {

// Owner: server/. Thread: the engine thread only.
class Executor {
 public:
  virtual ~Executor() = default;
  // Called once on the engine thread before the first run.
  virtual void bind_thread() {}
  // Fills results[i] for step.sequences[i]; a sequence that fails alone has ok = false there. Of a sequence with drafts,
  // accepted and more say how far they were right (sample_with_drafts). step.copies are made already (copy_blocks).
  // ERRORS: kCancelled where the stop word was said while it ran: nothing of the step counts, and its sequences may be
  // run again, together or alone. Any other status means that the whole step failed: the engine ends its sequences with
  // kError and goes on.
  virtual Status run(const Step& step, std::span<StepResult> results) = 0;

  // Whether the processor time of the thread that calls run() is what a run costs on a machine of our own. False
  // where another device computes, or nothing does: then only its wall time is known.
  virtual bool computes_here() const { return false; }

  // Copies whole blocks, in order: before the step that writes them, and what a shrinking pool moves. Between two runs.
  virtual void copy_blocks(std::span<const BlockCopy>) {}
  // Gives the KV memory another size: commits or returns pages at its end. Between two runs.
  // ERRORS: kResourceExhausted when the memory is not there; nothing has changed then.
  virtual Status resize_kv(int64_t blocks) {
    (void)blocks;
    return ok_status();
  }
  // Bytes of a block, for bounding the work of one turn; 0: nothing to commit.
  virtual uint64_t block_bytes() const { return 0; }

  // The engine's; null when it has gone. Set while nothing runs.
  virtual void set_stop_word(const StopWord* stop) { stop_ = stop; }

 protected:
  // To be asked now and then during a run; where it is true, run() returns abandoned() soon.
  bool must_stop() const { return stop_ != nullptr && stop_->said(); }
  const StopWord* stop_word() const { return stop_; }
  static Status abandoned() { return {Code::kCancelled, {}}; }  // no text: a sealed thread makes it

 private:
  const StopWord* stop_ = nullptr;
};

// Produces token (position + 1) x 7919 mod vocab at once, reading no KV: for tests and for measuring the step's own
// overhead. Its text repeats itself after vocab tokens, so drafts can be right. `delay_us` stands in for the model's time.
class NullExecutor final : public Executor {
 public:
  explicit NullExecutor(int32_t vocab, int64_t delay_us = 0) : vocab_(vocab), delay_us_(delay_us) {}
  Status run(const Step& step, std::span<StepResult> results) override;

 private:
  const int32_t vocab_;
  const int64_t delay_us_;
};

}  // namespace weir
