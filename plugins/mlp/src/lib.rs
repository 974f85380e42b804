//! stub
pub mod chain;
pub mod grid;
pub mod model;
pub mod net;
pub mod number;
pub mod optim;
pub mod pgp;
pub mod random;
pub mod reference;
pub mod stencil;
pub mod train;
