#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the images that the other modules start, as any user would: `slipway build`."""
import sys

import slipway_testing as t

for name in sys.argv[1:] or ["tiny", "mpi", "mpich", "mpi-trixie"]:
    print(name, t.image(name), flush=True)
