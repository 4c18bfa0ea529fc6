// start_thread: the one way in which weir makes a thread. std::thread's constructor throws where the system gives
// no more threads; here that is a Status, so that a start prints one line and ends.
//
// Any thread. Owner: the caller, which joins it. tests/repo_rules_test fails on a thread that is made in another
// way.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "base/status.h"

namespace weir {

// name: what top -H, gdb and the error call the thread; its first 15 bytes count there. body: must not throw.
// ERRORS: kResourceExhausted, where the system gives no thread: the line says which limits to raise. Nothing runs
// then.
Result<std::thread> start_thread(const std::string& name, std::function<void()> body);

// For tests alone: `starts` further threads can be had, and then none, as where a limit is reached. Negative: no
// limit.
void limit_thread_starts_for_test(int64_t starts);

}  // namespace weir
