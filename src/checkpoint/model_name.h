// model_name_of: what a person would call the model in a directory, where the operator gave it no name. Any thread;
// it looks at the file system's names and reads no file.
#pragma once

#include <string>

namespace weir {

// A snapshot of the Hugging Face cache (models--OWNER--NAME/snapshots/COMMIT) is OWNER/NAME; any other directory is
// called as it was given, and "." or ".." by its real name. RETURNS: valid UTF-8 without blanks, quotes,
// backslashes and control bytes, each run of which is one "-"; never empty.
std::string model_name_of(const std::string& model_dir);

// RETURNS: OWNER/NAME where the path, without a trailing slash, is one of a snapshot; else "".
std::string snapshot_name_of(const std::string& path);

}  // namespace weir
