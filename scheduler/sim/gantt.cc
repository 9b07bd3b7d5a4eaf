// SPDX-License-Identifier: Apache-2.0
// Neighbouring nodes of one job are one bar, so that a chart of ten thousand nodes stays a file that a
// browser opens.
#include "scheduler/sim/gantt.h"

#include <algorithm>
#include <cstdio>

#include "base/result/result.h"

namespace slipway::scheduler {
namespace {

constexpr double kWidth = 1200, kLeft = 70, kRight = 20, kPanel = 120, kGap = 40, kRowsHeight = 600,
                 kTop = 30;

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

// Jobs side by side differ in colour: the hue goes round by the golden angle.
std::string ColourOf(plan::JobNumber job) {
  return Cat("hsl(", static_cast<unsigned>(job % 360 * 137 % 360), ",60%,60%)");
}

std::string Text(double x, double y, std::string_view text, std::string_view anchor = "start") {
  return Cat("<text x=\"", Number(x), "\" y=\"", Number(y), "\" text-anchor=\"", anchor, "\">", text,
             "</text>\n");
}

}  // namespace

void Gantt::Started(plan::JobNumber job, const plan::Placement& nodes, plan::Instant at) {
  first_ = std::min(first_, at);
  last_ = std::max(last_, at);
  std::vector<std::size_t>& own = running_[job];
  for (const plan::NodeShare& share : nodes) {
    bool next = !own.empty() && bars_[own.back()].last_node + 1 == share.node;
    if (next) {
      bars_[own.back()].last_node = share.node;
    } else {
      own.push_back(bars_.size());
      bars_.push_back({job, share.node, share.node, at, plan::kNever});
    }
  }
}

void Gantt::Ended(plan::JobNumber job, plan::Instant at) {
  auto found = running_.find(job);
  if (found == running_.end()) return;
  last_ = std::max(last_, at);
  for (std::size_t bar : found->second) bars_[bar].to = at;
  running_.erase(found);
}

void Gantt::Sampled(plan::Instant at, double used, std::size_t waiting) {
  first_ = std::min(first_, at);
  last_ = std::max(last_, at);
  samples_.push_back({at, used, waiting});
}

std::string Gantt::Svg() const {
  const double span = static_cast<double>(std::max<plan::Instant>(last_ - std::min(first_, last_), 1));
  auto x_of = [&](plan::Instant at) {
    return kLeft + (kWidth - kLeft - kRight) * static_cast<double>(std::min(at, last_) - first_) / span;
  };
  std::size_t waiting_most = 1;
  for (const Sample& sample : samples_) waiting_most = std::max(waiting_most, sample.waiting);
  double height = kTop + 2 * (kPanel + kGap) + kRowsHeight + kGap;
  std::string svg = Cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", Number(kWidth), "\" height=\"",
                        Number(height),
                        "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" "
                        "height=\"100%\" fill=\"white\"/>\n");
  auto line = [&](double top, std::string_view title, std::string_view most, auto value) {
    svg += Text(kLeft, top - 6, title) + Text(kLeft - 6, top + 10, most, "end") +
           Text(kLeft - 6, top + kPanel, "0", "end");
    svg += "<polyline fill=\"none\" stroke=\"#246\" points=\"";
    for (const Sample& sample : samples_)
      svg += Cat(Number(x_of(sample.at)), ",", Number(top + kPanel * (1 - value(sample))), " ");
    svg += "\"/>\n";
  };
  line(kTop, "cores in use", "100%", [](const Sample& sample) { return std::clamp(sample.used, 0.0, 1.0); });
  line(kTop + kPanel + kGap, "jobs that wait", Cat(waiting_most), [&](const Sample& sample) {
    return static_cast<double>(sample.waiting) / static_cast<double>(waiting_most);
  });
  double top = kTop + 2 * (kPanel + kGap);
  svg += Text(kLeft, top - 6, Cat("jobs on ", nodes_, " nodes, over ", Number(span / 1e6), " s"));
  double row = kRowsHeight / static_cast<double>(std::max<std::size_t>(nodes_, 1));
  for (const Bar& bar : bars_) {
    double y = top + row * static_cast<double>(bar.first_node);
    double tall = row * static_cast<double>(bar.last_node - bar.first_node + 1);
    svg += Cat("<rect x=\"", Number(x_of(bar.from)), "\" y=\"", Number(y), "\" width=\"",
               Number(std::max(x_of(bar.to) - x_of(bar.from), 0.1)), "\" height=\"", Number(tall),
               "\" fill=\"", ColourOf(bar.job), "\"><title>job ", bar.job, "</title></rect>\n");
  }
  return svg + "</svg>\n";
}

}  // namespace slipway::scheduler
