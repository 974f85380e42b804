//! What the interface asks of every method.
use precondor_plugin_reference::{FastPoisson, Reference};

precondor_sdk::conformance! {
    fast_poisson: Kit::<FastPoisson>::new(json!({}));
    reference: Kit::<Reference>::new(json!({})).beside::<FastPoisson>();
    chebyshev: Kit::<Reference>::new(json!({"smoother": "chebyshev"})).beside::<FastPoisson>();
    sweeps: Kit::<Reference>::new(json!({"smoother": "gauss-seidel"})).beside::<FastPoisson>();
}
