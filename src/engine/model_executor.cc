#include "engine/model_executor.h"

#include <algorithm>
#include <atomic>

namespace weir {

ModelExecutor::ModelExecutor(Transformer* model, Backend* backend, Region* kv, std::vector<int32_t> eos_ids)
    : model_(model),
      backend_(backend),
      kv_(kv),
      block_bytes_(Transformer::needs(model->spec(), model->options(), backend->ops()).kv_block),
      eos_ids_(std::move(eos_ids)),
      scratch_(static_cast<size_t>(sampler_count(model->options(), backend->threads())),
               SamplerScratch(static_cast<int32_t>(model->spec().vocab))) {
  block_tables_.reserve(static_cast<size_t>(model->options().sequences_max));
  sample_rows_.reserve(static_cast<size_t>(model->options().sample_rows_max()));
  sampled_.reserve(static_cast<size_t>(model->options().sequences_max));
}

int ModelExecutor::sampler_count(const ModelOptions& options, int threads) {
  constexpr int64_t kSamplersMax = 16;
  return static_cast<int>(std::min<int64_t>({threads, options.sequences_max, kSamplersMax}));
}

uint64_t ModelExecutor::bytes(const ModelSpec& spec, const ModelOptions& options, int threads) {
  return static_cast<uint64_t>(sampler_count(options, threads)) * SamplerScratch::bytes(static_cast<int32_t>(spec.vocab)) +
         static_cast<uint64_t>(options.sequences_max) * (sizeof(std::span<const int32_t>) + sizeof(Sampled)) +
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
  const StepScope scope(backend_);
  block_tables_.clear();
  sample_rows_.clear();
  sampled_.clear();
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const StepSequence& sequence = step.sequences[i];
    block_tables_.push_back(sequence.blocks);
    results[i].ok = true;
    if (!sequence.samples) continue;
    sampled_.push_back({i, sample_rows_.size()});
    for (int32_t draft = 0; draft <= sequence.draft_count(); ++draft) {
      sample_rows_.push_back(sequence.sample_begin() + draft);
    }
  }
  WEIR_ASSIGN_OR_RETURN(const std::span<float> logits,
                        model_->forward({.tokens = step.tokens, .positions = step.positions, .rows = step.rows,
                                         .block_tables = block_tables_, .sample_rows = sample_rows_,
                                         .stop = stop_word()}));
  const auto vocab = static_cast<size_t>(model_->spec().vocab);
  std::atomic<size_t> next{0};  // of sampled_: the rows of a sequence are a chain
  const int samplers = static_cast<int>(std::min(scratch_.size(), sampled_.size()));
  backend_->parallel_for(samplers, [&](int64_t sampler) {
    for (size_t i = next.fetch_add(1); i < sampled_.size() && !must_stop(); i = next.fetch_add(1)) {
      const StepSequence& sequence = step.sequences[sampled_[i].index];
      const auto sample = [&](int32_t accepted, TokenEvent* out) {
        const size_t row = sampled_[i].first_row + static_cast<size_t>(accepted);
        return sample_row({.logits = logits.subspan(row * vocab, vocab), .params = sequence.params,
                           .prompt = sequence.prompt, .output = sequence.output_with(accepted), .eos_ids = eos_ids_,
                           .choice_index = sequence.choice_index},
                          &scratch_[static_cast<size_t>(sampler)], out);
      };
      sample_with_drafts(sequence, sample, &results[sampled_[i].index]);
    }
  });
  return must_stop() ? abandoned() : ok_status();
}

}  // namespace weir
