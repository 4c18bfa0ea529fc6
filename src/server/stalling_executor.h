// StallingExecutor: hangs on requests of a certain prompt length, to show what the server does about a step that does not
// come to an end. For tests alone (WEIR_TEST_STALL); never built otherwise.
//
// Owner: App. Thread: the engine's. It passes everything else to the executor behind it.
#pragma once

#include <string>

#include "engine/executor.h"

namespace weir {

class StallingExecutor final : public Executor {
 public:
  // setting: "N", the prompt's tokens; "N:deaf" does not listen to the stop word. inner outlives it.
  StallingExecutor(Executor* inner, const std::string& setting);

  void bind_thread() override { inner_->bind_thread(); }
  Status run(const Step& step, std::span<StepResult> results) override;
  bool computes_here() const override { return inner_->computes_here(); }
  void copy_blocks(std::span<const BlockCopy> copies) override { inner_->copy_blocks(copies); }
  Status resize_kv(int64_t blocks) override { return inner_->resize_kv(blocks); }
  uint64_t block_bytes() const override { return inner_->block_bytes(); }
  void set_stop_word(const StopWord* stop) override;

 private:
  Executor* const inner_;
  const size_t prompt_tokens_;
  const bool deaf_;
};

}  // namespace weir
