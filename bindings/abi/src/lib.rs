//! The binary contract between a host and a plugin: plain `#[repr(C)]` data, no logic.
//! `include/precondor.h` is its twin for C.
#![no_std]
#![deny(missing_docs)]
