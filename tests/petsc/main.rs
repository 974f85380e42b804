//! Precondor inside PETSc: unmodified programs of PETSc's own, compiled here, and scripts of petsc4py,
//! gain our methods by options alone.
//!
//! Needs PETSc and Open MPI with their development files (Debian: `petsc-dev petsc64-dev openmpi-bin
//! libpetsc3.18-dev-examples python3-petsc4py`); where something is missing, the tests that need it say
//! so and are left out.
mod counts;
mod foreign;
mod grids;
mod nesting;
mod options;
mod python;
mod sequence;
mod support;
mod table;
