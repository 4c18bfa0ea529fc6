#include "engine/model_executor.h"

namespace weir {

ModelExecutor::ModelExecutor(Transformer* model, Backend* backend, Region* kv, std::vector<int32_t> eos_ids)
    : model_(model),
      backend_(backend),
      kv_(kv),
      block_bytes_(Transformer::needs(model->spec(), model->options(), backend->ops()).kv_block),
      eos_ids_(std::move(eos_ids)),
      scratch_(static_cast<int32_t>(model->spec().vocab)) {
  block_tables_.reserve(static_cast<size_t>(model->options().sequences_max));
  sample_rows_.reserve(static_cast<size_t>(model->options().sample_rows_max()));
}

uint64_t ModelExecutor::bytes(const ModelSpec& spec, const ModelOptions& options) {
  return SamplerScratch::bytes(static_cast<int32_t>(spec.vocab)) +
         static_cast<uint64_t>(options.sequences_max) * sizeof(std::span<const int32_t>) +
         static_cast<uint64_t>(options.sample_rows_max()) * sizeof(int32_t) +
         static_cast<uint64_t>(options.step_tokens_max) * sizeof(int32_t);
}

void ModelExecutor::copy_blocks(std::span<const BlockCopy> copies) {
  for (const BlockCopy& copy : copies) model_->copy_block(copy.from, copy.to);
}

Status ModelExecutor::resize_kv(int64_t blocks) {
  WEIR_RETURN_IF_ERROR(kv_->resize(static_cast<uint64_t>(blocks) * block_bytes_));
  model_->attach_kv(kv_->span(), blocks);
  return ok_status();
}

Status ModelExecutor::run(const Step& step, std::span<StepResult> results) {
  block_tables_.clear();
  sample_rows_.clear();
  for (const StepSequence& sequence : step.sequences) {
    block_tables_.push_back(sequence.blocks);
    if (!sequence.samples) continue;
    for (int32_t i = 0; i <= sequence.draft_count(); ++i) sample_rows_.push_back(sequence.sample_begin() + i);
  }
  WEIR_ASSIGN_OR_RETURN(const std::span<float> logits,
                        model_->forward({.tokens = step.tokens, .positions = step.positions, .rows = step.rows,
                                         .block_tables = block_tables_, .sample_rows = sample_rows_,
                                         .stop = stop_word()}));
  const auto vocab = static_cast<size_t>(model_->spec().vocab);
  size_t row = 0;
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const StepSequence& sequence = step.sequences[i];
    results[i].ok = true;
    if (!sequence.samples) continue;
    if (must_stop()) return abandoned();
    const auto sample = [&](int32_t accepted, TokenEvent* out) {
      return sample_row({.logits = logits.subspan((row + static_cast<size_t>(accepted)) * vocab, vocab),
                         .params = sequence.params, .prompt = sequence.prompt,
                         .output = sequence.output_with(accepted), .eos_ids = eos_ids_,
                         .choice_index = sequence.choice_index},
                        &scratch_, out);
    };
    sample_with_drafts(sequence, sample, &results[i]);
    row += 1 + sequence.drafts.size();
  }
  return ok_status();
}

}  // namespace weir
