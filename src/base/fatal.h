// fatal: a process that ends by a fault says so in one line, whether or not its log is read.
//
// Thread: main, once, at the start of the program.
#pragma once

namespace weir {

// A line for an exception that nothing caught, for SIGSEGV, SIGBUS, SIGFPE and SIGILL; then the process ends as it
// would have. A signal that has a handler already (a sanitizer's) keeps it.
void install_fatal_lines();

}  // namespace weir
