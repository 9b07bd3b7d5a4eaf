// SPDX-License-Identifier: Apache-2.0
#include "agent/node/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace slipway {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
constexpr int kReadsATurn = 16;                   // one peer must not keep the loop from the others
constexpr std::size_t kKeptBytesMax = 256 << 10;  // of an empty buffer

std::string TlsError(const SSL* ssl) {
  long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) return Cat("its certificate: ", X509_verify_cert_error_string(verified));
  unsigned long code = ERR_peek_last_error();
  if (code == 0) return "TLS failed";
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

Result<> UseFile(bool used, const std::string& path) {
  if (used) return {};
  return Fail(Code::kInvalidArgument, path, ": not usable for TLS (PEM is wanted)");
}

// The node of the peer's certificate; gRPC's PeerNode (api/tls.h) is the same for calls.
Result<std::string> NodeOfPeer(const SSL* ssl) {
  std::unique_ptr<X509, decltype(&X509_free)> cert(SSL_get1_peer_certificate(ssl), X509_free);
  if (!cert) return Fail(Code::kUnauthenticated, "the peer has no certificate");
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert.get(), NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  const std::string suffix = NodeTlsName("");
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                          static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    if (text.size() > suffix.size() && text.ends_with(suffix))
      return std::string(text.substr(0, text.size() - suffix.size()));
  }
  return Fail(Code::kUnauthenticated, "the certificate is not a node's");
}

}  // namespace

void FreeTlsContext::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
void TlsStream::FreeSsl::operator()(SSL* ssl) const { SSL_free(ssl); }

Result<TlsContext> MakeNodeTlsContext(const TlsFiles& files) {
  TlsContext context(SSL_CTX_new(TLS_method()));
  if (!context) return Fail(Code::kInternal, "SSL_CTX_new");
  ERR_clear_error();
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  TRY(UseFile(SSL_CTX_load_verify_file(raw, files.ca.c_str()) == 1, files.ca));
  if (files.cert.empty()) return context;
  TRY(UseFile(SSL_CTX_use_certificate_chain_file(raw, files.cert.c_str()) == 1, files.cert));
  TRY(UseFile(SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) == 1, files.key));
  return context;
}

TlsStream::TlsStream(Loop& loop, UniqueFd socket, Events events)
    : loop_(loop), socket_(std::move(socket)), events_(std::move(events)) {}

TlsStream::~TlsStream() {
  if (!ended_ && watch_.value != 0) loop_.Unwatch(watch_);
}

Result<std::unique_ptr<TlsStream>> TlsStream::Client(Loop& loop, const TlsFiles& files, UniqueFd socket,
                                                     const std::string& node, std::string_view greeting,
                                                     Events events) {
  TlsContext context = TRY(MakeNodeTlsContext(files));
  std::unique_ptr<TlsStream> stream(new TlsStream(loop, std::move(socket), std::move(events)));
  stream->connecting_ = true;
  stream->cipher_ = greeting;
  TRY(stream->Begin(context.get(), true));
  if (SSL_set1_host(stream->ssl_.get(), NodeTlsName(node).c_str()) != 1)
    return Fail(Code::kInvalidArgument, node, ": no name for a node");
  return stream;
}

Result<std::unique_ptr<TlsStream>> TlsStream::Server(Loop& loop, SSL_CTX* context, UniqueFd socket,
                                                     Events events) {
  std::unique_ptr<TlsStream> stream(new TlsStream(loop, std::move(socket), std::move(events)));
  TRY(stream->Begin(context, false));
  return stream;
}

Result<> TlsStream::Begin(SSL_CTX* context, bool client) {
  ssl_.reset(SSL_new(context));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  if (!ssl_ || in == nullptr || out == nullptr) return Fail(Code::kInternal, "SSL_new");
  BIO_set_mem_eof_return(in, -1);
  BIO_set_mem_eof_return(out, -1);
  SSL_set_bio(ssl_.get(), in, out);
  if (client) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
  // A socket that is connecting says so by becoming writable.
  watched_ = connecting_ ? EPOLLIN | EPOLLOUT : EPOLLIN;
  watch_ = TRY(loop_.Watch(socket_.get(), watched_, [this](std::uint32_t events) { OnSocket(events); }));
  return {};
}

void TlsStream::Send(std::string_view bytes) {
  if (ended_ || bytes.empty()) return;
  if (!open_) {
    plain_ += bytes;
    return;
  }
  // Into memory: it takes everything.
  std::size_t wrote = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &wrote) != 1) return;  // reading will tell
  TakeCipher();
  Flush();
}

void TlsStream::TakeCipher() {
  BIO* out = SSL_get_wbio(ssl_.get());
  char* data = nullptr;
  long size = BIO_get_mem_data(out, &data);
  if (size > 0) cipher_.append(data, static_cast<std::size_t>(size));
  (void)BIO_reset(out);
}

void TlsStream::Flush() {
  while (!connecting_ && sent_ < cipher_.size()) {
    ssize_t n =
        ::send(socket_.get(), cipher_.data() + sent_, cipher_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) sent_ = cipher_.size();  // reading will tell
    if (n > 0) sent_ += static_cast<std::size_t>(n);
  }
  if (sent_ == cipher_.size()) {
    cipher_.clear();
    sent_ = 0;
    if (cipher_.capacity() > kKeptBytesMax) cipher_.shrink_to_fit();
  } else if (sent_ > (1 << 20)) {
    cipher_.erase(0, sent_);
    sent_ = 0;
  }
  Watch();
}

void TlsStream::Watch() {
  std::uint32_t wanted = connecting_ || !cipher_.empty() ? EPOLLIN | EPOLLOUT : EPOLLIN;
  if (wanted == watched_) return;
  watched_ = wanted;
  (void)loop_.Rewatch(watch_, wanted);
}

void TlsStream::OnSocket(std::uint32_t epoll_events) {
  if (connecting_) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return End(::strerror(error));
    if ((epoll_events & EPOLLOUT) == 0) return;
    connecting_ = false;
    if (auto shaken = Handshake(); !shaken) return End(shaken.error().message);
  }
  if ((epoll_events & EPOLLOUT) != 0) Flush();
  if ((epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read();
}

void TlsStream::Read() {
  char buffer[kReadBytes];
  for (int turn = 0; turn < kReadsATurn; ++turn) {
    ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) return End(::strerror(errno));
    if (n == 0) return End("it closed the connection");
    if (BIO_write(SSL_get_rbio(ssl_.get()), buffer, static_cast<int>(n)) != n) return End("no memory");
    auto handled = open_ ? Result<>{} : Handshake();
    if (handled && open_) handled = Deliver();
    if (!handled) return End(handled.error().message);
    if (static_cast<std::size_t>(n) < sizeof buffer) return;  // the kernel had no more
  }
}

// As far as it goes with what has come.
Result<> TlsStream::Handshake() {
  ERR_clear_error();
  int done = SSL_do_handshake(ssl_.get());
  int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
  TakeCipher();
  Flush();  // also an alert, which says why we refuse
  if (error == SSL_ERROR_WANT_READ) return {};
  if (error != SSL_ERROR_NONE) return Fail(Code::kUnauthenticated, TlsError(ssl_.get()));
  std::string node = TRY(NodeOfPeer(ssl_.get()));
  open_ = true;
  events_.opened(node);
  std::string waiting = std::move(plain_);
  plain_.clear();
  Send(waiting);
  return {};
}

Result<> TlsStream::Deliver() {
  char buffer[kReadBytes];
  for (;;) {
    std::size_t got = 0;
    ERR_clear_error();
    int read = SSL_read_ex(ssl_.get(), buffer, sizeof buffer, &got);
    if (read == 1) {
      TRY(events_.bytes({buffer, got}));
      continue;
    }
    int error = SSL_get_error(ssl_.get(), read);
    if (BIO_pending(SSL_get_wbio(ssl_.get())) > 0) {  // TLS's own answers
      TakeCipher();
      Flush();
    }
    if (error == SSL_ERROR_WANT_READ) return {};
    if (error == SSL_ERROR_ZERO_RETURN) return Fail(Code::kUnavailable, "it closed the stream");
    return Fail(Code::kUnavailable, TlsError(ssl_.get()));
  }
}

void TlsStream::End(std::string why) {
  if (ended_) return;
  ended_ = true;
  loop_.Unwatch(watch_);
  socket_.reset();
  auto ended = events_.ended;  // ours may go with us
  ended(std::move(why));
}

}  // namespace slipway
