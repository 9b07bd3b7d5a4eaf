// SPDX-License-Identifier: Apache-2.0
// HTTP for registries, over libcurl, one transfer at a time. Servers stall, break off, redirect in circles
// and ask for patience; Http waits with back-off as long as that makes sense, follows redirects itself so
// that a password never reaches another host (CVE-2022-23538), and never goes from https to http.
//
// One thread at a time for each Http; several Https work side by side.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::oci {

struct HttpOptions {
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{30};     // without a byte
  unsigned tries = 6;                         // of a transfer that failed by no fault of its own
  std::chrono::milliseconds first_wait{500};  // doubled each time
  std::chrono::seconds wait_max{120};         // what a Retry-After may ask for at most
  unsigned redirects_max = 10;
  std::string ca_file;  // empty: the system's
  const std::atomic<bool>* cancelled = nullptr;
  // The same for some transfers of many: by whoever has no more use for what they bring.
  std::shared_ptr<const std::atomic<bool>> given_up;
  bool IsCancelled() const {
    return (cancelled != nullptr && cancelled->load()) || (given_up != nullptr && given_up->load());
  }
  // Of tests; empty: really waits. Not called for longer than wait_max.
  std::function<void(std::chrono::milliseconds)> sleep;
  // From $SLIPWAY_CA_FILE or $SSL_CERT_FILE, $SLIPWAY_HTTP_STALL_S.
  static HttpOptions FromEnvironment();
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string authorization;         // value of that header; stays with the host it was meant for
  std::string body;                  // POST, PUT
  bool body_is_secret = false;       // then it stays with that host, too: a redirect away is refused
  int upload_fd = -1;                // PUT from here instead (borrowed), by pread from upload_offset on
  std::uint64_t upload_offset = 0, upload_size = 0;
  std::size_t body_max = 8 << 20;  // of the answer, when there is no sink
  // Bytes of a good answer (2xx) as they come; `begin` before the first, with status (200, 206) and headers.
  using Headers = std::map<std::string, std::string>;  // names in lower case
  std::function<Result<>(long, const Headers&)> begin;
  std::function<Result<>(std::string_view)> sink;
};

struct HttpResponse {
  long status = 0;
  HttpRequest::Headers headers;
  std::string body;
  std::string url;  // where it came from in the end
};

class Http {
 public:
  explicit Http(HttpOptions options);
  ~Http();
  Http(Http&&) noexcept;

  // Any status is an answer, but 429 and 5xx are tried again first; kUnavailable and kDeadlineExceeded when
  // the server could not be talked to. With a sink a transfer that broke off after its first byte is not
  // repeated.
  Result<HttpResponse> Send(const HttpRequest& request);
  const HttpOptions& options() const { return options_; }
  // Waits as Send does between its tries; false when that was the last one or it was cancelled.
  bool WaitBeforeTry(unsigned tried, std::chrono::milliseconds asked_for = {});

 private:
  struct Transfer;
  Result<HttpResponse> Once(const HttpRequest& request, const std::string& url, bool with_authorization,
                            bool& sink_touched);
  Result<HttpResponse> FollowingRedirects(const HttpRequest& request, bool& sink_touched);
  HttpOptions options_;
  std::unique_ptr<void, void (*)(void*)> curl_;
};

// What `location`, an address or a path, is when `base` says it; empty: nothing usable.
std::string AbsoluteUrl(const std::string& base, const std::string& location);
// "https://host:port": equal when a password for one may go to the other.
std::string OriginOf(std::string_view url);
std::string UrlEscaped(const std::string& text);  // for a query's value
// Seconds, or an HTTP date; zero when it is neither.
std::chrono::milliseconds RetryAfter(std::string_view value, std::chrono::system_clock::time_point now);

}  // namespace slipway::oci
