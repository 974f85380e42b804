//! Tests of the two methods against dense linear algebra, on one and on several ranks.
#![allow(clippy::unwrap_used)]
mod adaptive;
mod common;
mod errors;
mod fsai;
mod long_rows;
mod random;
mod ranks;
mod refresh;
mod solves;
mod spai;
