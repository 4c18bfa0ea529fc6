// App: the composition root. Builds every room from Settings and the plan, seals, starts, drains and stops.
//
// Thread: the caller's (main). create() loads the model and returns with nothing served yet; start() opens the door.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "config/settings.h"
#include "memory/plan/fit.h"
#include "memory/plan/plan.h"

namespace weir {

// The plan of `weir plan`: reads config.json and the tokeniser's size, never the weights (but samples of them to tell
// whether a --weight-cache is theirs). cache_line: where there is such a folder, what is in it; may be null.
// ERRORS: kFailedPrecondition when it does not fit, with the numbers and the nearest settings that do.
Result<MemoryPlan> plan_for(const Settings& settings, std::string* cache_line = nullptr);

// What `weir plan --for` wants to know: the plan as set, where there is one, and the answer.
struct PlanAnswer {
  std::optional<MemoryPlan> plan;
  FitAnswer answer;
};
// A session length that nobody asked for is halved until the question fits, but not below what it asks for; the answer's
// flags then name it. ERRORS: those of plan_for but for a plan that does not fit, and those of fit_question.
Result<PlanAnswer> answer_question(const Settings& settings, const FitQuestion& question);

class App {
 public:
  // Progress of loading, 0..1, with a short text; called on the calling thread.
  using Progress = std::function<void(double fraction, const std::string& text)>;

  static Result<std::unique_ptr<App>> create(const Settings& settings, const Progress& progress);
  ~App();  // stops at once what still runs

  // After it the port answers and /health/ready is green. ERRORS: those of start_thread(); nothing is served then.
  Status start();
  int port() const;
  std::string url() const;  // "http://127.0.0.1:23333"
  const std::string& model_name() const;
  const MemoryPlan& plan() const;

  // Reads the key file again, as SIGHUP and POST /admin/reload ask for; says in the log what came of it. Any thread.
  void reload_tenants();

  // Stops admission, waits up to --drain-timeout for running and queued work, then ends what is left with kShutdown.
  // Health answers until then. RETURNS: ok when everything had finished by itself, else what was left.
  Status drain_and_stop();

 private:
  struct Impl;
  explicit App(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
