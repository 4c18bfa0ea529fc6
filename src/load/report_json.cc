// The JSON of report.h. Durations are milliseconds, as the names say.
#include "load/json_text.h"
#include "load/report.h"

namespace weir::load {
namespace {

int64_t count(uint64_t number) { return static_cast<int64_t>(number); }
double ms(double us) { return us / 1000; }

void write_run(const Report& report, JsonWriter* json) {
  json->key("target").value(report.target).key("model").value(report.model);
  json->key("load").value(report.load).key("content").value(report.content);
  json->key("seed").value(std::to_string(report.seed)).key("threads").value(int64_t{report.options.threads});
  json->key("stopped_early").boolean(report.result.stopped).key("window_s").value(report.window_s);
}

void write_requests(const Report& report, JsonWriter* json) {
  const Meter& meter = report.result.meter;
  json->key("requests").open('{');
  json->key("sent").value(count(meter.sent)).key("completed").value(count(meter.completed));
  json->key("refused").value(count(meter.refused)).key("failed").value(count(meter.failed));
  json->key("aborted").value(count(meter.aborted)).key("interrupted").value(count(meter.interrupted));
  json->key("slow").value(count(meter.slow)).key("warmup").value(count(meter.warmup)).close('}');
  json->key("tokens").open('{').key("prompt").value(meter.prompt_tokens);
  json->key("output").value(meter.output_tokens).close('}');
  json->key("throughput").open('{').key("requests_per_s").value(report.requests_per_s);
  json->key("output_tokens_per_s").value(report.output_tokens_per_s);
  json->key("prompt_tokens_per_s").value(report.prompt_tokens_per_s).close('}');
  json->key("goodput").open('{').key("requests_per_s").value(report.goodput_per_s);
  json->key("met").value(count(meter.met)).key("fraction").value(report.met_fraction);
  json->key("ttft_slo_ms").value(ms(static_cast<double>(report.options.targets.ttft_us)));
  json->key("tpot_slo_ms").value(ms(static_cast<double>(report.options.targets.tpot_us))).close('}');
}

void write_latencies(const Report& report, JsonWriter* json) {
  json->key("latency_ms").open('{');
  for (const auto& [name, summary] : latency_rows(report)) {
    json->key(name).open('{').key("count").value(count(summary.count)).key("mean").value(ms(summary.mean));
    json->key("p50")
        .value(ms(static_cast<double>(summary.p50)))
        .key("p90")
        .value(ms(static_cast<double>(summary.p90)));
    json->key("p95")
        .value(ms(static_cast<double>(summary.p95)))
        .key("p99")
        .value(ms(static_cast<double>(summary.p99)));
    json->key("max").value(ms(static_cast<double>(summary.max))).close('}');
  }
  json->close('}');
}

void write_endings(const Meter& meter, JsonWriter* json) {
  json->key("refusals").open('[');
  for (const auto& [kind, number] : meter.refusals) {
    json->open('{').key("status").value(int64_t{kind.status}).key("reason").value(kind.reason);
    json->key("code").value(kind.code).key("count").value(count(number)).close('}');
  }
  json->close(']').key("refusals_with_retry_after").value(count(meter.with_retry_after));
  json->key("errors").open('{');
  for (size_t i = 0; i < meter.failures.size(); ++i) {
    if (meter.failures[i] > 0) json->key(failure_name(static_cast<Failure>(i))).value(count(meter.failures[i]));
  }
  json->close('}');
}

void write_tenants(const Report& report, JsonWriter* json) {
  json->key("jain_index").value(report.jain).key("tenants").open('[');
  for (const TenantLine& line : report.tenants) {
    json->open('{').key("name").value(line.name).key("weight").value(line.weight);
    json->key("sent").value(count(line.count.sent)).key("completed").value(count(line.count.completed));
    json->key("refused").value(count(line.count.refused)).key("failed").value(count(line.count.failed));
    json->key("aborted").value(count(line.count.aborted)).key("prompt_tokens").value(line.count.prompt_tokens);
    json->key("output_tokens").value(line.count.output_tokens);
    json->key("service_per_weight").value(line.service).close('}');
  }
  json->close(']');
}

void write_series(const Series& series, JsonWriter* json) {
  const std::vector<int64_t> in_flight = series.in_flight();
  json->key("series").open('{').key("bin_ms").value(ms(static_cast<double>(series.bin_us()))).key("bins").open('[');
  for (size_t i = 0; i < series.bins().size(); ++i) {
    const Series::Bin& bin = series.bins()[i];
    json->open('{').key("started").value(count(bin.started)).key("completed").value(count(bin.completed));
    json->key("refused").value(count(bin.refused)).key("failed").value(count(bin.failed));
    json->key("tokens").value(bin.tokens).key("in_flight").value(in_flight[i]).close('}');
  }
  json->close(']').close('}');
}

void write_tester(const Report& report, JsonWriter* json) {
  const Meter& meter = report.result.meter;
  json->key("tester").open('{').key("cpu_of_one_core").value(report.cpu_fraction);
  json->key("connections_opened").value(count(meter.connects)).key("reconnects").value(count(meter.reconnects));
  json->key("bytes_in").value(count(meter.bytes_in));
  json->key("percentile_error_at_most").value(Histogram::kErrorMax).close('}');
}

}  // namespace

std::string report_json(const Report& report) {
  JsonWriter json;
  json.open('{');
  write_run(report, &json);
  write_requests(report, &json);
  write_latencies(report, &json);
  write_endings(report.result.meter, &json);
  write_tenants(report, &json);
  write_tester(report, &json);
  write_series(report.result.meter.series, &json);
  return json.close('}').take() + "\n";
}

}  // namespace weir::load
