#include "model/transformer.h"

#include <cmath>
#include <cstring>

namespace weir {
namespace {

KvGeometry kv_geometry(const ModelSpec& spec, const ModelOptions& options) {
  return {.format = options.kv_format, .layers = spec.layers, .kv_heads = spec.kv_heads, .head_dim = spec.head_dim,
          .block_tokens = options.block_tokens};
}

}  // namespace

ModelNeeds Transformer::needs(const ModelSpec& spec, const ModelOptions& options, const Ops& ops) {
  Cutter weights, workspace, logits;
  cut_weights(spec, options, ops, &weights);
  cut_workspace(spec, options, ops, &workspace);
  logits.mat<float>(options.sequences_max, spec.vocab);
  const KvGeometry kv = kv_geometry(spec, options);
  return {.weights = weights.used(), .workspace = workspace.used(), .logits = logits.used(),
          .loading = kLoadingBytes, .kv_block = kv.block_bytes()};
}

Transformer::Transformer(const ModelSpec& spec, const ModelOptions& options, Backend& backend)
    : spec_(spec), options_(options), backend_(backend), staging_(static_cast<size_t>(options.step_tokens_max)) {}

Result<std::unique_ptr<Transformer>> Transformer::load(const ModelSpec& spec, const ModelOptions& options,
                                                       Checkpoint& checkpoint, Backend& backend,
                                                       const LoadProgress& progress, const WeightCacheUse& cache) {
  WEIR_RETURN_IF_ERROR(check_tensors(spec, checkpoint));
  WEIR_RETURN_IF_ERROR(checkpoint.check_files());
  std::unique_ptr<Transformer> t(new Transformer(spec, options, backend));
  Device& device = backend.device();
  const ModelNeeds needs = Transformer::needs(spec, options, backend.ops());
  t->kv_block_bytes_ = needs.kv_block;
  if (progress) progress(0.0, "reserving memory");
  WEIR_ASSIGN_OR_RETURN(t->stream_, device.make_stream());
  WEIR_ASSIGN_OR_RETURN(t->weight_region_, device.reserve(needs.weights));
  WEIR_ASSIGN_OR_RETURN(t->workspace_region_, device.reserve(needs.workspace));
  WEIR_ASSIGN_OR_RETURN(t->logits_region_, device.reserve(needs.logits));
  Cutter weights(t->weight_region_.span()), workspace(t->workspace_region_.span()), logits(t->logits_region_.span());
  t->weights_ = cut_weights(spec, options, backend.ops(), &weights);
  t->work_ = cut_workspace(spec, options, backend.ops(), &workspace);
  t->logits_ = logits.mat<float>(options.sequences_max, spec.vocab);
  if (device.host_pointer(t->logits_.data) == nullptr) {
    t->host_logits_.resize(static_cast<size_t>(options.sequences_max * spec.vocab));
  }
  WEIR_RETURN_IF_ERROR(load_weights({.spec = spec, .options = options, .checkpoint = checkpoint, .backend = backend,
                                     .stream = *t->stream_, .region = t->weight_region_.span(), .cache = cache,
                                     .progress = progress},
                                    &t->weights_));
  return t;
}

void Transformer::attach_kv(DeviceSpan kv, int64_t kv_blocks) {
  kv_ = kv;
  kv_blocks_ = kv_blocks;
}

Result<std::span<float>> Transformer::forward(const ForwardBatch& batch) {
  const auto tokens = static_cast<int64_t>(batch.tokens.size());
  WEIR_CHECK(tokens >= 1 && tokens <= options_.step_tokens_max);
  WEIR_CHECK(static_cast<int64_t>(batch.block_tables.size()) <= options_.sequences_max);
  WEIR_CHECK(static_cast<int64_t>(batch.sample_rows.size()) <= options_.sequences_max);
  upload(batch);
  backend_.ops().embed(*stream_, {.ids = work_.tokens.part(0, tokens),
                                  .table = {.packed = &weights_.embedding, .rows = {}, .dtype = DType::kF32,
                                            .vocab = spec_.vocab, .hidden = spec_.hidden},
                                  .out = work_.x.row_part(0, tokens)});
  for (int64_t i = 0; i < spec_.layers; ++i) {
    if (batch.stop != nullptr && batch.stop->said()) {
      WEIR_RETURN_IF_ERROR(backend_.device().synchronize(*stream_));  // nothing of it may write after the return
      return Status(Code::kCancelled, {});
    }
    layer(i, tokens);
  }
  return read_logits(tokens, static_cast<int64_t>(batch.sample_rows.size()));
}

void Transformer::copy_block(int64_t from, int64_t to) {
  WEIR_CHECK(from >= 0 && from < kv_blocks_ && to >= 0 && to < kv_blocks_ && from != to);
  const uint64_t bytes = kv_block_bytes_;
  backend_.device().copy_within(*stream_, kv_.data.plus(static_cast<uint64_t>(to) * bytes),
                                kv_.data.plus(static_cast<uint64_t>(from) * bytes), bytes);
}

// The host arrays stay alive until read_logits() synchronises, as copy_to_device asks.
void Transformer::upload(const ForwardBatch& batch) {
  Device& device = backend_.device();
  const auto copy = [&](DevicePtr dst, std::span<const int32_t> src) {
    device.copy_to_device(*stream_, dst, src.data(), src.size_bytes());
  };
  for (size_t i = 0; i < batch.tokens.size(); ++i) {
    const std::span<const int32_t> table = batch.block_tables[static_cast<size_t>(batch.rows[i])];
    const int64_t position = batch.positions[i];
    const int64_t block = table[static_cast<size_t>(position / options_.block_tokens)];
    WEIR_CHECK(block >= 0 && block < kv_blocks_);
    staging_[i] = static_cast<int32_t>(block * options_.block_tokens + position % options_.block_tokens);
  }
  copy(work_.tokens.data, batch.tokens);
  copy(work_.positions.data, batch.positions);
  copy(work_.rows.data, batch.rows);
  copy(work_.kv_slots.data, std::span<const int32_t>(staging_).first(batch.tokens.size()));
  copy(work_.sample_rows.data, batch.sample_rows);
  for (size_t s = 0; s < batch.block_tables.size(); ++s) {
    copy(work_.block_tables.row_part(static_cast<int64_t>(s), 1).data, batch.block_tables[s]);
  }
}

void Transformer::layer(int64_t index, int64_t tokens) {
  attention_block(index, tokens);
  ffn_block(index, tokens);
}

void Transformer::attention_block(int64_t index, int64_t tokens) {
  Ops& ops = backend_.ops();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(index)];
  const auto eps = static_cast<float>(spec_.rms_eps);
  const MatView<float> x = work_.x.row_part(0, tokens);
  const MatView<float> qkv = work_.qkv.row_part(0, tokens), out = work_.attended.row_part(0, tokens);
  const MatView<float> q = qkv.col_part(0, spec_.q_width());
  const MatView<float> k = qkv.col_part(spec_.q_width(), spec_.kv_width());
  const MatView<float> v = qkv.col_part(spec_.q_width() + spec_.kv_width(), spec_.kv_width());
  const KvLayer cache = kv_geometry(spec_, options_).layer(kv_, kv_blocks_, index);
  const VecView<int32_t> positions = work_.positions.part(0, tokens);

  ops.linear(*stream_, {.x = x, .weight = &w.qkv, .bias = w.qkv_bias, .out = qkv, .norm = w.attention_norm,
                        .norm_eps = eps, .workspace = work_.scratch});
  if (spec_.qk_norm) {
    ops.rms_norm(*stream_, {.x = q, .weight = w.q_norm, .groups = spec_.heads, .eps = eps, .out = q});
    ops.rms_norm(*stream_, {.x = k, .weight = w.k_norm, .groups = spec_.kv_heads, .eps = eps, .out = k});
  }
  ops.rope(*stream_, {.q = q, .k = k, .positions = positions, .cos = weights_.rope_cos, .sin = weights_.rope_sin,
                      .head_dim = spec_.head_dim});
  ops.kv_write(*stream_, {.k = k, .v = v, .slots = work_.kv_slots.part(0, tokens), .cache = cache});
  ops.attention(*stream_, {.q = q, .cache = cache, .block_tables = work_.block_tables,
                           .sequences = work_.rows.part(0, tokens), .positions = positions, .heads = spec_.heads,
                           .scale = 1.0f / std::sqrt(static_cast<float>(spec_.head_dim)), .out = out,
                           .workspace = work_.scratch});
  ops.linear(*stream_, {.x = out, .weight = &w.output, .bias = w.output_bias, .out = x, .end = LinearEnd::kAccumulate,
                        .workspace = work_.scratch});
}

void Transformer::ffn_block(int64_t index, int64_t tokens) {
  Ops& ops = backend_.ops();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(index)];
  const MatView<float> x = work_.x.row_part(0, tokens), gated = work_.gated.row_part(0, tokens);
  ops.linear(*stream_, {.x = x, .weight = &w.gate_up, .bias = w.gate_up_bias, .out = gated, .end = LinearEnd::kSwiglu,
                        .norm = w.ffn_norm, .norm_eps = static_cast<float>(spec_.rms_eps),
                        .workspace = work_.scratch});
  ops.linear(*stream_, {.x = gated, .weight = &w.down, .bias = w.down_bias, .out = x, .end = LinearEnd::kAccumulate,
                        .workspace = work_.scratch});
}

// Only the rows that sample go through the final norm and the head: the head is the largest matrix of small models.
Result<std::span<float>> Transformer::read_logits(int64_t tokens, int64_t samples) {
  Ops& ops = backend_.ops();
  Device& device = backend_.device();
  if (samples > 0) {
    const MatView<float> picked = work_.sampled.row_part(0, samples), out = logits_.row_part(0, samples);
    ops.gather_rows(*stream_, {.x = work_.x.row_part(0, tokens), .indices = work_.sample_rows.part(0, samples),
                               .out = picked});
    ops.linear(*stream_, {.x = picked, .weight = &weights_.head, .bias = {}, .out = out, .norm = weights_.final_norm,
                          .norm_eps = static_cast<float>(spec_.rms_eps), .workspace = work_.scratch});
  }
  const auto count = static_cast<size_t>(samples * spec_.vocab);
  auto* host = static_cast<float*>(device.host_pointer(logits_.data));
  if (host == nullptr) {
    host = host_logits_.data();
    device.copy_to_host(*stream_, host, logits_.data, count * sizeof(float));
  }
  WEIR_RETURN_IF_ERROR(device.synchronize(*stream_));
  return std::span<float>(host, count);
}

}  // namespace weir
