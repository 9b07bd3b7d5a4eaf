// SPDX-License-Identifier: Apache-2.0
// A server on loopback that behaves as badly as a test wants: it answers each request with the bytes that a
// function gives, may stop in the middle, or say nothing more until the client gives up.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/os/fd.h"

namespace slipway::oci {

class FakeServer {
 public:
  struct Answer {
    std::string bytes;   // the whole, "HTTP/1.1 200 OK\r\n…"
    bool stall = false;  // after them: nothing until the client has gone
  };
  // Called on the server's thread with the request's head and its number, from 0.
  using Handler = std::function<Answer(const std::string& head, int number)>;

  explicit FakeServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    CHECK(::listen(listener_.get(), 64) == 0);
    socklen_t size = sizeof address;
    CHECK(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    stop_ = std::move(*MakePipe());
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeServer() {
    stop_.write.reset();
    thread_.join();
  }

  std::string host() const { return Cat("127.0.0.1:", port_); }
  std::string url(const std::string& path = "/") const { return Cat("http://", host(), path); }
  std::vector<std::string> heads() {
    std::lock_guard lock(mutex_);
    return heads_;
  }

  static std::string Ok(const std::string& body, const std::string& headers = {}) {
    return Cat("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ", body.size(), "\r\n", headers,
               "\r\n", body);
  }
  static std::string Status(int status, const std::string& headers = {}) {
    return Cat("HTTP/1.1 ", status, " X\r\nConnection: close\r\nContent-Length: 0\r\n", headers, "\r\n");
  }

 private:
  bool Wait(int fd) {  // false: stop
    pollfd fds[2] = {{fd, POLLIN, 0}, {stop_.read.get(), POLLIN, 0}};
    return ::poll(fds, 2, -1) > 0 && fds[1].revents == 0;
  }
  void Serve() {
    while (Wait(listener_.get())) {
      UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client) One(client.get());
    }
  }
  void One(int fd) {
    std::string head;
    char buffer[4096];
    while (head.find("\r\n\r\n") == std::string::npos) {
      if (!Wait(fd)) return;
      ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      head.append(buffer, static_cast<std::size_t>(n));
    }
    int number;
    {
      std::lock_guard lock(mutex_);
      number = static_cast<int>(heads_.size());
      heads_.push_back(head);
    }
    Answer answer = handler_(head, number);
    std::string_view rest = answer.bytes;
    while (!rest.empty()) {
      ssize_t n = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    while (answer.stall && Wait(fd) && ::recv(fd, buffer, sizeof buffer, 0) > 0) continue;
    ::shutdown(fd, SHUT_RDWR);
  }

  Handler handler_;
  UniqueFd listener_;
  unsigned port_ = 0;
  PipeEnds stop_;
  std::mutex mutex_;
  std::vector<std::string> heads_;
  std::thread thread_;
};

}  // namespace slipway::oci
