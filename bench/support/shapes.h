// Shapes: the sizes of real models, with random weights and a tokenizer that says nothing, so that every server and
// engine can be measured on the same bits without a download. Any thread; writes files, nothing else.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace weir::bench {

// qwen2.5-0.5b, tinyllama-1.1b, qwen2.5-3b, and small (24 M parameters, for trying things out).
std::string shape_names();

// RETURNS: the config.json of that model. ERRORS: kInvalidArgument, naming the shapes.
Result<std::string> shape_config(std::string_view name);

// config.json, model.safetensors (bf16, the same bits each time) and tokenizer.json: tokens 0..255 are bytes, the
// end token says nothing, every other one is " w" and its number. ERRORS: those of write_random_checkpoint.
Status write_shape(std::string_view name, const std::string& dir);

}  // namespace weir::bench
