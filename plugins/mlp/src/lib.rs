//! stub
pub mod grid;
pub mod net;
pub mod number;
pub mod optim;
pub mod random;
pub mod stencil;
