# SPDX-License-Identifier: Apache-2.0
# A program of its own: libsystemd's libraries would cost every `slipway exec` more than all it does.
slipway_program(slipway-scope SOURCES scope.cc DEPS launcher_scope launcher_spec base_os base_result
  DESTINATION libexec/slipway)
