#!/bin/sh
#SLIPWAY --image=mpi
# a comment

#SBATCH -N 2 -v --bind "/a b":/c # for now
#SBATCH --exclusive
echo
