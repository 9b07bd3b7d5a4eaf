#!/bin/sh
#SLIPWAY --image=mpi
#SBATCH --job-name=demo
#SBATCH --nodes=2 --ntasks=4
#SBATCH --time=10
#SBATCH --output=slipway-%j.out

# This script runs inside the image, on the first node; `slipway launch` starts steps in the job's allocation.

# The demo's two nodes are one machine: more ranks than cores, so a rank that waits lets the others run.
export OMPI_MCA_mpi_yield_when_idle=1

echo "== mpi4py: sum of squares of the ranks, computed together"
slipway launch -n 4 -- python3 -c '
from mpi4py import MPI
import socket
comm = MPI.COMM_WORLD
total = comm.allreduce(comm.rank ** 2)
print(f"rank {comm.rank} of {comm.size} on {socket.gethostname()}: sum {total}", flush=True)
assert total == sum(r ** 2 for r in range(comm.size))
'

echo "== HPC Challenge"
slipway launch -n 4 -- hpcc
grep -E '^(Success|CommWorldProcs|HPL_Tflops|PTRANS_GBs|StarSTREAM_Triad|MPIRandomAccess_GUPs|AvgPingPongLatency_usec)=' hpccoutf.txt
