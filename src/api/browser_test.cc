// Web pages of other origins: what a server without keys takes from them, and CORS where an operator opens it.
#include "api/browser.h"

#include <gtest/gtest.h>

#include "api/served_test.h"

namespace weir::api {
namespace {

constexpr char kPath[] = "/v1/completions";
constexpr char kAsk[] = R"({"prompt":"a"})";
constexpr char kJson[] = "Content-Type: application/json\r\n";

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// A request with all of its headers; Host is among them.
std::string request(std::string_view method, std::string_view path, std::string_view headers,
                    std::string_view body = "") {
  return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\n" + std::string(headers) +
         (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" +
         std::string(body);
}

struct Case {
  std::string headers;
  int status;
  std::string reason;
};

void expect_answers(Served* served, const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    const auto reply = served->client().exchange(request("POST", kPath, one.headers, kAsk));
    EXPECT_EQ(reply.status, one.status) << one.headers << reply.body;
    if (!one.reason.empty()) {
      EXPECT_TRUE(contains(reply.body, "\"reason\":\"" + one.reason + "\"")) << reply.body;
    }
  }
}

TEST(Faults, browser_on_another_page) {
  WorldOptions options;
  options.browser.hosts = {"weir.example.com"};
  Served served(options);
  const std::string json = kJson, own = "Host: 127.0.0.1:23333\r\n";
  expect_answers(&served, {
                              {own + json, 200, ""},
                              {own, 200, ""},
                              {own + "Content-Type: application/json; charset=utf-8\r\n", 200, ""},
                              {own + "Content-Type: text/plain\r\n", 415, "not_json"},
                              {own + "Content-Type: application/x-www-form-urlencoded\r\n", 415, "not_json"},
                              {own + json + "Origin: https://evil.example\r\n", 403, "origin_not_allowed"},
                              {own + "Origin: https://evil.example\r\n", 403, "origin_not_allowed"},
                              {own + json + "Origin: null\r\n", 403, "origin_not_allowed"},
                              {own + json + "Origin: http://127.0.0.1:23333\r\n", 200, ""},
                              {"Host: rebound.evil.example\r\n" + json, 403, "unknown_host"},
                              {"Host: rebound.evil.example\r\n" + json + "Origin: http://rebound.evil.example\r\n",
                               403, "unknown_host"},
                              {"Host: weir.example.com:80\r\n" + json, 200, ""},
                              {"Host: localhost:1\r\n" + json, 200, ""},
                              {"Host: [::1]:23333\r\n" + json, 200, ""},
                              {"Host: gpu-box\r\n" + json, 200, ""},
                          });
  const auto index = served.client().exchange(request("GET", "/v1/models", "Host: rebound.evil.example\r\n"));
  EXPECT_EQ(index.status, 403) << "nothing is read through a foreign name";
  for (const char* path : {"/health", "/health/live", "/metrics"}) {
    EXPECT_EQ(served.client().exchange(request("GET", path, "Host: probe.example.com\r\n")).status, 200) << path;
  }
  const auto stranger = served.client().exchange(
      request("POST", kPath, own + "Origin: https://evil.example\r\nContent-Length: 8000000\r\n") + "x");
  EXPECT_EQ(stranger.status, 403) << "and no body is waited for";
  EXPECT_GT(served.world.door.refusals(Refusal::kOriginNotAllowed), 0u);
}

TEST(Faults, browser_with_keys_is_as_before) {
  WorldOptions options;
  options.api_keys = {"k"};
  Served served(options);
  const std::string key = "Host: some.example.com\r\nAuthorization: Bearer k\r\n";
  expect_answers(&served, {{key + "Content-Type: text/plain\r\nOrigin: https://any.example\r\n", 200, ""},
                           {key, 200, ""},
                           {"Host: some.example.com\r\nOrigin: https://any.example\r\n", 401, "unauthenticated"}});
}

TEST(Browser, AllowedOriginsGetCors) {
  WorldOptions options;
  options.browser = {.hosts = {"*"},
                     .origins = {"https://app.example.com"},
                     .methods = {"*"},
                     .headers = {"*"},
                     .credentials = true};
  Served served(options);
  const std::string page = "Host: a.b\r\nOrigin: https://app.example.com\r\n";
  auto client = served.client();
  const auto preflight =
      client.exchange(request("OPTIONS", kPath,
                              page + "Access-Control-Request-Method: POST\r\n"
                                     "Access-Control-Request-Headers: content-type, authorization\r\n"));
  EXPECT_EQ(preflight.status, 204);
  EXPECT_TRUE(contains(preflight.head, "Access-Control-Allow-Origin: https://app.example.com\r\n"))
      << preflight.head;
  EXPECT_TRUE(contains(preflight.head, "Access-Control-Allow-Headers: content-type, authorization\r\n"))
      << preflight.head;
  EXPECT_TRUE(contains(preflight.head, "Access-Control-Allow-Methods: GET, HEAD, POST")) << preflight.head;
  EXPECT_TRUE(contains(preflight.head, "Access-Control-Allow-Credentials: true\r\n")) << preflight.head;
  for (const std::string body : {kAsk, R"({"prompt":"a","stream":true})", R"({"prompt":5})"}) {
    const auto reply = client.exchange(request("POST", kPath, page + kJson, body));
    EXPECT_TRUE(contains(reply.head, "Access-Control-Allow-Origin: https://app.example.com\r\n")) << reply.head;
    EXPECT_TRUE(contains(reply.head, "Vary: Origin\r\n")) << reply.head;
    EXPECT_TRUE(contains(reply.head, "Access-Control-Expose-Headers: x-request-id, retry-after")) << reply.head;
  }
  const std::string other = "Host: a.b\r\nOrigin: https://evil.example\r\n";
  const auto refused =
      client.exchange(request("OPTIONS", kPath, other + "Access-Control-Request-Method: POST\r\n"));
  EXPECT_EQ(refused.status, 403);
  EXPECT_FALSE(contains(refused.head, "Access-Control-Allow-Origin")) << refused.head;
  EXPECT_EQ(client.exchange(request("POST", kPath, other + kJson, kAsk)).status, 403);
  const auto plain = client.exchange(request("POST", kPath, std::string("Host: a.b\r\n") + kJson, kAsk));
  EXPECT_TRUE(contains(plain.head, "Vary: Origin\r\n")) << "a cache must not give this one to a page";
  EXPECT_FALSE(contains(plain.head, "Access-Control-Allow-Origin")) << plain.head;
}

TEST(Browser, APageReadsWhyItsKeyIsRefused) {
  WorldOptions options;
  options.api_keys = {"k"};
  options.browser.origins = {"*"};
  options.browser.methods = options.browser.headers = {"*"};
  Served served(options);
  auto client = served.client();
  const std::string page = "Host: t\r\nOrigin: https://any.example\r\n";
  const auto refused = client.exchange(request("POST", kPath, page + kJson, kAsk));
  EXPECT_EQ(refused.status, 401);
  EXPECT_TRUE(contains(refused.head, "Access-Control-Allow-Origin: *\r\n")) << refused.head;
  EXPECT_FALSE(contains(refused.head, "Access-Control-Allow-Credentials")) << refused.head;
  const auto preflight =
      client.exchange(request("OPTIONS", kPath, page + "Access-Control-Request-Method: POST\r\n"));
  EXPECT_EQ(preflight.status, 204) << "preflights carry no key";
  EXPECT_EQ(client.exchange(request("POST", kPath, page + kJson + "Authorization: Bearer k\r\n", kAsk)).status,
            200);
}

TEST(Browser, WithoutOriginsThereIsNoCors) {
  EXPECT_TRUE(cors_headers({}, "https://a.example").empty());
  http::Request head = make_request("OPTIONS", "/v1/completions");
  head.headers = {{"origin", "https://a.example"}, {"access-control-request-method", "POST"}};
  EXPECT_FALSE(is_preflight({}, head));
}

}  // namespace
}  // namespace weir::api
