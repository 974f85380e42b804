//! What the interface asks of every method.
use precondor_plugin_reference::{Reference, Sine};

precondor_sdk::conformance! {
    sine: Kit::<Sine>::new(json!({}));
    reference: Kit::<Reference>::new(json!({})).beside::<Sine>();
}
