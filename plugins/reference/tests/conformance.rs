//! What the interface asks of every method.
use precondor_plugin_reference::{Reference, Sine};

precondor_sdk::conformance! {
    sine: Kit::<Sine>::new(json!({}));
    reference: Kit::<Reference>::new(json!({})).beside::<Sine>();
    chebyshev: Kit::<Reference>::new(json!({"smoother": "chebyshev"})).beside::<Sine>();
    sweeps: Kit::<Reference>::new(json!({"smoother": "gauss-seidel"})).beside::<Sine>();
}
