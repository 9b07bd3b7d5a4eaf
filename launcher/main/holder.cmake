# SPDX-License-Identifier: Apache-2.0
slipway_program(slipway-holder SOURCES holder.cc DEPS launcher_broker base_log DESTINATION libexec/slipway)
# It is there for as long as the node is, and needs nothing but the C library.
slipway_link_statically(slipway-holder)
