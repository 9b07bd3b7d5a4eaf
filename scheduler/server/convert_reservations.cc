// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "scheduler/server/convert.h"
#include "slipway/v1/reservation.pb.h"

namespace slipway::scheduler {

ReservationRequest ReservationRequestOf(const State& state, const v1::ReservationSpec& in,
                                        std::vector<ReservationUser> users, Time now, bool create) {
  ReservationRequest out;
  out.create = create;
  auto known = state.reservations.find(in.name());
  if (!create && known != state.reservations.end()) out.wanted = known->second;
  Reservation& wanted = out.wanted;
  wanted.name = in.name();
  if (create) wanted.start = now;
  if (in.has_start_ms()) wanted.start = {in.start_ms() * 1000};
  if (in.has_duration_s()) wanted.duration_s = in.duration_s();
  if (in.has_period_s()) wanted.period_s = in.period_s();
  if (in.has_users()) wanted.users = std::move(users);
  if (in.has_accounts()) wanted.accounts.assign(in.accounts().names().begin(), in.accounts().names().end());
  if (in.has_maintenance()) wanted.maintenance = in.maintenance();
  if (in.has_flex()) wanted.flex = in.flex();
  if (in.has_comment()) wanted.comment = in.comment();
  out.ignore_jobs = in.ignore_jobs();
  out.node_count = in.node_count();
  out.partition = in.partition();
  out.features = in.features();
  if (out.node_count > 0) wanted.nodes.clear();
  if (in.has_nodes()) wanted.nodes.assign(in.nodes().names().begin(), in.nodes().names().end());
  if (wanted.nodes == std::vector<std::string>{"ALL"}) {
    wanted.nodes.clear();
    for (const auto& [name, node] : state.nodes) wanted.nodes.push_back(name);
  }
  return out;
}

void ToProto(const State& state, const Reservation& reservation, Time now, v1::Reservation* out) {
  out->set_name(reservation.name);
  for (const std::string& node : reservation.nodes) out->add_nodes(node);
  if (auto window = WindowAt(reservation, now)) {
    out->set_start_ms(window->from.us / 1000);
    out->set_end_ms(window->to.us / 1000);
    out->set_state(window->from <= now ? "ACTIVE" : "INACTIVE");
  }
  out->set_period_s(reservation.period_s);
  for (const ReservationUser& user : reservation.users) out->add_users(user.name);
  for (const std::string& account : reservation.accounts) out->add_accounts(account);
  out->set_maintenance(reservation.maintenance);
  out->set_flex(reservation.flex);
  out->set_comment(reservation.comment);
  auto in_it = std::ranges::count_if(state.active, [&](JobId id) {
    return state.FindJob(id)->spec->resources.reservation == reservation.name;
  });
  out->set_jobs(static_cast<std::uint32_t>(in_it));
}

}  // namespace slipway::scheduler
