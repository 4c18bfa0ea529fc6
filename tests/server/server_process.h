// A real `weir serve` in a process of its own, on a free loopback port, for tests of the whole. Killed by the
// destructor if it still runs. Test thread only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace weir::testing {

// models/weir-demo, or what WEIR_MODEL names.
std::string demo_model();

// Asks every 20 ms. RETURNS: false after timeout_ms.
bool wait_until(const std::function<bool()>& condition, int timeout_ms);

class ServerProcess {
 public:
  // Starts and waits until it prints that it is ready; prints its log and leaves port() 0 when it does not.
  explicit ServerProcess(const std::vector<std::string>& flags, const std::string& model = demo_model());
  ~ServerProcess();

  int port() const { return port_; }
  bool running();
  void signal(int number);
  // RETURNS: the exit status, 128 + signal when killed, -1 after timeout_ms.
  int wait_for_exit(int timeout_ms);

  uint64_t peak_bytes() const;  // VmHWM
  uint64_t rss_bytes() const;   // VmRSS
  uint64_t plan_bytes() const;  // total_bytes of GET /plan
  std::string log() const;      // what it printed so far; a line may come a moment after what it tells of
  bool says(const std::string& text) const;  // waits for it in the log. RETURNS: false after 20 s
  // /metrics as of now, each line behind a line break.
  std::string metrics_text() const;
  // A value of it by its name with labels; -1 when absent.
  double metric(const std::string& name) const;
  double metric_sum(const std::string& family) const;  // of all its samples, in one scrape
  std::map<std::string, double> metrics() const;  // all of one look, by name with labels
  // Polls until the metric has the value. RETURNS: false after timeout_ms.
  bool wait_for_metric(const std::string& name, double value, int timeout_ms) const;

 private:
  std::string log_path_;
  pid_t pid_ = -1;
  int port_ = 0;
};

}  // namespace weir::testing
