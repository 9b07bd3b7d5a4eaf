// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/http.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::oci {

namespace {

constexpr std::size_t kHeadersMax = 256;

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListFree>;

void PrepareCurl() {
  static const bool prepared = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  CHECK(prepared);
}

// Worth another try: the line, not what was said over it.
bool IsOfTheLine(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

}  // namespace

HttpOptions HttpOptions::FromEnvironment() {
  HttpOptions options;
  for (const char* name : {"SLIPWAY_CA_FILE", "SSL_CERT_FILE"}) {
    const char* value = std::getenv(name);
    if (options.ca_file.empty() && value != nullptr) options.ca_file = value;
  }
  if (const char* stall = std::getenv("SLIPWAY_HTTP_STALL_S")) {
    if (auto seconds = ParseNumber(stall, 1, 3600)) options.stall_timeout = std::chrono::seconds(*seconds);
  }
  return options;
}

std::string AbsoluteUrl(const std::string& base, const std::string& location) {
  CURLU* url = curl_url();
  std::string made;
  char* text = nullptr;
  if (curl_url_set(url, CURLUPART_URL, base.c_str(), 0) == CURLUE_OK &&
      curl_url_set(url, CURLUPART_URL, location.c_str(), 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK) {
    made = text;
    curl_free(text);
  }
  curl_url_cleanup(url);
  return made;
}

std::string UrlEscaped(const std::string& text) {
  char* escaped = curl_easy_escape(nullptr, text.c_str(), static_cast<int>(text.size()));
  std::string made = escaped != nullptr ? escaped : "";
  curl_free(escaped);
  return made;
}

std::string OriginOf(std::string_view text) {
  CURLU* url = curl_url();
  std::string origin;
  if (curl_url_set(url, CURLUPART_URL, std::string(text).c_str(), 0) == CURLUE_OK) {
    char *scheme = nullptr, *host = nullptr, *port = nullptr;
    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(url, CURLUPART_HOST, &host, 0);
    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    if (scheme != nullptr && host != nullptr)
      origin = Cat(scheme, "://", Lower(host), ":", port != nullptr ? port : "");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
  }
  curl_url_cleanup(url);
  return origin;
}

std::chrono::milliseconds RetryAfter(std::string_view value, std::chrono::system_clock::time_point now) {
  if (auto seconds = ParseNumber(Trim(value), 0, 86400)) return std::chrono::seconds(*seconds);
  std::time_t moment = curl_getdate(std::string(value).c_str(), nullptr);
  if (moment < 0) return {};
  auto wait = std::chrono::system_clock::from_time_t(moment) - now;
  return std::max(std::chrono::milliseconds(0), std::chrono::duration_cast<std::chrono::milliseconds>(wait));
}

Http::Http(HttpOptions options) : options_(std::move(options)), curl_(nullptr, curl_easy_cleanup) {
  PrepareCurl();
  curl_.reset(curl_easy_init());
  CHECK(curl_ != nullptr);
}
Http::~Http() = default;
Http::Http(Http&&) noexcept = default;

struct Http::Transfer {
  const Http* http;
  const HttpRequest* request;
  CURL* curl;
  HttpResponse response;
  std::uint64_t uploaded = 0;
  bool sink_touched = false;
  std::optional<Error> failed;

  long Status() const {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  static std::size_t OnBody(char* bytes, std::size_t, std::size_t size, void* self_pointer) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    long status = self.Status();
    if (self.request->sink && status >= 200 && status < 300) {
      if (!std::exchange(self.sink_touched, true) && self.request->begin) {
        if (auto begun = self.request->begin(status, self.response.headers); !begun) {
          self.failed = begun.error();
          return 0;
        }
      }
      if (auto taken = self.request->sink({bytes, size}); !taken) {
        self.failed = taken.error();
        return 0;
      }
      return size;
    }
    if (self.response.body.size() + size > self.request->body_max) {
      self.failed =
          Error{Code::kOutOfRange, 0, Cat("the answer has more than ", self.request->body_max, " bytes")};
      return 0;
    }
    self.response.body.append(bytes, size);
    return size;
  }
  static std::size_t OnHeader(char* bytes, std::size_t, std::size_t size, void* self_pointer) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    std::string_view line(bytes, size);
    if (line.starts_with("HTTP/")) self.response.headers.clear();  // after a "100 Continue"
    std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && self.response.headers.size() < kHeadersMax)
      self.response.headers[Lower(line.substr(0, colon))] = Trim(line.substr(colon + 1));
    return size;
  }
  static std::size_t OnUpload(char* bytes, std::size_t, std::size_t room, void* self_pointer) {
    auto& self = *static_cast<Transfer*>(self_pointer);
    std::size_t wanted = std::min<std::uint64_t>(room, self.request->upload_size - self.uploaded);
    if (wanted == 0) return 0;
    ssize_t n = ::pread(self.request->upload_fd, bytes, wanted,
                        static_cast<off_t>(self.request->upload_offset + self.uploaded));
    if (n <= 0) return CURL_READFUNC_ABORT;
    self.uploaded += static_cast<std::uint64_t>(n);
    return static_cast<std::size_t>(n);
  }
  static int OnSeek(void* self_pointer, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Transfer*>(self_pointer)->uploaded = static_cast<std::uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
  }
  static int OnProgress(void* self_pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer*>(self_pointer)->http->options_.IsCancelled() ? 1 : 0;
  }
};

Result<HttpResponse> Http::Once(const HttpRequest& request, const std::string& url, bool with_authorization,
                                bool& sink_touched) {
  CURL* curl = curl_.get();
  curl_easy_reset(curl);
  Transfer transfer{.http = this, .request = &request, .curl = curl};
  HeaderList headers;
  auto add = [&headers](const std::string& line) {
    headers.reset(curl_slist_append(headers.release(), line.c_str()));
  };
  for (const std::string& line : request.headers) add(line);
  if (with_authorization && !request.authorization.empty()) add("Authorization: " + request.authorization);
  add("Expect:");
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "slipway");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L * 1024);
  if (!options_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Transfer::OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, Transfer::OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, Transfer::OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (request.upload_fd >= 0) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, Transfer::OnUpload);
    curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, Transfer::OnSeek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.upload_size));
  } else if (request.method != "GET" && request.method != "HEAD") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  if (request.method != "GET" && request.method != "HEAD")
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  char reason[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  CURLcode code = curl_easy_perform(curl);
  sink_touched |= transfer.sink_touched;
  transfer.response.status = transfer.Status();
  transfer.response.url = url;
  if (code == CURLE_OK) return std::move(transfer.response);
  if (transfer.failed) return Failure(std::move(*transfer.failed));
  if (code == CURLE_ABORTED_BY_CALLBACK) return Fail(Code::kCancelled, "cancelled");
  Code kind = code == CURLE_OPERATION_TIMEDOUT ? Code::kDeadlineExceeded
              : IsOfTheLine(code)              ? Code::kUnavailable
                                               : Code::kFailedPrecondition;
  return Fail(kind, OriginOf(url), ": ", reason[0] != '\0' ? reason : curl_easy_strerror(code));
}

Result<HttpResponse> Http::FollowingRedirects(const HttpRequest& request, bool& sink_touched) {
  std::string url = request.url;
  std::string origin = OriginOf(url);
  bool with_authorization = true;
  for (unsigned followed = 0;; ++followed) {
    HttpResponse response = TRY(Once(request, url, with_authorization, sink_touched));
    bool redirect = response.status == 301 || response.status == 302 || response.status == 303 ||
                    response.status == 307 || response.status == 308;
    auto location = response.headers.find("location");
    if (!redirect || location == response.headers.end()) return response;
    if (followed >= options_.redirects_max)
      return Fail(Code::kFailedPrecondition, OriginOf(request.url), ": more than ", options_.redirects_max,
                  " redirects");
    std::string next = AbsoluteUrl(url, location->second);
    if (next.empty())
      return Fail(Code::kFailedPrecondition, OriginOf(url), ": redirects to no usable address");
    if (url.starts_with("https://") && !next.starts_with("https://"))
      return Fail(Code::kFailedPrecondition, OriginOf(url), ": redirects from https to ", OriginOf(next),
                  "; refused");
    // Once away from the host it was meant for, a password is not sent again, not even on the way back.
    if (OriginOf(next) != origin) with_authorization = false;
    if (!with_authorization && request.body_is_secret)
      return Fail(Code::kPermissionDenied, OriginOf(request.url), ": redirects what only it may read to ",
                  OriginOf(next), "; refused");
    url = next;
  }
}

bool Http::WaitBeforeTry(unsigned tried, std::chrono::milliseconds asked_for) {
  if (tried + 1 >= options_.tries || asked_for > options_.wait_max) return false;
  auto wait = std::max(asked_for, options_.first_wait * (1 << std::min(tried, 6U)));
  wait = std::min<std::chrono::milliseconds>(wait, options_.wait_max);
  if (options_.sleep) {
    options_.sleep(wait);
    return true;
  }
  auto until = std::chrono::steady_clock::now() + wait;
  while (std::chrono::steady_clock::now() < until) {
    if (options_.IsCancelled()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

Result<HttpResponse> Http::Send(const HttpRequest& request) {
  for (unsigned tried = 0;; ++tried) {
    bool sink_touched = false;
    auto response = FollowingRedirects(request, sink_touched);
    if (!response) {
      bool of_the_line =
          response.error().code == Code::kUnavailable || response.error().code == Code::kDeadlineExceeded;
      if (!of_the_line || sink_touched || !WaitBeforeTry(tried)) return response;
      continue;
    }
    bool busy = response->status == 429 || (response->status >= 500 && response->status != 501);
    if (!busy) return response;
    auto asked_for = RetryAfter(response->headers["retry-after"], std::chrono::system_clock::now());
    if (WaitBeforeTry(tried, asked_for)) continue;
    if (response->status != 429) return response;
    return Fail(
        Code::kResourceExhausted, OriginOf(request.url), ": it has had enough of our requests (429)",
        asked_for.count() > 0 ? Cat("; it asks to come back in ", asked_for.count() / 1000, " s") : "",
        "; logging in often raises the limit");
  }
}

}  // namespace slipway::oci
