#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/foreign.h"
#include "config/options.h"
#include "config/parse.h"
#include "config/toml_file.h"
#include "config/values.h"

namespace weir {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A folder of its own for each test, with a model directory in it.
class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weir_config_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    model_ = folder_ + "/model";
    std::filesystem::create_directory(model_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  Result<Settings> parse(std::vector<std::string> words, const Environment& environment = {}) {
    words.insert(words.begin(), model_);
    warnings_.clear();
    return parse_settings(words, environment, &warnings_);
  }
  std::string error(std::vector<std::string> words, const Environment& environment = {}) {
    const Result<Settings> result = parse(std::move(words), environment);
    return result.ok() ? "(no error)" : result.status().message();
  }

  std::string folder_, model_;
  std::vector<std::string> warnings_;
};

TEST_F(ConfigTest, DefaultsAreThoseOfSettings) {
  Settings expected;
  expected.model = model_;
  expected.max_batch_size = expected.max_concurrent_requests = 32;
  expected.default_class = "normal";
  ASSERT_TRUE(parse({}).ok()) << error({});
  EXPECT_TRUE(*parse({}) == expected);
  EXPECT_THAT(warnings_, IsEmpty());
}

// The defaults that the help shows are texts; each must mean what Settings holds.
TEST_F(ConfigTest, DefaultsShownInTheHelpAreTrue) {
  for (const SettingOption& option : setting_options()) {
    if (option.spec.standard.empty()) continue;
    Settings settings;
    std::vector<std::string> warnings;
    const Status status = option.set({option.spec.standard}, &settings, &warnings);
    EXPECT_TRUE(status.ok()) << option.spec.name << ": " << status.message();
    EXPECT_TRUE(settings == Settings{}) << option.spec.name;
  }
}

TEST_F(ConfigTest, FlagsBeatEnvironmentBeatsFileBeatsDefault) {
  const std::string toml = file("weir.toml", "max_queued_requests = 1\nserver-port = 1001\nio-threads = 2\n");
  const Environment environment = {{"WEIR_SERVER_PORT", "1002"}, {"WEIR_MAX_QUEUED_REQUESTS", "2"}};
  const Result<Settings> settings = parse({"--config", toml, "--server-port", "1003"}, environment);
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  EXPECT_EQ(settings->server_port, 1003);
  EXPECT_EQ(settings->max_queued_requests, 2);
  EXPECT_EQ(settings->io_threads, 2);
  EXPECT_EQ(settings->max_connections, 4096);
}

TEST_F(ConfigTest, EveryFlagReachesItsMember) {
  const Result<Settings> parsed = parse({"--model-name=m",
                                         "--chat-template",
                                         "t.jinja",
                                         "--model-format",
                                         "int8",
                                         "--dtype",
                                         "bfloat16",
                                         "--session-len",
                                         "2048",
                                         "--max-batch-size",
                                         "8",
                                         "--max-concurrent-requests",
                                         "4",
                                         "--max-queued-requests",
                                         "0",
                                         "--max-queued-tokens",
                                         "99",
                                         "--queue-timeout",
                                         "500ms",
                                         "--max-prefill-token-num",
                                         "256",
                                         "--speculative",
                                         "ngram",
                                         "--speculative-tokens",
                                         "5",
                                         "--cache-max-entry-count",
                                         "8GiB",
                                         "--cache-block-seq-len",
                                         "32",
                                         "--memory-limit",
                                         "2GiB",
                                         "--memory-governor",
                                         "observe",
                                         "--memory-reserve",
                                         "128MiB",
                                         "--memory-poll",
                                         "1s",
                                         "--device",
                                         "cpu",
                                         "--threads",
                                         "3",
                                         "--cpu-set",
                                         "0-3,8",
                                         "--pin-threads",
                                         "off",
                                         "--server-name",
                                         "::1",
                                         "--server-port",
                                         "0",
                                         "--io-threads",
                                         "2",
                                         "--text-threads",
                                         "3",
                                         "--max-connections",
                                         "7",
                                         "--host-request-bytes",
                                         "64MiB",
                                         "--host-bytes-per-request",
                                         "8MiB",
                                         "--max-body-bytes",
                                         "1MiB",
                                         "--drain-timeout",
                                         "2m",
                                         "--log-level",
                                         "debug"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  Settings expected;
  expected.model = model_;
  expected.model_name = "m";
  expected.chat_template = "t.jinja";
  expected.model_format = "int8";
  expected.dtype = "bfloat16";
  expected.session_len = 2048;
  expected.max_batch_size = 8;
  expected.max_concurrent_requests = 4;
  expected.max_queued_requests = 0;
  expected.max_queued_tokens = 99;
  expected.queue_timeout_ms = 500;
  expected.max_prefill_token_num = 256;
  expected.speculative = "ngram";
  expected.speculative_tokens = 5;
  expected.cache_max_entry_count = "8GiB";
  expected.cache_block_seq_len = 32;
  expected.memory_limit = uint64_t{2} << 30;
  expected.memory_governor = "observe";
  expected.memory_reserve = uint64_t{128} << 20;
  expected.memory_poll_ms = 1000;
  expected.threads = 3;
  expected.cpu_set = "0-3,8";
  expected.pin_threads = false;
  expected.server_name = "::1";
  expected.server_port = 0;
  expected.io_threads = 2;
  expected.text_threads = 3;
  expected.max_connections = 7;
  expected.host_request_bytes = 64 << 20;
  expected.host_bytes_per_request = 8 << 20;
  expected.max_body_bytes = 1 << 20;
  expected.drain_timeout_ms = 120'000;
  expected.log_level = LogLevel::kDebug;
  expected.default_class = "normal";
  EXPECT_TRUE(*parsed == expected);
}

TEST_F(ConfigTest, MemoryFlagsRefuseWhatTheyCannotMean) {
  EXPECT_THAT(error({"--memory-governor", "maybe"}), HasSubstr("choose on, off, observe"));
  EXPECT_THAT(error({"--memory-reserve", "1"}), HasSubstr("out of range"));
  EXPECT_THAT(error({"--memory-reserve", "-1GiB"}), HasSubstr("--memory-reserve"));
  EXPECT_THAT(error({"--memory-poll", "9ms"}), HasSubstr("choose 10ms to 60s"));
  EXPECT_THAT(error({"--memory-poll", "2m"}), HasSubstr("choose 10ms to 60s"));
  const Result<Settings> settings = parse({}, {{"WEIR_SYSTEM_ROOT", "/elsewhere"}});
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  EXPECT_EQ(settings->system_root, "/elsewhere");
  EXPECT_THAT(warnings_, Contains(HasSubstr("for tests alone")));
}

TEST_F(ConfigTest, AStallForTestsIsOffAndSaysWhatItIs) {
  const Result<Settings> settings = parse({}, {{"WEIR_TEST_STALL", "17:deaf"}});
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  EXPECT_EQ(settings->test_stall, "17:deaf");
  EXPECT_THAT(warnings_, Contains(HasSubstr("will hang")));
  for (const char* bad : {"x", "-1", "1:", "1:mute", "99999999999"}) {
    EXPECT_FALSE(parse({}, {{"WEIR_TEST_STALL", bad}}).ok()) << bad;
  }
}

TEST_F(ConfigTest, FileMayUseTheServeTableAndUnderscores) {
  const std::string toml = file("a.toml",
                                "session_len = 100\n[serve]\ncache_max_entry_count = 0.5\n"
                                "pin-threads = false\nqueue-timeout = \"5s\"\n");
  const Result<Settings> settings = parse({"--config", toml});
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  EXPECT_EQ(settings->session_len, 100);
  EXPECT_EQ(settings->cache_max_entry_count, "0.5");
  EXPECT_FALSE(settings->pin_threads);
  EXPECT_EQ(settings->queue_timeout_ms, 5000);
}

TEST_F(ConfigTest, FileErrorsNameTheLineAndTheNearestKey) {
  EXPECT_THAT(error({"--config", file("a.toml", "io-threads = 1\nmax-batchsize = 4\n")}),
              HasSubstr("a.toml:2: unknown setting max-batchsize; did you mean max-batch-size?"));
  EXPECT_THAT(error({"--config", file("b.toml", "io-threads = = 1\n")}), HasSubstr("b.toml:1: "));
  EXPECT_THAT(error({"--config", file("c.toml", "io-threads = 1\n[serve]\nio_threads = 2\n")}),
              HasSubstr("c.toml:3: io-threads is given twice"));
  EXPECT_THAT(error({"--config", file("d.toml", "[server]\nio_threads = 2\n")}),
              HasSubstr("unknown setting server"));
  EXPECT_THAT(error({"--config", file("e.toml", "io-threads = [1, 2]\n")}), HasSubstr("takes one value"));
  EXPECT_THAT(error({"--config", file("f.toml", "io-threads = 0\n")}),
              HasSubstr("f.toml: io-threads: '0' is out of"));
  EXPECT_THAT(error({"--config", file("g.toml", "port = 1\n")}), HasSubstr("weir calls this --server-port"));
  EXPECT_THAT(error({"--config", file("h.toml", "[serve.serve]\nio-threads = 1\n")}), HasSubstr("unknown setting"));
  EXPECT_THAT(error({"--config", file("i.toml", "io-threads = {a = 1}\n")}), HasSubstr("write a string, a number"));
  EXPECT_THAT(error({"--config", file("j.toml", std::string(100'000, '['))}), HasSubstr("j.toml:1: "));
  EXPECT_THAT(error({"--config", folder_ + "/none.toml"}), HasSubstr("there is no such file"));
  EXPECT_THAT(error({"--config", folder_}), HasSubstr("is not a regular file"));
  EXPECT_THAT(error({"--config", file("k.toml", std::string(2 << 20, '#'))}), HasSubstr("is larger than"));
}

TEST_F(ConfigTest, ConfigPathAndModelMayComeFromTheEnvironment) {
  const std::string toml = file("a.toml", "model = \"" + model_ + "\"\nthreads = 5\n");
  const Result<Settings> settings = parse_settings({}, {{"WEIR_CONFIG", toml}}, &warnings_);
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  EXPECT_EQ(settings->model, model_);
  EXPECT_EQ(settings->threads, 5);
  EXPECT_EQ(parse_settings({}, {{"WEIR_MODEL", model_}}, &warnings_)->model, model_);
}

TEST_F(ConfigTest, ConcurrencyAndBatchFollowEachOther) {
  EXPECT_EQ(parse({"--max-batch-size", "5"})->max_concurrent_requests, 5);
  EXPECT_EQ(parse({"--max-concurrent-requests", "6"})->max_batch_size, 6);
  EXPECT_EQ(parse({"--max-batch-size", "9", "--max-concurrent-requests", "6"})->max_batch_size, 9);
  EXPECT_THAT(error({"--max-batch-size", "5", "--max-concurrent-requests", "6"}),
              HasSubstr("--max-concurrent-requests 6 is above --max-batch-size 5"));
  EXPECT_THAT(error({"--max-batch-size", "64", "--max-prefill-token-num", "63"}), HasSubstr("at least 64"));
}

TEST_F(ConfigTest, RangesAreErrorsThatNameTheirSource) {
  EXPECT_EQ(error({"--server-port", "70000"}), "--server-port: '70000' is out of range; choose 0 to 65535");
  EXPECT_EQ(error({}, {{"WEIR_SERVER_PORT", "x"}}),
            "WEIR_SERVER_PORT: 'x' is not a whole number; choose 0 to 65535");
  EXPECT_THAT(error({"--threads", "-1"}), HasSubstr("--threads: '-1' is out of range"));
  EXPECT_THAT(error({"--threads", "99999999999999999999"}), HasSubstr("out of range"));
  EXPECT_THAT(error({"--threads", "1.5"}), HasSubstr("not a whole number"));
  EXPECT_THAT(error({"--cache-block-seq-len", "48"}), HasSubstr("power of two"));
  EXPECT_THAT(error({"--memory-limit", "1MiB"}), HasSubstr("out of range"));
  EXPECT_THAT(error({"--memory-limit", "lots"}), HasSubstr("is not a size"));
  EXPECT_THAT(error({"--max-body-bytes", "0"}), HasSubstr("out of range"));
  EXPECT_THAT(error({"--host-request-bytes", "1000"}), HasSubstr("out of range"));
  EXPECT_THAT(error({"--host-bytes-per-request", "-5"}), HasSubstr("is not a size"));
  EXPECT_THAT(error({"--host-request-bytes", "2MiB", "--host-bytes-per-request", "3MiB"}),
              HasSubstr("--host-bytes-per-request 3145728 is above --host-request-bytes 2097152"));
  EXPECT_THAT(error({"--dtype", "float64"}), HasSubstr("choose auto, float32, bfloat16, float16"));
  EXPECT_THAT(error({"--model-format", "awq"}), HasSubstr("'awq' is not supported; choose auto, int8"));
  EXPECT_THAT(error({"--speculative", "tree"}), HasSubstr("'tree' is not supported; choose off, ngram"));
  EXPECT_THAT(error({"--speculative-tokens", "0"}), HasSubstr("16"));
  EXPECT_THAT(error({"--speculative-tokens", "17"}), HasSubstr("16"));
  EXPECT_THAT(error({"--device", "cuda"}), HasSubstr("'cuda' is not supported; choose cpu"));
  EXPECT_THAT(error({"--server-name", "http://x"}), HasSubstr("without port or scheme"));
  EXPECT_THAT(error({"--model-name", "a b"}), HasSubstr("without spaces"));
  EXPECT_THAT(error({"--log-level", "loud"}), HasSubstr("log level 'loud'"));
  EXPECT_THAT(error({"--pin-threads", "maybe"}), HasSubstr("write on or off"));
}

TEST_F(ConfigTest, MemoryIsLockedOnlyWhereAsked) {
  EXPECT_FALSE(parse({})->parse_special_in_content);
  EXPECT_TRUE(parse({"--parse-special-in-content"})->parse_special_in_content);
  EXPECT_FALSE(parse({})->mlock);
  EXPECT_TRUE(parse({"--mlock"})->mlock);
  EXPECT_TRUE(parse({"--mlock", "--threads", "2"})->mlock);
  EXPECT_TRUE(parse({}, {{"WEIR_MLOCK", "on"}})->mlock);
  EXPECT_FALSE(parse({}, {{"WEIR_MLOCK", "off"}})->mlock);
  EXPECT_TRUE(parse({"--config", file("m.toml", "mlock = true\n")})->mlock);
  EXPECT_FALSE(parse({"--config", file("m.toml", "mlock = false\n")})->mlock);
  EXPECT_THAT(error({}, {{"WEIR_MLOCK", "please"}}), HasSubstr("WEIR_MLOCK: "));
}

// Ratios and sizes as operators mistype them: said with the flag, the text, and the three forms.
TEST_F(ConfigTest, CacheSharesAndSizesThatMakeNoSense) {
  for (const char* bad : {"0", "0.0", "1.5", "2.5", "1.0001", "8Gi B", "8XiB", "GiB", "0GiB", "nan", "1e9", "2.0", "0x10"}) {
    const std::string message = error({"--cache-max-entry-count", bad});
    EXPECT_THAT(message, testing::StartsWith("--cache-max-entry-count: ")) << bad;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  for (const char* bad : {"-1", "-0.5", "-8GiB"}) {
    EXPECT_THAT(error({std::string("--cache-max-entry-count=") + bad}), HasSubstr("--cache-max-entry-count: ")) << bad;
  }
  for (const char* bad : {"8XiB", "8Gi B", "GiB", "-8GiB", "0.8.1GiB", "99999999999999999999TiB", "15MiB"}) {
    EXPECT_THAT(error({std::string("--memory-limit=") + bad}), HasSubstr("--memory-limit: ")) << bad;
  }
  for (const char* bad : {"-1", "16777217", "1k", "0x40"}) {
    EXPECT_THAT(error({std::string("--session-len=") + bad}), HasSubstr("--session-len: ")) << bad;
  }
}

TEST_F(ConfigTest, WordsThatAreNotOptions) {
  EXPECT_EQ(error({"--max-batchsize", "4"}), "unknown option --max-batchsize; did you mean --max-batch-size?");
  EXPECT_EQ(error({"--qqqqqqqqqqqqqqq=4"}), "unknown option --qqqqqqqqqqqqqqq; see weir serve --help");
  EXPECT_EQ(error({"other-model"}), "unexpected argument 'other-model'; one MODEL is taken");
  EXPECT_EQ(error({"--server-port"}), "--server-port needs a value: --server-port PORT");
  EXPECT_EQ(parse({"--server_port=80", "--server-port", "81"})->server_port, 81);
  EXPECT_THAT(parse_settings({}, {}, &warnings_).status().message(), HasSubstr("no model given"));
  EXPECT_THAT(parse_settings({"no/such"}, {}, &warnings_).status().message(),
              HasSubstr("no/such: is not a directory"));
}

TEST_F(ConfigTest, QuantPolicyIsZeroFourOrEight) {
  EXPECT_EQ(parse({})->quant_policy, 0);
  EXPECT_EQ(parse({"--quant-policy", "0"})->quant_policy, 0);
  EXPECT_EQ(parse({"--quant-policy", "4"})->quant_policy, 4);
  EXPECT_EQ(parse({"--quant-policy=8"})->quant_policy, 8);
  EXPECT_EQ(parse({}, {{"WEIR_QUANT_POLICY", "8"}})->quant_policy, 8);
  for (const char* bad : {"1", "16", "42", "-8", "08", "8 ", "int8", "", "99999999999999999999"}) {
    EXPECT_THAT(error({"--quant-policy", bad}), HasSubstr("choose 8 (int8 KV cache), 4 (int4) or 0")) << bad;
  }
}

TEST_F(ConfigTest, FlagsOfOtherServersGetAnAnswer) {
  EXPECT_TRUE(parse({"--tp", "1"}).ok());
  EXPECT_THAT(error({"--tp", "2"}), HasSubstr("--tp: weir runs a model in one process"));
  EXPECT_TRUE(parse({"--enable-prefix-caching"})->enable_prefix_caching) << "a bare switch, as LMDeploy has it";
  EXPECT_TRUE(parse({"--enable-prefix-caching", "--tp", "1"})->enable_prefix_caching);
  EXPECT_FALSE(parse({"--enable-prefix-caching", "off"})->enable_prefix_caching);
  EXPECT_THAT(error({"--enable-prefix-caching=maybe"}), HasSubstr("neither on nor off"));
  EXPECT_THAT(error({"--backend", "turbomind"}), HasSubstr("--backend: weir has one backend"));
  EXPECT_THAT(error({"--port", "80"}), HasSubstr("weir calls this --server-port"));
  for (const OptionSpec& option : settings_flags()) EXPECT_EQ(foreign_flag_hint(option.name), "") << option.name;
}

TEST_F(ConfigTest, ApiKeysComeAsWordsListsAndFiles) {
  EXPECT_THAT(parse({"--api-keys", "k1", "k2", "--threads", "1"})->api_keys, ElementsAre("k1", "k2"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("visible to every user")));
  EXPECT_THAT(parse({}, {{"WEIR_API_KEYS", "k1,k2 k3"}})->api_keys, ElementsAre("k1", "k2", "k3"));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_THAT(parse({"--config", file("k.toml", "api-keys = ['a', 'b']\n")})->api_keys, ElementsAre("a", "b"));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_TRUE(parse({"--config", file("k.toml", "api-keys = ['a', 'b']\n", 0644)}).ok());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("chmod o-r")));
  EXPECT_THAT(parse({"--api-keys", "@" + file("keys", "# staff\nk1\r\n\n  k2  \n")})->api_keys,
              ElementsAre("k1", "k2"));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_TRUE(parse({"--api-keys", "@" + file("open", "k1\n", 0644)}).ok());
  EXPECT_THAT(warnings_, Contains(HasSubstr("chmod o-r")));
  EXPECT_THAT(error({"--api-keys", "@" + file("none", "#\n")}), HasSubstr("holds no key"));
  EXPECT_THAT(error({"--api-keys", "@" + file("two", "a b\n")}), HasSubstr("one key per line"));
  EXPECT_THAT(error({"--api-keys", "a\tb"}), HasSubstr("printable ASCII"));
  EXPECT_THAT(error({"--api-keys", std::string(257, 'k')}), HasSubstr("longer than 256"));
}

TEST_F(ConfigTest, AKeyFileInTomlBringsTenants) {
  const std::string text = "[[tenant]]\nname = 'acme'\nclass = 'batch'\nkeys = ['sha256:" + std::string(64, 'a') + "']\n";
  const std::string path = file("tenants.toml", text, 0644);
  for (const std::string& word : {path, "@" + path}) {
    const auto settings = parse({"--api-keys", word, "--server-name", "0.0.0.0"});
    ASSERT_TRUE(settings.ok()) << settings.status().message();
    EXPECT_THAT(settings->api_keys, IsEmpty());
    EXPECT_EQ(settings->tenants_file, path);
    ASSERT_EQ(settings->tenants.size(), 1u);
    EXPECT_EQ(settings->tenants[0].name, "acme");
    EXPECT_THAT(warnings_, IsEmpty()) << "digests may be seen, and a key is asked for";
  }
  EXPECT_THAT(parse({"--api-keys", path, "plain"})->api_keys, ElementsAre("plain")) << "of the tenant default";
  EXPECT_EQ(parse({}, {{"WEIR_API_KEYS", path}})->tenants.size(), 1u);
  EXPECT_THAT(error({"--api-keys", path, path}), HasSubstr("two key files"));
  EXPECT_THAT(error({"--api-keys", path, "--classes", "one,two"}), HasSubstr("tenants.toml:3: class: \"batch\" is none of the classes one, two"));
  EXPECT_THAT(error({"--api-keys", path + ".toml"}), HasSubstr("tenants.toml.toml"));
  EXPECT_THAT(error({"--api-keys", file("large.toml", std::string((1 << 20) + 1, '#'))}), HasSubstr("large.toml"));
}

TEST_F(ConfigTest, OpenDoorsAndNearMissesAreWarnedAbout) {
  ASSERT_TRUE(parse({"--server-name", "0.0.0.0"}).ok());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("anyone who can reach 0.0.0.0")));
  ASSERT_TRUE(parse({}, {{"WEIR_SERVER_PRT", "1"}, {"WEIR_DATA", "x"}, {"WEIR_LOG_LEVEL", ""}}).ok());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("WEIR_SERVER_PRT")));
}

}  // namespace
}  // namespace weir
