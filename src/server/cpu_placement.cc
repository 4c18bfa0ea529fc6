#include "server/cpu_placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "base/cpu_list.h"
#include "device/host/cpu_topology.h"

namespace weir {
namespace {

constexpr int kThreadsMax = 1024;

Result<std::vector<int>> chosen_cpus(const CpuQuestion& question) {
  if (question.cpu_set.empty()) return question.allowed;
  auto cpus = parse_cpu_list(question.cpu_set);
  if (!cpus.ok()) return cpus.status().with_prefix("--cpu-set");
  std::vector<int> beyond;
  std::set_difference(cpus->begin(), cpus->end(), question.allowed.begin(), question.allowed.end(),
                      std::back_inserter(beyond));
  if (beyond.empty()) return cpus;
  return invalid_argument(fmt::format("--cpu-set: this process may not use CPU {}; it may use {}", beyond[0],
                                      format_cpu_list(question.allowed)));
}

int whole_cpus(double quota) { return static_cast<int>(std::clamp(quota, 1.0, static_cast<double>(kThreadsMax))); }

std::string sorted_list(std::vector<int> cpus) {
  std::sort(cpus.begin(), cpus.end());
  return format_cpu_list(cpus);
}

void warn_of_crowding(const CpuQuestion& question, size_t cpus, CpuPlacement* out) {
  if (static_cast<size_t>(out->threads) > cpus) {
    out->warnings.push_back(
        fmt::format("--threads {} are more than the {} CPU{} that {}: they will wait for each other; "
                    "lower --threads to {}",
                    out->threads, cpus, cpus == 1 ? "" : "s",
                    question.cpu_set.empty() ? "this process may use" : "--cpu-set gives them", cpus));
  }
  if (question.quota && out->threads > whole_cpus(*question.quota)) {
    out->warnings.push_back(
        fmt::format("--threads {} are more than the {:.4g} CPUs of time that the cgroup allows: when it "
                    "is used up all of them stand still; lower --threads to {} or raise the quota "
                    "(cpu.max)",
                    out->threads, *question.quota, whole_cpus(*question.quota)));
  }
}

}  // namespace

Result<CpuPlacement> place_threads(const CpuQuestion& question) {
  WEIR_ASSIGN_OR_RETURN(const std::vector<int> set, chosen_cpus(question));
  std::vector<CpuPlace> places = read_cpu_places(question.root, set);
  std::sort(places.begin(), places.end(), [](const CpuPlace& a, const CpuPlace& b) {
    return std::tie(a.sibling, a.node, a.cpu) < std::tie(b.sibling, b.node, b.cpu);
  });
  const auto cores = static_cast<int>(
      std::count_if(places.begin(), places.end(), [](const CpuPlace& p) { return p.sibling == 0; }));
  const int paid = question.quota ? whole_cpus(*question.quota) : kThreadsMax;

  CpuPlacement out;
  out.threads = question.threads > 0 ? question.threads : std::min({std::max(cores, 1), paid, kThreadsMax});
  warn_of_crowding(question, places.size(), &out);
  const bool shares_machine = out.threads < cores || paid < cores;
  out.spin = static_cast<size_t>(out.threads) <= places.size() && out.threads <= paid;
  out.pin = question.pin && out.spin && (!question.cpu_set.empty() || !shares_machine);
  if (out.pin) places.resize(static_cast<size_t>(out.threads));
  std::set<int> nodes;
  for (const CpuPlace& place : places) {
    out.cpus.push_back(place.cpu);
    nodes.insert(place.node);
  }
  out.nodes.assign(nodes.begin(), nodes.end());
  out.text =
      fmt::format("{} thread{} {} CPU{} {}", out.threads, out.threads == 1 ? "" : "s",
                  out.pin ? "pinned to" : "on any of", out.cpus.size() == 1 ? "" : "s", sorted_list(out.cpus));
  if (out.nodes.size() > 1) out.text += ", memory spread over NUMA nodes " + format_cpu_list(out.nodes);
  return out;
}

}  // namespace weir
